"""The other gateways as the broker sees them.

Fulfils the broker's `Elsewhere`: where a message has to go, who is waited for, whom a session's move is
told. Must not know links: what is said stands in streams and frames, whichever way they leave.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.effects import ReadCopy
from gateway.ids import NEVER, Stamp
from gateway.mesh import presence, slept, tables, wills
from gateway.mesh.life import Life
from gateway.mesh.outlet import PeerOutlet
from gateway.mesh.own_wills import OwnWill
from gateway.mesh.peer import Peer
from gateway.mesh.reconcile import message_of
from gateway.mesh.state import MeshState
from gateway.moves import Move
from gateway.mqtt.message import Message
from gateway.table import Row
from gateway.tickets import Ticket


class Others:
    """All of them."""

    def __init__(self, state: MeshState) -> None:
        self._state = state
        self._outlets: dict[str, PeerOutlet] = {}

    def interested(self, topic: str) -> Sequence[PeerOutlet]:
        """The gateways with a subscriber to this topic."""
        return [self._outlet(peer) for peer in self._state.peers_interest.match(topic)]

    def shared(self, topic: str) -> dict[str, list[tuple[PeerOutlet, int, int]]]:
        """The shared subscriptions that match the topic and have members elsewhere, by name."""
        found = self._state.peers_groups.match(topic)
        return {name: self._far(name, peers) for name, peers in found.items()}

    def members(self, name: str) -> list[tuple[PeerOutlet, int, int]]:
        """The members that a shared subscription has elsewhere."""
        return self._far(name, self._state.peers_groups.peers(name))

    def group_changed(self, name: str) -> None:
        """A shared subscription has other members here than before, or they came or went."""
        self._state.own_groups.change(name)
        self._state.own_interest.touch()

    def everyone(self) -> Sequence[PeerOutlet]:
        """Every gateway that may be reached: dead ones catch up when they return."""
        peers = self._state.peers.values()
        return [self._outlet(peer) for peer in peers if peer.life is not Life.DEAD and peer.hello]

    def crowded(self) -> bool:
        """Whether publishers should pause."""
        for peers in (self._state.stirred, self._state.laden):
            for peer in peers:
                if peer.outgoing.crowded() and peer.life is Life.ALIVE:
                    return True
        return False

    def stamp(self, now: float) -> Stamp:
        """A stamp newer than every one seen."""
        return self._state.clock.stamp(now)

    def subscribed(self, topic_filter: str) -> None:
        """Sessions here want this filter."""
        self._state.own_interest.change(topic_filter, True)

    def unsubscribed(self, topic_filter: str) -> None:
        """Sessions here do not want this filter any more."""
        self._state.own_interest.change(topic_filter, False)

    def connected(self, client_id: str, clean: bool, ticket: Ticket, now: float) -> None:
        """A client came in here: others that have it let it go, and until then the ticket is held.

        `clean`: what it had before is over.
        """
        self._state.now = now
        if presence.connected(self._state, client_id, clean):
            self.hold_until_known(ticket, now)

    def keep_will(
        self,
        client_id: str,
        will: Message,
        delay_s: float,
        due: float | None,
        ticket: Ticket | None,
        now: float,
    ) -> None:
        """A client here has this will, with this delay, or, its connection being over, it is sent when
        it is due. The ticket is held until another gateway has it, too."""
        self._state.now = now
        wills.keep(self._state, client_id, OwnWill(will, delay_s, due), ticket)

    def forget_will(self, client_id: str) -> None:
        """The will of a client here was sent, or is not to be."""
        wills.forget(self._state, client_id)

    def disconnected(self, client_id: str) -> None:
        """A client is gone from here."""
        presence.disconnected(self._state, client_id)

    def rows_changed(self, table: str, rows: Sequence[tuple[str, Row]]) -> None:
        """Rows of a table that all gateways have were changed here."""
        tables.tell(self._state, table, rows)

    def touched(self) -> None:
        """Rows are about to be told: whoever holds for what is known holds for them, too."""
        self._state.own_interest.touch()

    def overslept(self, now: float) -> None:
        """An input comes so late that this gateway must have been asleep."""
        slept.look(self._state, now)

    def hold_until_taken(self, ticket: Ticket) -> None:
        """Holds the ticket until every live peer has taken what it was offered so far."""
        for peer in self._state.alive():
            peer.outgoing.hold(ticket)

    def hold_until_known(self, ticket: Ticket, now: float) -> None:
        """Holds the ticket until every linked peer has our interest as it is now."""
        version = self._state.own_interest.version
        self._state.barriers.hold(version, self._state.peers.values(), ticket, now)

    def gateways(self) -> list[str]:
        """The other gateways that can be told of moves, and are not dead."""
        return [peer.gateway for peer in self._state.peers.values() if peer.came]

    def reaches(self, gateway: str) -> bool:
        """Whether the gateway lives and is linked."""
        peer = self._state.peers.get(gateway)
        return peer is not None and peer.came and peer.life is Life.ALIVE

    def own_start(self) -> str:
        """What others call this start of this gateway."""
        own = self._state.identity
        return f"{own.store}/{own.boot}/{own.nonce}"

    def unkept(self, gateway: str) -> list[tuple[int, Message]]:
        """What it was given for sessions there, QoS 1 and 2, and has not said to keep, by number."""
        peer = self._state.peers.get(gateway)
        given = [] if peer is None else peer.outgoing.unkept()
        return [(number, message_of(entry, self._state.now)) for number, entry in given]

    def is_lost(self, gateway: str) -> bool:
        """Whether it is dead, or unknown, or is back and has not said yet all that it says first."""
        if gateway == self._state.identity.gateway:
            return False
        peer = self._state.peers.get(gateway)
        return peer is None or peer.buried

    def is_given_up(self, gateway: str) -> bool:
        """Whether it is forgotten."""
        return self.is_lost(gateway) and gateway not in self._state.peers

    def heard_lately(self, gateway: str) -> bool:
        """Whether it was heard a moment ago, or may not have been met yet: it may be reached soon."""
        peer, now = self._state.peers.get(gateway), self._state.now
        if peer is None or peer.hello is None:
            return now < self._state.meeting_until
        return now - peer.heard_at < self._state.identity.cluster.suspect_s

    def others_hear(self, gateway: str) -> bool:
        """Whether gateways with a link of their own hear it, so that there will soon be a road."""
        peer, alive = self._state.peers.get(gateway), self._state.alive()
        relays = [each for each in alive if each.link is not None and not each.link.via]
        came = peer is not None and peer.came and not peer.stopping
        return came and any(gateway in relay.hears for relay in relays)

    def is_deaf(self, gateway: str, other: str) -> bool:
        """Whether that gateway says that it does not hear the other one, which is heard here."""
        peer = self._state.peers.get(gateway)
        return peer is not None and other not in peer.hears and self.reaches(other)

    def name_of(self, gateway: str) -> str:
        """What a person calls the gateway."""
        peer = self._state.peers.get(gateway)
        return gateway if peer is None else peer.name

    def tell(self, gateway: str, move: Move) -> None:
        """Says something about a session that moves, in the order of the messages."""
        peer = self._state.peers.get(gateway)
        if peer is not None and peer.came:
            peer.outgoing.say(move)

    def is_connected(self, client_id: str, gateway: str) -> bool:
        """Whether the client is connected at that gateway, as it says."""
        peer = self._state.peers.get(gateway)
        return peer is not None and client_id in peer.clients

    def connected_since(self, client_id: str) -> Stamp:
        """When a client that is connected here came; NEVER: it is not."""
        return self._state.own_clients.stamps.get(client_id, NEVER)

    def copy_of(self, gateway: str) -> str:
        """A gateway that lives and has a copy of that one's store, this one or another; empty: none."""
        if gateway in self._state.copies:
            return self._state.identity.gateway
        keepers = [peer for peer in self._state.alive() if peer.came and gateway in peer.copies]
        lost = self._state.peers.get(gateway)
        chosen = "" if lost is None else lost.stand_in
        keepers.sort(key=lambda peer: (peer.gateway != chosen, peer.gateway))
        return keepers[0].gateway if keepers else ""

    def read_copy(
        self,
        owner: str,
        lost: bool,
        make: Callable[[Any, Any], Any],
        then: Callable[[Any, str], None],
    ) -> None:
        """Reads the copy of another gateway's store that is here, as the effect says; `lost`: of the one
        that it had before."""
        peer = self._state.peers.get(owner)
        but = peer.store if lost and peer is not None else ""
        self._state.effects.append(ReadCopy(owner, but, make, then))

    def _far(self, name: str, peers: Iterable[Peer]) -> list[tuple[PeerOutlet, int, int]]:
        return [(self._outlet(peer), *peer.groups[name]) for peer in peers]

    def _outlet(self, peer: Peer) -> PeerOutlet:
        outlet = self._outlets.get(peer.gateway)
        if outlet is None or not outlet.leads_to(peer):
            outlet = self._outlets[peer.gateway] = PeerOutlet(peer, self._state)
        return outlet
