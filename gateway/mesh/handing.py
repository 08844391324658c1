"""What is to become of messages for members of shared subscriptions at a gateway that is gone.

Must not know who the members are.
"""

from collections.abc import Iterable

from gateway.mesh.frames import Entry
from gateway.mesh.reconcile import message_of
from gateway.mesh.state import MeshState


def give_again(state: MeshState, lost: Iterable[Entry]) -> None:
    """A gateway that was given these for its members has not taken them, and is gone: others get them.

    What it took is with its sessions. QoS 0 is not worth the way.
    """
    for entry in lost:
        if entry.qos:
            message = message_of(entry, state.now)
            message.moves += 1
            state.local.arrived_shared(message, entry.group, state.now)
