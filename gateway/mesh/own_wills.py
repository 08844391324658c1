"""The wills of this gateway's clients, as it tells them to the one that keeps them.

What changed within a turn is told together; a new keeper, or a new link to it, gets all. Must not know
who keeps them, or what becomes of them there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.ids import NEVER
from gateway.limits import BATCH_BYTES_MAX
from gateway.mesh.frames import KeptWill, Wills
from gateway.mesh.interest import Barriers
from gateway.mesh.link import Link
from gateway.mesh.parts import parts
from gateway.mesh.reconcile import entry_of
from gateway.mqtt.message import Message

IN_FRAME_MAX = 1_000  # a will of 10 kB and more ends a frame sooner
ENTRY_BYTES = 100  # of one in a frame, near enough, without its texts


@dataclass(slots=True)
class OwnWill:
    """`delay_s` counts from the end of the connection; `due` is when it will be sent, where that is
    over. `since` is the stamp of the connection."""

    message: Message
    delay_s: float
    due: float | None = None
    since: tuple[int, int] = (0, 0)

    def kept(self, client_id: str, now: float) -> KeptWill:
        """As it goes over a link."""
        message, gone = self.message, self.due is not None
        left_s = self.delay_s if self.due is None else max(0.0, self.due - now)
        # a stamp stands for retained; the real one is made when it is sent
        entry = entry_of(message, NEVER if message.retain else None, now)
        return KeptWill(client_id, self.since, entry, int(left_s * 1000), gone)


@dataclass(slots=True)
class OwnWills:
    """`keeper` has all on `link`; `choice` counts how often one was chosen, and `told` are those that
    heard of wills. `barriers` are CONNACKs that
    wait for it, `recent` the wills of these, which nobody else knows."""

    keeper: str = ""
    link: Link | None = None
    choice: int = 0
    told: set[str] = field(default_factory=set)
    changed: dict[str, OwnWill | None] = field(default_factory=dict)
    recent: dict[str, OwnWill] = field(default_factory=dict)
    barriers: Barriers = field(default_factory=Barriers)

    def delta(self, now: float) -> Iterator[Wills]:
        """What changed since the last call."""
        changed, self.changed = self.changed, {}
        add = [will.kept(name, now) for name, will in changed.items() if will is not None]
        remove = [name for name, will in changed.items() if will is None]
        return _frames(self.choice, False, add, remove)

    def full(self, wills: dict[str, OwnWill], now: float) -> Iterator[Wills]:
        """All of them."""
        return _frames(self.choice, True, [w.kept(name, now) for name, w in wills.items()], [])


def _frames(choice: int, full: bool, add: list[KeptWill], remove: Iterable[str]) -> Iterator[Wills]:
    for part in parts(add, bytes_of, IN_FRAME_MAX, BATCH_BYTES_MAX):
        yield Wills(choice, full, part, [])
        full = False
    for names in parts(remove, len, IN_FRAME_MAX, BATCH_BYTES_MAX):
        yield Wills(choice, full, [], names)
        full = False
    if full:
        yield Wills(choice, True, [], [])


def bytes_of(will: KeptWill) -> int:
    """What it takes in a frame, and near enough in memory."""
    entry = will.entry
    size = len(entry.payload) + len(entry.field) + len(entry.properties)
    return size + 2 * len(will.client_id) + ENTRY_BYTES
