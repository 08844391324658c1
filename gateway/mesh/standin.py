"""Which gateway keeps the copy of this one's store: its stand-in.

It is the next one in the ring of all ids that lives and stores, so that each has one to keep. It stays
until it is away for `copy_after_s`, or says that it does not store: a copy costs a card as much as the
store has, so that nothing moves because a gateway came back. One that is away stays also while there is
no other, for it has the last copy. Must not know what a copy is.
"""

from gateway.effects import SaveStandIn
from gateway.mesh import membership
from gateway.mesh.life import Life
from gateway.mesh.link import LinkState
from gateway.mesh.peer import COPIES, Peer
from gateway.mesh.state import MeshState

ANNOUNCED_S = 600.0  # at least, for one that stopped on purpose: work on it takes some minutes


def choose(state: MeshState) -> None:
    """Chooses one, or another one, if that is due; everybody is told, and the disk."""
    if not state.stand_in and state.now < state.meeting_until:
        return  # who starts together meets first: else all had the first one that came
    chosen = state.peers.get(state.stand_in)
    if not state.local.stores() or (chosen is not None and not _is_lost(state, chosen)):
        return
    able = [peer for peer in state.alive() if peer.stores and _can_keep(state, peer)]
    if not able:
        return
    own = state.identity.gateway
    chosen = min(able, key=lambda peer: (peer.gateway < own, peer.gateway))
    if chosen.gateway == state.stand_in:
        return
    state.stand_in = chosen.gateway
    state.note("info", f"{chosen.name} ({chosen.gateway}) is to keep the copy of this store")
    state.effects.append(SaveStandIn(chosen.gateway))
    for link in state.links:
        if link.state is LinkState.UP:
            membership.beat(state, link)


def _is_lost(state: MeshState, peer: Peer) -> bool:
    """Whether it cannot keep the copy, or is away for too long."""
    if peer.life is Life.ALIVE:
        return peer.stores is False or not _can_keep(state, peer)
    patience_s = state.identity.cluster.copy_after_s
    if peer.stopping:
        patience_s = max(patience_s, ANNOUNCED_S)
    return state.now - peer.away_since >= patience_s


def _can_keep(state: MeshState, peer: Peer) -> bool:
    return peer.speaks(COPIES) and peer.refused_copy_until <= state.now
