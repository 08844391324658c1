"""The retained messages: the last one of each topic, found by topic filter.

Newest stamp wins, whatever order they arrive in, and a deletion is a stamp as well (a tombstone), so
that two stores that saw the same stamps are the same. A digest per bucket of topics tells two stores
apart without sending them. Must not know who publishes or subscribes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from gateway.digest import Digest
from gateway.ids import NEVER, Stamp
from gateway.limits import LEVEL_BYTES
from gateway.mqtt.message import Message

LOOKS_MAX = 64  # levels in a step of a walk: it can be left where no topic is for its filter
SLICE = 512  # levels side by side that a walk takes at once: a store of 100,000 may be one level
TOMBSTONES_MAX = 100_000  # the oldest stamp is forgotten first
TOMBSTONES_BYTES_MAX = 16_777_216  # of their topics, for some are long
_ENTRY_BYTES = 100  # beside message or topic: the entry, its stamp, its places in two tables


@dataclass(slots=True)
class Entry:
    """`message` is None for a tombstone. `serial` counts what was set here, in its order."""

    stamp: Stamp
    message: Message | None
    serial: int = 0


@dataclass(slots=True)
class _Level:
    """One level of the topic tree; `topic` is set where a retained message ends.

    Levels side by side stand in the order of their `serial`.
    """

    serial: int = 0
    below: dict[str, "_Level"] = field(default_factory=dict)
    topic: str | None = None


class Walk:
    """The topics under a filter, in the order in which they first appeared, level by level.

    May be left and gone on with while the store changes: what is deleted is not met any more, and what
    is new may be. It holds at most SLICE pointers for each level on its way, and after `rest` none. An
    empty topic says that LOOKS_MAX levels had none; `looked` counts them.
    """

    __slots__ = ("_names", "_path", "_rests", "_stack", "looked")

    def __init__(self, root: _Level, topic_filter: str) -> None:
        self._names = topic_filter.split("/")
        self._stack: list[Iterator[_Level]] = [iter((root,))]
        self._rests = False
        self._path: list[_Level] = []  # from the root to where it is
        self.looked = 0

    def __iter__(self) -> "Walk":
        return self

    def __next__(self) -> str:
        if self._rests:
            self._go_on()
        until = self.looked + LOOKS_MAX
        while self._stack:
            if self.looked == until:
                return ""
            self.looked += 1
            level = next(self._stack[-1], None)
            if level is None:
                self._stack.pop()
                continue
            depth = len(self._stack) - 1
            del self._path[depth:]
            self._path.append(level)
            self._stack.append(self._wanted_below(level, depth, 0))
            if level.topic is not None and self._ends(depth):
                return level.topic
        raise StopIteration

    def rest(self) -> None:
        """Nobody will ask for the next one for a while: only the way to where it is stays in memory."""
        if self._path:
            self._rests = True
            self._stack = []

    def _go_on(self) -> None:
        """After a rest: what stands behind the levels of the path is still to be met."""
        self._rests = False
        self._stack = [iter(())]
        behind = [level.serial for level in self._path[1:]]
        for depth, (above, passed) in enumerate(zip(self._path, [*behind, 0], strict=True)):
            self._stack.append(self._wanted_below(above, depth, passed))

    def is_past(self, topic: str) -> bool:
        """Whether the walk has met this topic, if it was in the store when the walk came by."""
        if not self._path:
            return False
        level = self._path[0]
        for depth, name in enumerate(topic.split("/"), 1):
            below = level.below.get(name)
            if below is None or depth >= len(self._path):
                return False
            if below is not self._path[depth]:
                return below.serial < self._path[depth].serial
            level = below
        return True

    def _ends(self, depth: int) -> bool:
        """Whether a topic of so many levels is one for the filter, if it came this far."""
        if self._names[-1] == "#":  # "sport/#" matches "sport" itself, section 4.7.1.2
            return depth >= len(self._names) - 1
        return depth == len(self._names)

    def _wanted_below(self, level: _Level, depth: int, passed: int) -> Iterator[_Level]:
        """The levels below that the filter wants, from the one behind the serial `passed` on."""
        name = self._names[min(depth, len(self._names) - 1)]
        if depth >= len(self._names) and name != "#":
            return
        if name not in ("+", "#"):
            if name in level.below and level.below[name].serial > passed:
                yield level.below[name]
            return
        while True:
            later = (each for each in level.below.items() if each[1].serial > passed)
            some = list(islice(later, SLICE))
            for word, below in some:
                # [MQTT-4.7.2-1]: a leading wildcard skips $-topics
                if depth or not word.startswith("$"):
                    yield below
            if len(some) < SLICE:
                return
            passed = some[-1][1].serial


class Retained:
    """At most `messages_max` messages, and `bytes_max`: what would be more is refused.

    `forgotten` is called with the topic of a tombstone that had to make room.
    """

    def __init__(
        self,
        messages_max: int,
        bytes_max: int,
        forgotten: Callable[[str], None] = lambda topic: None,
    ) -> None:
        self._forgotten = forgotten
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._entries: dict[str, Entry] = {}
        self._root = _Level()
        self._digest = Digest()
        self._messages = 0
        self._bytes = 0
        self._tombs_bytes = 0
        self._levels = 0  # that were ever made
        self._standing = 0  # of them
        self.serial = 0  # of the entry that was set last

    def __len__(self) -> int:
        return self._messages

    def put(self, topic: str, message: Message | None, stamp: Stamp, bounded: bool = True) -> bool:
        """Sets (or, with None, deletes) what is retained; False if an entry as new is there.

        Raises OverflowError at the limit, and changes nothing then. What the disk has already is not
        `bounded`: the limits may have been higher.
        """
        old = self._entries.get(topic)
        if old is not None and old.stamp >= stamp:
            return False
        had = old is not None and old.message is not None
        if message is not None and bounded:
            self._check_bounds(topic, message, old)
        full = len(self._entries) >= self._messages_max + TOMBSTONES_MAX
        if old is None and message is None and (full or self._tombs_bytes > TOMBSTONES_BYTES_MAX):
            self._forget_oldest_tombstone()
        self.serial += 1
        self._write(topic, Entry(stamp, message, self.serial), old)
        if old is not None:
            self._count(topic, old.message, -1)
        self._count(topic, message, 1)
        if message is not None and not had:
            self._grow(topic)
        elif message is None and had:
            self._prune(topic)
        return True

    def has_room(self, message: Message) -> bool:
        """Whether `put` would take it now."""
        try:
            self._check_bounds(message.topic, message, self._entries.get(message.topic))
        except OverflowError:
            return False
        return True

    def get(self, topic: str) -> Entry | None:
        """The entry of this topic, tombstones included."""
        return self._entries.get(topic)

    def stamp(self, topic: str) -> Stamp:
        """When this topic was last set or deleted."""
        entry = self._entries.get(topic)
        return entry.stamp if entry is not None else NEVER

    def matching(self, topic_filter: str) -> Iterator[Message]:
        """The retained messages under a filter."""
        for topic in filter(None, self.walk(topic_filter)):
            message = self._entries[topic].message
            assert message is not None, "a tombstone stayed in the tree"
            yield message

    def walk(self, topic_filter: str) -> Walk:
        """The topics of these, one after the other."""
        return Walk(self._root, topic_filter)

    def expire(self, now: float) -> None:
        """Makes room: what has expired becomes a tombstone of its own stamp, as it does everywhere."""
        for topic, entry in self._entries.items():
            if entry.message is not None and entry.message.expired(now):
                self._count(topic, entry.message, -1)
                self._count(topic, None, 1)
                entry.message = None
                self._prune(topic)

    def digest(self) -> list[int]:
        """One number a bucket; equal where two stores hold the same."""
        return self._digest.numbers()

    def bucket(self, number: int) -> Iterator[tuple[str, Entry]]:
        """Topics and entries of one bucket, tombstones included."""
        for topic in self._digest.names(number):
            yield topic, self._entries[topic]

    def bytes_held(self) -> int:
        """What the messages and their topics take in memory, near enough."""
        return self._bytes + self._standing * LEVEL_BYTES

    def _check_bounds(self, topic: str, message: Message, old: Entry | None) -> None:
        had = old.message if old is not None else None
        grows = message.bytes_held()
        if had is None:
            grows += _ENTRY_BYTES + self._missing(topic) * LEVEL_BYTES
        else:
            grows -= had.bytes_held()
        if had is None and self._messages >= self._messages_max:
            raise OverflowError("too many retained messages")
        if grows > 0 and self.bytes_held() + grows > self._bytes_max:
            raise OverflowError("too many bytes in retained messages")

    def _count(self, topic: str, message: Message | None, sign: int) -> None:
        if message is None:
            self._tombs_bytes += sign * (_ENTRY_BYTES + len(topic))
        else:
            self._messages += sign
            self._bytes += sign * (_ENTRY_BYTES + message.bytes_held())

    def _write(self, topic: str, entry: Entry, old: Entry | None) -> None:
        self._digest.change(topic, None if old is None else old.stamp, entry.stamp)
        self._entries[topic] = entry

    def _forget_oldest_tombstone(self) -> None:
        tombs = [(e.stamp, topic) for topic, e in self._entries.items() if e.message is None]
        for stamp, topic in sorted(tombs)[: len(tombs) // 10 + 1]:
            self._digest.change(topic, stamp, None)
            del self._entries[topic]
            self._count(topic, None, -1)
            self._forgotten(topic)

    def _grow(self, topic: str) -> None:
        level = self._root
        for name in topic.split("/"):
            below = level.below.get(name)
            if below is None:
                self._levels += 1
                self._standing += 1
                below = level.below[name] = _Level(self._levels)
            level = below
        level.topic = topic

    def _missing(self, topic: str) -> int:
        """How many levels the topic would add."""
        level, names = self._root, topic.split("/")
        for depth, name in enumerate(names):
            if name not in level.below:
                return len(names) - depth
            level = level.below[name]
        return 0

    def _prune(self, topic: str) -> None:
        path = [self._root]
        names = topic.split("/")
        for name in names:
            path.append(path[-1].below[name])
        path[-1].topic = None
        for above, name, level in zip(path[-2::-1], reversed(names), path[:0:-1], strict=True):
            if level.below or level.topic is not None:
                return
            del above.below[name]
            self._standing -= 1
