"""What is to become of messages for members of shared subscriptions at a gateway that is gone.

Must not know who the members are.
"""

from collections.abc import Iterable

from gateway.mesh.reconcile import message_of
from gateway.mesh.state import MeshState
from gateway.mesh.stream import Lost


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
