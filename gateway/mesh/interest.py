"""Who wants which topics: what sessions here subscribe to, told to all; and what the others told.

Versions number the states of our own interest; a barrier waits until every linked peer has the
present one, or a second has passed. Must not know sessions, or how frames travel.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.limits import FILTERS_IN_FRAME_MAX, INTEREST_TIMEOUT_S
from gateway.mesh.frames import Interest
from gateway.mesh.parts import parts
from gateway.mesh.peer import Peer
from gateway.mqtt.tree import TopicTree
from gateway.tickets import Ticket
from gateway.timers import FOREVER

FILTERS_BYTES_MAX = 1_048_576  # of one frame: a filter may have 64 kB


class OwnInterest:
    """The filters of sessions here. Changes of one turn leave in one frame."""

    def __init__(self) -> None:
        self.version = 0
        self._changed = False
        self._changes: dict[str, bool] = {}

    def change(self, topic_filter: str, wanted: bool) -> None:
        """The first session subscribed, or the last one left."""
        self.touch()
        if self._changes.get(topic_filter) is (not wanted):
            del self._changes[topic_filter]  # there and back within a turn: nothing to tell
        else:
            self._changes[topic_filter] = wanted

    def touch(self) -> None:
        """Something else changed that the others must know as of this version: who is connected."""
        if not self._changed:
            self._changed = True
            self.version += 1

    def delta(self) -> list[Interest]:
        """The frames that tell what changed since the last call."""
        if not self._changed:
            return []
        add = [topic_filter for topic_filter, wanted in self._changes.items() if wanted]
        remove = [topic_filter for topic_filter, wanted in self._changes.items() if not wanted]
        self._changed, self._changes = False, {}
        return list(_frames(self.version, False, add, remove))

    def full(self, filters: Iterable[str]) -> list[Interest]:
        """The frames that tell a peer everything, for a new link."""
        return list(_frames(self.version, True, list(filters), []))


def _frames(version: int, full: bool, add: list[str], remove: list[str]) -> Iterable[Interest]:
    """One version in frames of bounded size; only the last one completes it."""
    size = FILTERS_IN_FRAME_MAX, FILTERS_BYTES_MAX
    pieces = [(True, part) for part in parts(add, len, *size)]
    pieces += [(False, part) for part in parts(remove, len, *size)]
    for number, (wanted, part) in enumerate(pieces or [(True, [])]):
        more = number < len(pieces) - 1
        yield Interest(
            version, full and not number, part if wanted else [], [] if wanted else part, more
        )


class PeersInterest:
    """The filters of the others, in one tree."""

    def __init__(self) -> None:
        self._tree: TopicTree[Peer] = TopicTree()

    def apply(self, peer: Peer, frame: Interest) -> None:
        """Takes in what a peer said."""
        if frame.full:
            self.drop(peer)
        for topic_filter in frame.remove:
            if topic_filter in peer.filters:
                del peer.filters[topic_filter]
                self._tree.remove(topic_filter, peer)
        for topic_filter in frame.add:
            peer.filters[topic_filter] = None
            self._tree.add(topic_filter, peer, peer)

    def drop(self, peer: Peer) -> None:
        """The peer is dead: nothing goes there."""
        for topic_filter in peer.filters:
            self._tree.remove(topic_filter, peer)
        peer.filters.clear()

    def match(self, topic: str) -> list[Peer]:
        """The peers with a subscriber to this topic, each once."""
        return list(dict.fromkeys(self._tree.match(topic)))


@dataclass(slots=True)
class _Barrier:
    version: int
    deadline: float
    ticket: Ticket


class Barriers:
    """Tickets that wait for all linked peers to know a version of our interest."""

    def __init__(self) -> None:
        self.timeouts = 0
        self._waiting: deque[_Barrier] = deque()

    def hold(self, version: int, peers: Iterable[Peer], ticket: Ticket, now: float) -> None:
        """Holds the ticket if some linked peer does not know the version."""
        if any(peer.link is not None and peer.knows < version for peer in peers):
            ticket.hold()
            self._waiting.append(_Barrier(version, now + INTEREST_TIMEOUT_S, ticket))

    def check(self, peers: Iterable[Peer], now: float) -> None:
        """Releases what is known everywhere, or has waited long enough; to be called at any change."""
        known = min((peer.knows for peer in peers if peer.link is not None), default=FOREVER)
        while self._waiting:
            first = self._waiting[0]
            if first.version > known and first.deadline > now:
                return
            self.timeouts += first.version > known
            self._waiting.popleft()
            first.ticket.release()

    def postpone(self, version: int) -> None:
        """Whoever waits, waits for this version: others have to know it."""
        for barrier in self._waiting:
            barrier.version = version

    def waiting(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def deadline(self) -> float:
        """When the oldest barrier gives up."""
        return self._waiting[0].deadline if self._waiting else FOREVER
