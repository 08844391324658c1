"""Which shared subscriptions have members where: told by each gateway of its own, and what the others
told.

Must not know who the members are, or which one gets a message.
"""

from collections.abc import Callable, Iterable, Iterator

from gateway.limits import FILTERS_IN_FRAME_MAX
from gateway.mesh.frames import Groups
from gateway.mesh.parts import parts
from gateway.mesh.peer import Peer
from gateway.mqtt.topics import split_share
from gateway.mqtt.tree import TopicTree

NAMES_BYTES_MAX = 1_048_576  # of one frame: a filter may have 64 kB

Members = tuple[str, int, int]  # name, connected, away


class OwnGroups:
    """The groups of this gateway. What changed within a turn is told together."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}

    def change(self, name: str) -> None:
        """It has other members, or they came or went."""
        self._changed[name] = None

    def delta(self, counts: Callable[[str], tuple[int, int]]) -> list[Groups]:
        """The frames that tell what changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(_frames(False, ((name, *counts(name)) for name in changed)))

    def full(self, groups: Iterable[Members]) -> list[Groups]:
        """The frames that tell a peer of all, for a new link."""
        return list(_frames(True, groups))


def _frames(full: bool, groups: Iterable[Members]) -> Iterator[Groups]:
    for part in parts(groups, lambda each: len(each[0]), FILTERS_IN_FRAME_MAX, NAMES_BYTES_MAX):
        yield Groups(full, part)
        full = False
    if full:
        yield Groups(True, [])


class PeersGroups:
    """The groups of the others, in one tree."""

    def __init__(self) -> None:
        self._tree: TopicTree[tuple[str, Peer]] = TopicTree()
        self._peers: dict[str, dict[str, Peer]] = {}  # by name and gateway

    def apply(self, peer: Peer, frame: Groups) -> list[str]:
        """Takes in what a peer said. Returns the groups that have connected members there now."""
        if frame.full:
            self.drop(peer)
        for name, here, away in frame.groups:
            if here or away:
                peer.groups[name] = (here, away)
                self._peers.setdefault(name, {})[peer.gateway] = peer
                self._tree.add(split_share(name)[1], (name, peer.gateway), (name, peer))
            elif name in peer.groups:
                self._remove(peer, name)
        return [name for name, here, _ in frame.groups if here]

    def drop(self, peer: Peer) -> None:
        """The peer is dead, or says all of it anew."""
        for name in list(peer.groups):
            self._remove(peer, name)

    def match(self, topic: str) -> dict[str, list[Peer]]:
        """The groups that match the topic, with the peers that have members."""
        found: dict[str, list[Peer]] = {}
        for name, peer in self._tree.match(topic):
            found.setdefault(name, []).append(peer)
        return found

    def peers(self, name: str) -> Iterable[Peer]:
        """The peers that have members of this group."""
        return self._peers.get(name, {}).values()

    def _remove(self, peer: Peer, name: str) -> None:
        del peer.groups[name]
        self._tree.remove(split_share(name)[1], (name, peer.gateway))
        del self._peers[name][peer.gateway]
        if not self._peers[name]:
            del self._peers[name]
