"""What the mesh asks of the broker on its own gateway, as an interface that the node fulfils.

Must not know sessions or connections.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from gateway.arrival import Arrival
from gateway.ids import Stamp
from gateway.moves import Move
from gateway.mqtt.message import Message
from gateway.table import Row, Table
from gateway.tickets import Ticket


class Stamped(Protocol):
    """What a store has under a name, with when it was set."""

    @property
    def stamp(self) -> Stamp: ...


class Compared(Protocol):
    """A store that another gateway has, too."""

    def digest(self) -> list[int]:
        """One number a bucket."""

    def bucket(self, number: int) -> Iterator[tuple[str, Stamped]]:
        """What lies in one bucket."""


class RetainedEntry(Protocol):
    """A retained message, or with None its tombstone, and when it was set."""

    @property
    def stamp(self) -> Stamp: ...

    @property
    def message(self) -> Message | None: ...


class RetainedStore(Protocol):
    """The broker's retained messages, to be compared with another gateway's."""

    def digest(self) -> list[int]:
        """One number a bucket."""

    def bucket(self, number: int) -> Iterator[tuple[str, RetainedEntry]]:
        """What lies in one bucket."""


class Watched(Protocol):
    """What clients here publish, for an operator at another gateway."""

    def take(self) -> tuple[float, dict[str, Any]] | int | None:
        """The next message and when it came, or how many were lost here; None: that is all."""

    def end(self) -> None:
        """He does not watch any more."""


class Local(Protocol):
    """The broker as the mesh sees it."""

    @property
    def retained(self) -> RetainedStore:
        """The retained messages here."""

    def stores(self) -> bool:
        """Whether the disk here takes what must be kept."""

    def copied(self, number: int | None, now: float) -> None:
        """The copy of the store has all batches up to this one; None: it is not waited for."""

    def begin_copy(self, anew: bool) -> int:
        """`copy_slice` is to ship all that lives; but for rows, if the copy has them (not `anew`).

        Returns the number of the last batch that has begun.
        """

    def copy_slice(self, now: float) -> None:
        """The next of it is to be shipped, as soon as that can be."""

    def end_copy(self) -> None:
        """What was begun is not gone on with."""

    def copy_is_long(self) -> bool:
        """Whether writing all that lives to the end of the copy frees about as much as it writes."""

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables that all gateways have, by name."""

    def rows_came(self, table: str, rows: Sequence[tuple[str, Row]], now: float) -> None:
        """Another gateway has these rows: news here, or not."""

    def arrived(self, messages: list[Message], arrival: Arrival, now: float) -> None:
        """Another gateway accepted these, of one client, topic and QoS; one, if it is retained (or,
        empty, deletes a topic's)."""

    def position(self, gateway: str, start: str) -> int:
        """Up to where the disk has the stream of this start of a gateway; 0 if of another start."""

    def keep_position(self, gateway: str, start: str, number: int) -> None:
        """What has come up to this number is on disk as soon as this is."""

    def caught_up(self, message: Message, stamp: Stamp, now: float) -> None:
        """Another gateway has this retained (or, empty, deleted): news here, or not."""

    def from_gateway(self, gateway: str) -> None:
        """What arrives from here on was accepted by that gateway; empty: it is over."""

    def heard(self, gateway: str, move: Move, now: float) -> None:
        """Another gateway says something about a session that moves."""

    def gateway_came(self, gateway: str, now: float) -> None:
        """A stream of that gateway begins, and nothing of it has come."""

    def gateway_gone(self, gateway: str, now: float) -> None:
        """Its stream is over, and so is ours to it: it is dead, or is not what it was."""

    def gateway_lost(self, gateway: str, now: float) -> None:
        """It is dead: what its sessions want is asked of the registry."""

    def gateway_found(self, gateway: str, now: float) -> None:
        """It is back, and has said what its sessions want and which they are."""

    def keep_for(
        self, gateway: str, messages: Sequence[tuple[int, Message, list[Ticket]]], now: float
    ) -> bool:
        """That gateway was given these, by the numbers of their entries, and is gone: they are kept here
        for its sessions, and the tickets are held until they are. False: there is no disk."""

    def kept_there(self, gateway: str, number: int, now: float) -> None:
        """It is back, and has the entries up to this number."""

    def turn(self, now: float) -> None:
        """A turn ends: what is to be told of it to other gateways has to be said."""

    def silent_s(self, client_id: str, now: float) -> float:
        """For how long nothing was heard from a client that is connected here."""

    def taken_over(self, client_id: str, where: str, now: float) -> None:
        """A client that is connected here has connected at another gateway since."""

    def asked(
        self, what: str, client: str, limit: int, orphans: bool, who: str, now: float
    ) -> dict[str, Any] | None:
        """An operator at the gateway `who` asks this; None: there is nothing of it here.

        Raises ValueError for what is no question.
        """

    def watch(self, filters: Sequence[str], client: str, payload: bool) -> Watched:
        """Begins to watch; ValueError for what is no filter."""

    def arrived_shared(
        self, message: Message, name: str, ticket: Callable[[], Ticket] | None, now: float
    ) -> None:
        """Another gateway chose a member of this shared subscription here for the message; the ticket is
        held until it is kept, if it must be."""

    def groups(self) -> list[tuple[str, int, int]]:
        """Shared subscriptions of sessions here: how many are connected, and how many away."""

    def group(self, name: str) -> tuple[int, int]:
        """The same of one; none at all if there is no such one."""

    def members_came(self, names: Iterable[str], now: float) -> None:
        """These shared subscriptions have connected members at another gateway."""

    def wills(self, now: float) -> Iterator[tuple[str, Message, float, float | None]]:
        """The wills of clients here, by client id: the delay that begins when the connection ends, and
        where that is over, when it is due."""

    def send_will(self, message: Message, now: float) -> None:
        """Publishes the will of a client whose gateway is dead."""

    def came_elsewhere(self, client_id: str, clean: bool, now: float) -> None:
        """A client has connected at another gateway; `clean`: what it had before is over."""

    def drop_wills(self, clients: Sequence[str], now: float) -> None:
        """Another gateway has sent, or will send, the wills of these that an earlier start left."""

    def restamp(self, topic: str, now: float) -> None:
        """What others have retained under the topic since is a mistake: what is here holds."""

    def filters(self) -> Sequence[str]:
        """Every filter that a session here subscribes to."""

    def interest_changed(self) -> None:
        """Other gateways want other topics than before."""

    def uncrowd(self) -> None:
        """The other gateways can take more again."""

    def hold(self) -> None:
        """What clients say waits until `unhold`."""

    def unhold(self, now: float) -> None:
        """Clients go on."""

    def insist(self, ticket: Ticket) -> None:
        """Holds the ticket until the disk has all that was given to it."""

    def mute(self) -> None:
        """Nothing leaves to clients until `unmute`."""

    def unmute(self) -> None:
        """What waited leaves."""

    def late_after(self, when: float) -> None:
        """An input of a client that comes after this is told to the mesh first (`overslept`)."""

    def meet(self) -> None:
        """It is not known whose sessions are whose: who connects waits until `met`."""

    def met(self, now: float) -> None:
        """It is known, as far as it can be."""
