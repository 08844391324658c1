"""Messages as clients publish them at any gateway, shown to an operator at one of them.

    Watch >      from here on
    < Shown      that it is watched, or why not; then what comes, and how much was lost
    Unwatch >    no more

A gateway that is watched tells of so much in a tenth of a second; what is more waits in a short queue,
and is lost and counted there when that is full. A gateway that comes while somebody watches is watched,
too. Must not know what a step says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.limits import QUESTION_TIMEOUT_S
from gateway.mesh.frames import Shown, Unwatch, Watch
from gateway.mesh.link import Link
from gateway.mesh.local import Watched
from gateway.mesh.peer import Peer
from gateway.mesh.questions import LINK_BROKE, TIMED_OUT, why_not_asked
from gateway.timers import FOREVER

WATCHED_MAX = 4  # at one gateway at once, by all others together: as its own operators may have
SLOT_S = 0.1
SLOT_STEPS = 20  # told to one watcher in a slot: nobody reads 200 lines a second
SLOT_BYTES = 16_384  # the same; 160 kB a second leave room on a bad Wi-Fi
STEP_BYTES = 500  # of a step, without the texts of clients

Step = tuple[float, dict[str, Any]]


class Audience(Protocol):
    """Who watches."""

    def shown(self, gateway: str, steps: Sequence[Step], lost: int) -> None:
        """What came at the gateway of this name: when, in monotonic seconds here, and what; so many
        were lost there before these."""

    def silent(self, gateway: str, why: str) -> None:
        """Nothing is shown of the gateway of this name from here on."""


@dataclass(slots=True)
class _Watching:
    audience: Audience
    frame: Watch
    awaited: dict[str, float] = field(default_factory=dict)  # first words are due, by gateway


class Watching:
    """What operators here watch."""

    def __init__(self) -> None:
        self._last = 0
        self._all: dict[int, _Watching] = {}

    def begin(self, wanted: Watch, peers: Iterable[Peer], audience: Audience, now: float) -> int:
        """Watches every gateway; returns the number for `end`. The number of `wanted` does not count."""
        self._last += 1
        frame = Watch(self._last, wanted.filters, wanted.client, wanted.payload)
        watching = self._all[self._last] = _Watching(audience, frame)
        for peer in peers:
            why = why_not_asked(peer)
            if why:
                audience.silent(peer.name, why)
            else:
                _watch(watching, peer, now)
        return self._last

    def end(self, number: int, peers: Iterable[Peer]) -> None:
        """Nobody watches any more."""
        del self._all[number]
        for peer in peers:
            if peer.link is not None and not why_not_asked(peer):
                peer.link.say(Unwatch(number))

    def came(self, peer: Peer, now: float) -> None:
        """A gateway can be watched from here on."""
        if not why_not_asked(peer):
            for watching in self._all.values():
                _watch(watching, peer, now)

    def unlinked(self, peer: Peer) -> None:
        """A gateway's link is over."""
        for watching in self._all.values():
            watching.awaited.pop(peer.gateway, None)
            watching.audience.silent(peer.name, LINK_BROKE)

    def shown(self, peer: Peer, frame: Shown, now: float) -> None:
        """A gateway tells what came there; a watch that is over may be told a last time."""
        watching = self._all.get(frame.number)
        if watching is None:
            return
        watching.awaited.pop(peer.gateway, None)
        if frame.refused:
            watching.audience.silent(peer.name, frame.refused)
        if frame.steps or frame.lost:
            steps = [(now - ago_ms / 1000, what) for ago_ms, what in frame.steps]
            watching.audience.shown(peer.name, steps, frame.lost)

    def wake(self, peers: dict[str, Peer], now: float) -> None:
        """Names those that do not say that they are watched; they may still do so."""
        for watching in self._all.values():
            for gateway, due in list(watching.awaited.items()):
                if due <= now:
                    del watching.awaited[gateway]
                    watching.audience.silent(peers[gateway].name, TIMED_OUT)

    def deadline(self) -> float:
        """When the next one should have said something."""
        dues = [due for watching in self._all.values() for due in watching.awaited.values()]
        return min(dues, default=FOREVER)


def _watch(watching: _Watching, peer: Peer, now: float) -> None:
    assert peer.link is not None, "it can be asked"
    peer.link.say(watching.frame)
    watching.awaited[peer.gateway] = now + QUESTION_TIMEOUT_S


@dataclass(slots=True)
class _Watched:
    number: int
    link: Link
    here: Watched
    steps_left: int = 0
    bytes_left: int = 0
    slot_at: float = 0.0  # when there is room again
    more: bool = False  # something waits for it


class AllWatched:
    """What operators elsewhere watch here."""

    def __init__(self) -> None:
        self._all: list[_Watched] = []

    def full(self) -> bool:
        """Whether so many watch as may."""
        return len(self._all) >= WATCHED_MAX

    def begin(self, link: Link, number: int, here: Watched) -> None:
        """The gateway at the other end of the link watches."""
        self._all.append(_Watched(number, link, here))
        link.say(Shown(number, []))

    def end(self, link: Link, number: int | None = None) -> None:
        """It does not watch this any more, or, its link being over, nothing at all."""
        for each in list(self._all):
            if each.link is link and number in (None, each.number):
                self._all.remove(each)
                each.here.end()

    def tell(self, now: float) -> None:
        """Says what has come since the last call, as far as there is room for it."""
        for each in self._all:
            if each.slot_at <= now:
                each.slot_at = now + SLOT_S
                each.steps_left = SLOT_STEPS
                each.bytes_left = min(each.bytes_left, 0) + SLOT_BYTES  # a long topic is paid off
            _tell(each, now)

    def deadline(self) -> float:
        """When there is room for what waits."""
        return min((each.slot_at for each in self._all if each.more), default=FOREVER)


def _tell(watched: _Watched, now: float) -> None:
    steps: list[Step] = []
    lost = 0
    watched.more = True
    while watched.steps_left > 0 and watched.bytes_left > 0:
        entry = watched.here.take()
        if entry is None:
            watched.more = False
            break
        if isinstance(entry, int):
            lost += entry
            continue
        at, what = entry
        steps.append((max(0.0, now - at) * 1000, what))
        watched.steps_left -= 1
        watched.bytes_left -= STEP_BYTES + sum(
            len(text) for text in what.values() if isinstance(text, str)
        )
    if steps or lost:
        watched.link.say(Shown(watched.number, steps, lost))
