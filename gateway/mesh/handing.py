"""What is to become of messages that a gateway was given and did not say that it keeps, when it is gone.

Must not know who the members of a shared subscription are, or where a session is.
"""

from collections.abc import Iterable

from gateway.mesh.peer import Peer
from gateway.mesh.reconcile import message_of
from gateway.mesh.state import MeshState
from gateway.mesh.stream import Lost, Unkept


def keep(state: MeshState, peer: Peer, unkept: list[Unkept]) -> None:
    """These were for sessions there: they are kept here for them; without a disk, until it is back."""
    taken = [(number, message_of(entry, state.now), tickets) for number, entry, tickets in unkept]
    if not state.local.keep_for(peer.gateway, taken, state.now):
        peer.outgoing.keep(unkept, state.now)
        return
    for _, _, tickets in unkept:
        for ticket in tickets:
            ticket.release()


def give_again(state: MeshState, lost: Iterable[Lost]) -> None:
    """A gateway that was given these for its members did not say that it keeps them, and is gone: others
    get them. Who waits for one waits for that; of several who do the first is enough."""
    for entry, tickets in lost:
        message = message_of(entry, state.now)
        message.moves += 1
        make = (lambda: tickets[0]) if tickets else None  # noqa: B023, called at once or never
        state.local.arrived_shared(message, entry.group, make, state.now)
        for ticket in tickets:
            ticket.release()
