"""A gateway whose process was not run for a while: stopped, swapped out, behind a card that stalls.

The others may have found it dead meanwhile, and its clients may be served elsewhere; it knows nothing of
that, and finds what its clients said in the sockets. So before anything is done about an input that
comes far too late this gateway goes behind a barrier of its own: what clients say waits, nothing leaves
to them, and each other gateway is asked for a sign. Who has answered that, and has said what it has to
say first on its link, or is dead, is not waited for any longer. Must not know sessions.
"""

from gateway.mesh import membership
from gateway.mesh.life import Life
from gateway.mesh.link import LinkState
from gateway.mesh.peer import Peer
from gateway.mesh.state import SLEPT, MeshState

SHOWN_S = 600.0  # in the status


def expect(state: MeshState, next_beat: float) -> None:
    """This gateway is awake; if it is not by then, or soon after, it slept."""
    state.next_beat = next_beat
    state.local.late_after(next_beat + state.identity.cluster.suspect_s)


def look(state: MeshState, now: float) -> None:
    """To be called before anything is done about an input of this time."""
    late_s = now - max(state.next_beat, state.looked_at)
    state.looked_at = now
    cluster = state.identity.cluster
    if late_s <= cluster.heartbeat_s:
        return
    state.now = now
    for peer in state.peers.values():
        peer.heard_at += late_s  # they are not to blame for the silence
    if late_s > cluster.suspect_s and any(map(_may_live, state.peers.values())):
        _wake_up(state, late_s)


def _wake_up(state: MeshState, late_s: float) -> None:
    state.slept_at, state.slept_s = state.now, late_s
    state.sleeps += 1
    text = (
        f"this gateway was not run for {late_s:.1f} s: clients wait until the others have answered"
    )
    state.note("warning", text)
    state.hold(SLEPT, state.now + state.identity.cluster.dead_s)
    for link in list(state.links):
        if link.state is LinkState.UP:
            membership.beat(state, link)


def check(state: MeshState) -> None:
    """After any sign of another gateway, or the end of one."""
    if SLEPT in state.holding and not any(_awaited(state, peer) for peer in state.peers.values()):
        state.release(SLEPT)


def _awaited(state: MeshState, peer: Peer) -> bool:
    return _may_live(peer) and not (peer.synced and peer.echoed_ms >= state.slept_at * 1000)


def _may_live(peer: Peer) -> bool:
    return peer.life is not Life.DEAD
