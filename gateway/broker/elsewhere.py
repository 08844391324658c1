"""What the broker asks of the other gateways, as an interface that the mesh fulfils.

`Nowhere` is the answer of a gateway that stands alone. Must not know links, peers or frames.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.clock import MeshClock
from gateway.ids import NEVER, Stamp
from gateway.moves import Move
from gateway.mqtt.message import Message
from gateway.table import Row
from gateway.tickets import Ticket


class Outlet(Protocol):
    """One other gateway, as a place to put a message."""

    def offer(self, message: Message, stamp: Stamp | None, ticket: Ticket | None) -> None:
        """Sends the message there once; holds the ticket until that gateway has taken it."""


class Elsewhere(Protocol):
    """The mesh as the broker sees it."""

    def interested(self, topic: str) -> Sequence[Outlet]:
        """The gateways with a subscriber to this topic."""

    def everyone(self) -> Sequence[Outlet]:
        """Every gateway that is linked now: a retained message goes to all."""

    def crowded(self) -> bool:
        """Whether so much waits for some gateway that publishers should pause."""

    def stamp(self, now: float) -> Stamp:
        """A stamp newer than every one seen so far."""

    def subscribed(self, topic_filter: str) -> None:
        """The first session here subscribed to this filter."""

    def unsubscribed(self, topic_filter: str) -> None:
        """No session here subscribes to this filter any more."""

    def connected(self, client_id: str, ticket: Ticket, now: float) -> None:
        """A client came in: a gateway that has it lets it go, and until then the ticket is held."""

    def disconnected(self, client_id: str) -> None:
        """A client is gone."""

    def rows_changed(self, table: str, rows: Sequence[tuple[str, Row]]) -> None:
        """Rows of a table that all gateways have were changed here."""

    def touched(self) -> None:
        """Something is about to be told by `rows_changed` that `hold_until_known` must wait for."""

    def hold_until_known(self, ticket: Ticket, now: float) -> None:
        """Holds the ticket until every live peer knows subscriptions, clients and rows as they are."""

    def hold_until_taken(self, ticket: Ticket) -> None:
        """Holds the ticket until every live peer has taken what it was offered so far."""

    def gateways(self) -> Sequence[str]:
        """The other gateways that can be told of moves, and are not dead."""

    def reaches(self, gateway: str) -> bool:
        """Whether the gateway lives, as far as is known here, and is linked."""

    def name_of(self, gateway: str) -> str:
        """What a person calls the gateway."""

    def tell(self, gateway: str, move: Move) -> None:
        """Says something in the order of the messages to that gateway, once, over broken links too;
        nothing comes of it if the gateway is dead, or dies."""

    def is_connected(self, client_id: str, gateway: str) -> bool:
        """Whether the client is connected at that gateway, as it says."""

    def connected_since(self, client_id: str) -> Stamp:
        """When a client that is connected here came; NEVER: it is not."""


class Nowhere:
    """No other gateway. `clock` orders what happens here, over restarts too."""

    def __init__(self, clock: MeshClock | None = None) -> None:
        self._clock = clock or MeshClock("", 0, 0.0)

    def interested(self, topic: str) -> Sequence[Outlet]:
        return ()

    def everyone(self) -> Sequence[Outlet]:
        return ()

    def crowded(self) -> bool:
        return False

    def stamp(self, now: float) -> Stamp:
        return self._clock.stamp(now)

    def subscribed(self, topic_filter: str) -> None:
        return None

    def unsubscribed(self, topic_filter: str) -> None:
        return None

    def connected(self, client_id: str, ticket: Ticket, now: float) -> None:
        return None

    def disconnected(self, client_id: str) -> None:
        return None

    def rows_changed(self, table: str, rows: Sequence[tuple[str, Row]]) -> None:
        return None

    def touched(self) -> None:
        return None

    def hold_until_known(self, ticket: Ticket, now: float) -> None:
        return None

    def hold_until_taken(self, ticket: Ticket) -> None:
        return None

    def gateways(self) -> Sequence[str]:
        return ()

    def reaches(self, gateway: str) -> bool:
        return False

    def name_of(self, gateway: str) -> str:
        return gateway

    def tell(self, gateway: str, move: Move) -> None:
        return None

    def is_connected(self, client_id: str, gateway: str) -> bool:
        return False

    def connected_since(self, client_id: str) -> Stamp:
        return NEVER
