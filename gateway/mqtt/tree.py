"""Which values are filed under a filter that matches a topic, without asking every filter.

A tree of dicts, one level of the filter each; nodes without values and children are taken away.
Filters are well formed and not shared ones (topics.split_share). Walks are loops, never recursion.
Knows nothing of what the values are.
"""

from collections.abc import Hashable
from operator import itemgetter
from sys import intern
from typing import Any, Generic, TypeVar

from gateway.mqtt.topics import levels

T = TypeVar("T")

_serial = itemgetter(0)
_NOTHING: Any = {}  # nothing is ever put there: most nodes have no children, or no values


class _Node(Generic[T]):
    __slots__ = ("children", "entries")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = _NOTHING
        self.entries: dict[Hashable, tuple[int, T]] = _NOTHING


class TopicTree(Generic[T]):
    """Values by (topic filter, key). `len()` is the number of values."""

    __slots__ = ("_count", "_root", "_serial", "nodes")

    def __init__(self) -> None:
        self.nodes = 0  # levels that filters do not share; what the tree costs
        self._root: _Node[T] = _Node()
        self._serial = 0  # of the next value; never used twice
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, topic_filter: str, key: Hashable, value: T) -> bool:
        """File a value; True if there was none. A value that is replaced hands on its place."""
        node = self._root
        for level in levels(topic_filter):
            child = node.children.get(level)
            if child is None:
                if node.children is _NOTHING:
                    node.children = {}
                child = node.children[intern(level)] = _Node()  # many filters end alike
                self.nodes += 1
            node = child
        if node.entries is _NOTHING:
            node.entries = {}
        before = node.entries.get(key)
        if before is not None:
            node.entries[key] = (before[0], value)
            return False
        node.entries[key] = (self._serial, value)
        self._serial += 1
        self._count += 1
        return True

    def remove(self, topic_filter: str, key: Hashable) -> bool:
        """Take a value away; False if there was none."""
        node = self._root
        path: list[tuple[_Node[T], str]] = []
        for level in levels(topic_filter):
            child = node.children.get(level)
            if child is None:
                return False
            path.append((node, level))
            node = child
        if key not in node.entries:
            return False
        del node.entries[key]
        self._count -= 1
        for parent, level in reversed(path):
            child = parent.children[level]
            if child.entries or child.children:
                break
            del parent.children[level]
            self.nodes -= 1
        return True

    def match(self, topic: str) -> list[T]:
        """Every value whose filter matches the topic name, in the order of their adding."""
        found: list[tuple[int, T]] = []
        nodes = [self._root]
        wildcards = not topic.startswith("$")  # on the first level only [MQTT-4.7.2-1]
        for level in levels(topic):
            following = []
            for node in nodes:
                children = node.children
                if (child := children.get(level)) is not None:
                    following.append(child)
                if wildcards:
                    if (child := children.get("+")) is not None:
                        following.append(child)
                    if (child := children.get("#")) is not None:
                        found.extend(child.entries.values())
            nodes = following
            if not nodes:
                break
            wildcards = True
        for node in nodes:
            found.extend(node.entries.values())
            if (child := node.children.get("#")) is not None:  # "a/#" is for "a" too, 4.7.1.2
                found.extend(child.entries.values())
        found.sort(key=_serial)
        return [value for _, value in found]
