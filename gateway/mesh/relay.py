"""Links of others that go over this gateway: their bytes are passed on, once.

    A > C    Relayed, from A to B     taken from A itself only
    C > B    the same                 over a link of C's own only: one hop, and never a loop

Nothing is kept but counts: what is passed on stands in the link to the other side at once. The two ends
bound what is under way by saying what they have taken; a link that does not keep to it is ended, and so
is one too many. So reading never stops for the sake of others, and what this gateway has to say itself
is behind some windows at most. Must not know what is said on a link.
"""

from dataclasses import dataclass

from gateway.limits import ROAD_WINDOW_BYTES, ROADS_MAX
from gateway.mesh.frames import Relayed
from gateway.mesh.link import Link, LinkState
from gateway.mesh.peer import ROADS
from gateway.mesh.state import MeshState

Key = tuple[str, str, int]  # both ends, the lower id first, and the number


@dataclass(slots=True)
class Passage:
    """By the end from which it comes: its link, bytes that came, and what the other end has taken."""

    links: dict[str, Link]
    came: dict[str, int]
    taken: dict[str, int]


class Relay:
    """`passed_bytes`, and links that were `refused` or ended here, since the start."""

    def __init__(self, state: MeshState) -> None:
        self.passed_bytes = 0
        self.refused = 0
        self._state = state
        self._passages: dict[Key, Passage] = {}

    def __len__(self) -> int:
        return len(self._passages)

    def pass_on(self, source: Link, frame: Relayed) -> None:
        """One of its ends says this to the other."""
        one, other = sorted((frame.origin, frame.target))
        key = one, other, frame.number
        passage = self._passages.get(key)
        if passage is None and frame.first:
            passage = self._open(key, source, frame)
        if passage is None:
            if not frame.over:
                self._refuse(source, frame, "the relay knows no such link, or has no way")
            return
        passage.came[frame.origin] += len(frame.payload)
        passage.taken[frame.target] = frame.taken
        if frame.over:
            del self._passages[key]
        elif not self._bounded(passage):
            self._end(key, "more was under way than may be")
            return
        self.passed_bytes += len(frame.payload)
        passage.links[frame.target].say(frame)

    def turn(self) -> None:
        """A turn ends: what goes over a link that is over ends on the other side, too."""
        for key, passage in list(self._passages.items()):
            if not all(self._stands(link) for link in passage.links.values()):
                self._end(key, "the relay's link broke")

    def _open(self, key: Key, source: Link, frame: Relayed) -> Passage | None:
        target = self._state.peers.get(frame.target)
        if target is None or target.link is None or not target.speaks(ROADS):
            return None
        if not self._stands(target.link) or len(self._passages) >= ROADS_MAX:
            return None
        links = {frame.origin: source, frame.target: target.link}
        passage = Passage(links, dict.fromkeys(links, 0), dict.fromkeys(links, 0))
        self._passages[key] = passage
        return passage

    def _stands(self, link: Link) -> bool:
        """Whether it is this gateway's own, and the other one's present."""
        peer = self._state.peers.get(link.gateway)
        up = link.state is LinkState.UP and not link.via
        return up and peer is not None and peer.link is link

    def _bounded(self, passage: Passage) -> bool:
        return all(
            0 <= passage.came[end] - passage.taken[end] <= ROAD_WINDOW_BYTES
            for end in passage.links
        )

    def _refuse(self, source: Link, frame: Relayed, why: str) -> None:
        self.refused += frame.first
        source.say(Relayed(frame.target, frame.origin, frame.number, over=why))

    def _end(self, key: Key, why: str) -> None:
        """Both ends are told, as far as they can be."""
        passage = self._passages.pop(key)
        one, other, number = key
        self.refused += 1
        for origin, target in ((one, other), (other, one)):
            if self._stands(passage.links[target]):
                passage.links[target].say(Relayed(origin, target, number, over=why))
