"""Sessions between gateways: who hears what of the two sides of a move (`coming.py`, `going.py`).

Only a gateway that is one of a mesh and has a disk has this. Must not know links.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from gateway.broker.absent import Absent
from gateway.broker.coming import Comings
from gateway.broker.connection import Connection
from gateway.broker.courier import Courier, CourierBounds
from gateway.broker.couriers import Couriers
from gateway.broker.going import Going, Goings
from gateway.broker.leftovers import Leftovers
from gateway.broker.passage import Wish
from gateway.broker.quarrels import Quarrel, Quarrels
from gateway.broker.registry import Registry
from gateway.broker.session import Session
from gateway.broker.shades import Shades
from gateway.broker.state import BrokerState
from gateway.moves import (
    Abandoned,
    Claim,
    Ended,
    Forgotten,
    Kept,
    Move,
    Moved,
    Offered,
    Parcel,
    Refused,
    Through,
)
from gateway.mqtt.message import Message
from gateway.table import Row
from gateway.tickets import Ticket


class Mover:
    """Fulfils `Fetching`."""

    def __init__(
        self,
        broker: BrokerState,
        registry: Registry,
        online: Mapping[str, Connection],
        bounds: CourierBounds,
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._quarrels = Quarrels()
        going: dict[str, Going] = {}
        self._left = Leftovers(broker, registry, online, going.__contains__, self._tell)
        self._couriers = Couriers(broker, registry, self._left.all, bounds)
        self._absent = Absent(broker, registry, self._left, self._couriers)
        self._going = Goings(
            *(broker, registry, online, self._quarrels, self._left, self._absent),
            *(self._couriers, going),
        )
        self._coming = Comings(
            *(broker, registry, online, self._quarrels, self._going.asked_by, self._claimed),
            *(self._tell, self._left, self._absent),
        )
        self._shades = Shades(broker, registry, self._tell)
        self._own: deque[Move] = deque()  # said by this gateway to itself, which has the copy
        broker.routes.absent = self._absent.outlets

    def fetch(self, wish: Wish) -> bool:
        """False: all that there is of the session is here. Else the wish is granted later."""
        return self._coming.fetch(wish)

    def due(self, client_id: str, now: float) -> float:
        """When a CONNECT with this client id is to be looked at; not after `now`: at once."""
        return self._quarrels.due(client_id, now)

    def quarrels(self, now: float) -> list[Quarrel]:
        """Client ids that two clients have."""
        return self._quarrels.current(now)

    def moving(self) -> tuple[int, int]:
        """How many sessions come, and how many go or are left over."""
        return len(self._coming), len(self._going) + len(self._left) + len(self._shades)

    def left(self) -> Collection[Session]:
        """Sessions of other gateways, of which something is here that is to reach them."""
        return self._left.all()

    def couriers(self) -> Mapping[str, Courier]:
        """What waits for other gateways, by their ids."""
        return self._couriers.all

    def rows_came(self, rows: Sequence[tuple[str, Row]]) -> None:
        """Rows of the registry that another gateway has."""
        news = self._registry.take(rows)
        self._left.registered(news)
        self._absent.registered(news)
        self._shades.registered(news)

    def restored(self) -> None:
        """The disk has said all that it knows."""
        sessions = self._broker.sessions
        known = [each for each in sessions if self._registry.entry(each) is not None]
        self._left.registered(known, anew=True)
        self._registry.touch_all(sessions)
        self._shades.registered(list(self._broker.given))
        self._absent.restored()
        self._coming.restored()

    def turn(self) -> None:
        """A turn ends: what is to be told of it to other gateways is said."""
        while self._own:
            self.heard(self._registry.gateway, self._own.popleft())
        self._going.turn()
        self._shades.turn()
        self._registry.flush(self._broker.sessions, self._broker.now)

    def gateway_came(self, gateway: str) -> None:
        """A gateway begins to speak."""
        self._coming.came(gateway)
        self._going.came(gateway)
        self._absent.gateway_came(gateway)
        self._left.found(gateway)

    def gateway_gone(self, gateway: str) -> None:
        """A gateway is dead, or began anew."""
        self._coming.gone(gateway)
        self._going.gone(gateway)
        self._shades.gone(gateway)
        self._absent.gateway_found(gateway)

    def gateway_lost(self, gateway: str) -> None:
        """A gateway is dead: the registry says what its sessions want."""
        self._absent.gateway_lost(gateway)

    def gateway_found(self, gateway: str) -> None:
        """It says itself what its sessions want."""
        self._absent.gateway_found(gateway)
        self._left.found(gateway)

    def keep_for(self, gateway: str, messages: Sequence[tuple[int, Message, list[Ticket]]]) -> None:
        """That gateway was given these for its sessions, and is gone: they are kept here."""
        self._absent.keep_for(gateway, messages)

    def kept_there(self, gateway: str, number: int) -> None:
        """It is back, and has what it was given up to this number."""
        self._absent.kept_there(gateway, number)

    def heard(self, gateway: str, move: Move) -> None:
        """Another gateway says something."""
        match move:
            case Claim():
                self._claimed(gateway, move)
            case Parcel():
                self._coming.parcel(gateway, move)
            case Kept():
                self._going.kept(gateway, move)
                self._shades.kept(gateway, move)
            case Ended():
                self._coming.ended(gateway, move)
            case Refused():
                self._coming.refused(gateway, move)
            case Moved():
                self._going.moved(gateway, move)
            case Through():
                known = self._going.through(gateway, move) or self._coming.through(gateway, move)
                if not known:
                    self._left.through(gateway, move)
            case Forgotten():
                self._coming.forgotten(gateway, move)
            case Abandoned():
                self._going.abandoned(gateway, move.client_id, move.token)
                self._shades.abandoned(gateway, move.client_id, move.token)
            case Offered():
                self._coming.offered(gateway, move)

    def _claimed(self, gateway: str, claim: Claim) -> None:
        if gateway != self._registry.gateway and self._coming.is_asked(gateway, claim):
            return
        if claim.owner:
            self._shades.claimed(gateway, claim)
        else:
            self._going.claimed(gateway, claim)

    def _tell(self, gateway: str, move: Move) -> None:
        if gateway == self._registry.gateway:
            self._own.append(move)
        else:
            self._broker.elsewhere.tell(gateway, move)
