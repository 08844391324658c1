"""A peer as the broker sees it: a place to put a message.

Fulfils the broker's `Outlet`. Must not know links: the stream keeps what cannot leave yet.
"""

from gateway.ids import Stamp
from gateway.mesh.life import Life
from gateway.mesh.peer import Peer
from gateway.mesh.reconcile import entry_of
from gateway.mesh.state import MeshState
from gateway.mqtt.message import Message
from gateway.tickets import Ticket


class PeerOutlet:
    """One other gateway."""

    __slots__ = ("_peer", "_state")

    def __init__(self, peer: Peer, state: MeshState) -> None:
        self._peer = peer
        self._state = state

    def leads_to(self, peer: Peer) -> bool:
        """Whether it is this one's: a gateway that was forgotten comes back as another peer."""
        return self._peer is peer

    def offer(self, message: Message, stamp: Stamp | None, ticket: Ticket | None) -> None:
        """Adds the message to the peer's stream, if that is not full.

        Nobody is kept waiting for a silent gateway, so for one nothing is kept beyond the bound. One
        that is heard makes publishers pause long before, and gets what they were promised.
        """
        heard = self._peer.life is Life.ALIVE and self._peer.link is not None
        if self._peer.outgoing.full() and not (heard and (message.qos or message.retain)):
            self._peer.outgoing.dropped += 1
            return
        entry = entry_of(message, stamp, self._state.now)
        self._peer.outgoing.add(entry, ticket if heard else None)
