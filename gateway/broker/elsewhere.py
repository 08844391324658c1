"""What the broker asks of the other gateways, as an interface that the mesh fulfils.

`Nowhere` is the answer of a gateway that stands alone. Must not know links, peers or frames.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

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

    def offer_shared(self, message: Message, name: str, moves: int, ticket: Ticket | None) -> None:
        """The same, for one member of this shared subscription there, and nobody else; `moves` is how
        often a gateway gave it up before."""

    def reachable(self) -> bool:
        """Whether the gateway is heard now."""


Far: TypeAlias = tuple[Outlet, int, int]  # members of a group at a gateway: connected, away


class Elsewhere(Protocol):
    """The mesh as the broker sees it."""

    def interested(self, topic: str) -> Sequence[Outlet]:
        """The gateways with a subscriber to this topic."""

    def shared(self, topic: str) -> Mapping[str, Sequence[Far]]:
        """The shared subscriptions that match the topic and have members elsewhere, by name."""

    def members(self, name: str) -> Sequence[Far]:
        """The members that a shared subscription has elsewhere."""

    def group_changed(self, name: str) -> None:
        """A shared subscription has other members here than before, or they came or went."""

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

    def connected(self, client_id: str, clean: bool, ticket: Ticket, now: float) -> None:
        """A client came in: a gateway that has it lets it go, and until then the ticket is held.

        `clean`: what it had before is over.
        """

    def keep_will(
        self,
        client_id: str,
        will: Message,
        delay_s: float,
        due: float | None,
        ticket: Ticket | None,
        now: float,
    ) -> None:
        """A client has this will; `due` is when it is sent, where the delay runs already. The ticket is
        held until another gateway has it, to send it if this one dies."""

    def forget_will(self, client_id: str) -> None:
        """The will was sent, or is not to be."""

    def disconnected(self, client_id: str) -> None:
        """A client is gone."""

    def rows_changed(self, table: str, rows: Sequence[tuple[str, Row]]) -> None:
        """Rows of a table that all gateways have were changed here."""

    def touched(self) -> None:
        """Something is about to be told by `rows_changed` that `hold_until_known` must wait for."""

    def overslept(self, now: float) -> None:
        """An input comes so late that this gateway must have been asleep: clients are to wait until it
        is known what became of it."""

    def hold_until_known(self, ticket: Ticket, now: float) -> None:
        """Holds the ticket until every live peer knows subscriptions, clients and rows as they are."""

    def hold_until_taken(self, ticket: Ticket) -> None:
        """Holds the ticket until every live peer has taken what it was offered so far."""

    def gateways(self) -> Sequence[str]:
        """The other gateways that can be told of moves, and are not dead."""

    def heard_lately(self, gateway: str) -> bool:
        """Whether it was heard a moment ago, or may not have been met yet: it may be reached soon."""

    def others_hear(self, gateway: str) -> bool:
        """Whether other gateways hear it: it lives, and is reached over one of them within seconds."""

    def is_deaf(self, gateway: str, other: str) -> bool:
        """Whether that gateway says that it does not hear the other one, which is heard here."""

    def reaches(self, gateway: str) -> bool:
        """Whether the gateway lives, as far as is known here, and is linked."""

    def own_start(self) -> str:
        """What others call this start of this gateway."""

    def unkept(self, gateway: str) -> Sequence[tuple[int, Message]]:
        """What that gateway was given for sessions there at QoS 1 and 2, and has not said to keep, by
        the numbers of its entries. Nothing of what was taken from it since it is lost."""

    def is_lost(self, gateway: str) -> bool:
        """Whether the gateway is dead, or unknown, or is back and has not said all yet that it says
        first: what its sessions want is not known from itself."""

    def is_given_up(self, gateway: str) -> bool:
        """Whether it is forgotten, and what it has will never be taken in."""

    def name_of(self, gateway: str) -> str:
        """What a person calls the gateway."""

    def tell(self, gateway: str, move: Move) -> None:
        """Says something in the order of the messages to that gateway, once, over broken links too;
        nothing comes of it if the gateway is dead, or dies."""

    def is_connected(self, client_id: str, gateway: str) -> bool:
        """Whether the client is connected at that gateway, as it says."""

    def connected_since(self, client_id: str) -> Stamp:
        """When a client that is connected here came; NEVER: it is not."""

    def copy_of(self, gateway: str) -> str:
        """A gateway that lives and has a copy of that one's store, this one or another; empty: none."""

    def read_copy(
        self,
        owner: str,
        lost: bool,
        make: Callable[[Any, Any], Any],
        then: Callable[[Any, str], None],
    ) -> None:
        """Reads the copy of that gateway's store that is here, or (`lost`) of the one before that.

        `make(rows, batches)` is called where it keeps nobody waiting, and may touch nothing that is in
        use; then, in a turn, `then(made, why)`, where `why` says that there is no copy.
        """


class Nowhere:
    """No other gateway. `clock` orders what happens here, over restarts too."""

    def __init__(self, clock: MeshClock | None = None) -> None:
        self._clock = clock or MeshClock("", 0, 0.0)

    def interested(self, topic: str) -> Sequence[Outlet]:
        return ()

    def shared(self, topic: str) -> Mapping[str, Sequence[Far]]:
        return {}

    def members(self, name: str) -> Sequence[Far]:
        return ()

    def group_changed(self, name: str) -> None:
        return None

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

    def connected(self, client_id: str, clean: bool, ticket: Ticket, now: float) -> None:
        return None

    def keep_will(
        self,
        client_id: str,
        will: Message,
        delay_s: float,
        due: float | None,
        ticket: Ticket | None,
        now: float,
    ) -> None:
        return None

    def forget_will(self, client_id: str) -> None:
        return None

    def disconnected(self, client_id: str) -> None:
        return None

    def rows_changed(self, table: str, rows: Sequence[tuple[str, Row]]) -> None:
        return None

    def touched(self) -> None:
        return None

    def overslept(self, now: float) -> None:
        return None

    def hold_until_known(self, ticket: Ticket, now: float) -> None:
        return None

    def hold_until_taken(self, ticket: Ticket) -> None:
        return None

    def gateways(self) -> Sequence[str]:
        return ()

    def heard_lately(self, gateway: str) -> bool:
        return False

    def others_hear(self, gateway: str) -> bool:
        return False

    def is_deaf(self, gateway: str, other: str) -> bool:
        return False

    def reaches(self, gateway: str) -> bool:
        return False

    def own_start(self) -> str:
        return ""

    def unkept(self, gateway: str) -> Sequence[tuple[int, Message]]:
        return ()

    def is_lost(self, gateway: str) -> bool:
        return False

    def is_given_up(self, gateway: str) -> bool:
        return False

    def name_of(self, gateway: str) -> str:
        return gateway

    def tell(self, gateway: str, move: Move) -> None:
        return None

    def is_connected(self, client_id: str, gateway: str) -> bool:
        return False

    def connected_since(self, client_id: str) -> Stamp:
        return NEVER

    def copy_of(self, gateway: str) -> str:
        return ""

    def read_copy(
        self,
        owner: str,
        lost: bool,
        make: Callable[[Any, Any], Any],
        then: Callable[[Any, str], None],
    ) -> None:
        then(None, "there are no copies")
