"""What a session on its way between two gateways carries with it, and what a CONNECT asks for.

While a session moves, each gateway's messages are for it at one of the two ends: `barred` are those
whose messages are not for it at this one. Must not know how it moves.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from gateway.broker.courier import Courier
from gateway.broker.quarrels import Quarrel
from gateway.ids import Stamp
from gateway.moves import Move
from gateway.mqtt.message import Message
from gateway.mqtt.reasons import Reason
from gateway.table import Row
from gateway.tickets import Ticket

HERE = ""  # this gateway, where the origin of a message is asked

# Gateways from whose copies a session was taken, or that gave part of what was left there: what each of
# them has itself is new beyond that message number. True: whatever it is; False: of the queue alone.
Had: TypeAlias = tuple[tuple[str, int, bool], ...]
HAD_MAX = 32  # of one session: as many as there may be gateways


def with_had(had: Had, gateway: str, number: int, whole: bool) -> Had:
    """The same, with what is known now of this gateway's copy."""
    return (*without_had(had, gateway), (gateway, number, whole))[-HAD_MAX:]


def without_had(had: Had, gateway: str) -> Had:
    """That gateway has nothing any more."""
    return tuple(each for each in had if each[0] != gateway)


class _Everybody:
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


EVERYBODY: Container[str] = _Everybody()


def new_token(stamp: Stamp) -> int:
    """Names one move: no other one of this client id has it."""
    return stamp.time_ms << 16 | stamp.counter & 0xFFFF


@dataclass(slots=True)
class Passage:
    """Of a session that comes, goes, or belongs to another gateway now.

    `own`: it is this gateway's to serve and to tell the others of. `owed` is the gateway that may have
    more of its queue, with the last of its message numbers that are here; empty: none has. If it is the
    one with the copy of another's store, that is called `copy`.
    `token` is of the move by which it came here: who says that it is through with that is not barred
    any more. `handed_on`: what its client has handed over is the other gateway's to release.
    """

    own: bool
    barred: Container[str] = field(default_factory=set)
    owed: tuple[str, int] = (HERE, 0)
    handed_on: bool = False
    token: int = 0
    copy: str = ""


@dataclass(eq=False, slots=True)
class Wish:
    """A CONNECT that waits for its session. One of `go` and `refuse` is called, once, unless the
    connection ended meanwhile (`wanted` says so)."""

    client_id: str
    clean: bool
    user: str
    address: str
    wanted: Callable[[], bool]
    go: Callable[[], None]
    refuse: Callable[[Reason, str], None]


class Fetching(Protocol):
    """Whoever brings sessions from other gateways (`moving.py`)."""

    def fetch(self, wish: Wish) -> bool:
        """False: all that there is of the session is here. Else the wish is granted later."""

    def due(self, client_id: str, now: float) -> float:
        """When a CONNECT with this client id is to be looked at; not after `now`: at once."""


class Moving(Fetching, Protocol):
    """The same as the broker and the mesh use it; `moving.py` says what each is for."""

    def rows_came(self, rows: Sequence[tuple[str, Row]]) -> None: ...

    def restored(self) -> None: ...

    def turn(self) -> None: ...

    def gateway_came(self, gateway: str) -> None: ...

    def gateway_gone(self, gateway: str) -> None: ...

    def gateway_lost(self, gateway: str) -> None: ...

    def gateway_found(self, gateway: str) -> None: ...

    def keep_for(
        self, gateway: str, messages: Sequence[tuple[int, Message, list[Ticket]]]
    ) -> None: ...

    def kept_there(self, gateway: str, number: int) -> None: ...

    def heard(self, gateway: str, move: Move) -> None: ...

    def quarrels(self, now: float) -> list[Quarrel]: ...

    def moving(self) -> tuple[int, int]: ...

    def couriers(self) -> Mapping[str, Courier]: ...
