"""The wills that a gateway keeps for others, by gateway and by its start.

Must not know when one is sent, or who is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from gateway.limits import WILLS_KEPT_BYTES_MAX
from gateway.mesh.frames import KeptWill
from gateway.mesh.own_wills import bytes_of
from gateway.timers import FOREVER

WILL_BYTES = 400  # of one that is kept, without its texts
NAME_BYTES = 100  # of a client whose will was sent, beside its name


class End(Enum):
    """How a start of a gateway ended."""

    DEAD = "nothing is heard from it"
    STOPPED = "it stopped on purpose"
    BEGAN_ANEW = "it is back, without a memory"


@dataclass(slots=True)
class Estate:
    """The wills of one start of a gateway. `settled` are clients whose will is not to be sent any more,
    `news` those of them that the others have not been told of. `end` is None while it lives. `due` is
    when the first is to be sent, or earlier."""

    choice: int
    wills: dict[str, KeptWill] = field(default_factory=dict)
    gone: dict[str, float] = field(
        default_factory=dict
    )  # when wills are due that were delayed there
    settled: dict[str, None] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)
    end: End | None = None
    over_at: float = 0.0
    due: float = FOREVER


class Estates:
    """What is kept here. `refused` wills found no room."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, str], Estate] = {}  # by gateway and start
        self.bytes = 0
        self.refused = 0
        self.sent = 0

    def count(self) -> int:
        """Wills that are kept."""
        return sum(len(estate.wills) for estate in self.all.values())

    def put(self, estate: Estate, will: KeptWill, now: float) -> None:
        """Keeps a will, if there is room for it."""
        self.drop(estate, will.client_id)
        size = WILL_BYTES + bytes_of(will)
        if self.bytes + size > WILLS_KEPT_BYTES_MAX:
            self.refused += 1
            return
        self.bytes += size
        estate.wills[will.client_id] = will
        if will.gone:
            estate.gone[will.client_id] = now + will.delay_ms / 1000

    def drop(self, estate: Estate, client_id: str) -> KeptWill | None:
        """Keeps a client's will no more."""
        will = estate.wills.pop(client_id, None)
        estate.gone.pop(client_id, None)
        if will is not None:
            self.bytes -= WILL_BYTES + bytes_of(will)
        return will

    def clear(self, estate: Estate) -> None:
        """Keeps none of them any more."""
        for client_id in list(estate.wills):
            self.drop(estate, client_id)

    def settle(self, estate: Estate, names: Iterable[str]) -> None:
        """The wills of these clients are not to be sent any more."""
        for name in names:
            self.drop(estate, name)
            size = NAME_BYTES + len(name)
            if name not in estate.settled and self.bytes + size <= WILLS_KEPT_BYTES_MAX:
                estate.settled[name] = None
                self.bytes += size

    def revive(self, estate: Estate) -> None:
        """Its gateway is heard: what was sent meanwhile was sent too early, and may be due again."""
        estate.end, estate.due = None, FOREVER
        self.bytes -= sum(NAME_BYTES + len(name) for name in estate.settled)
        estate.settled.clear()

    def forget(self, key: tuple[str, str]) -> None:
        """Nobody needs to know of it any more."""
        estate = self.all.pop(key)
        self.clear(estate)
        self.bytes -= sum(NAME_BYTES + len(name) for name in estate.settled)
