"""Which gateways may be unplugged, one of them, without anything being out of reach.

Must not know how copies are made: `MeshState.copied` says whether what a gateway has is elsewhere, too.
"""

from gateway.mesh import lock
from gateway.mesh.state import MeshState


def safe_to_unplug(state: MeshState) -> list[str]:
    """Their names, this one among them perhaps; those that live and whose things others have.

    While one has the lock it is that one or none: what was safe before need not be without it.
    """
    own = state.identity
    living = {own.name: own.gateway}
    living |= {peer.name: peer.gateway for peer in state.alive() if peer.synced}
    if len(living) < 2:
        return []
    held = lock.holder(state)
    wanted = living if held is None else [name for name in (held[0],) if name in living]
    return sorted(name for name in wanted if state.copied(living[name]))
