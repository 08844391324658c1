"""One gateway at a time is taken out of service: a lock that the whole mesh has.

Who wants it says so to all, with a stamp, and has it when every gateway that lives has heard of the wish
and nobody's is older (L. Lamport 1978, for mutual exclusion): who hears of a wish makes none that is
older. In a split both sides may have it. A wish ends when it is withdrawn, or when its gateway was
started anew; of one that is dead it counts for LOCK_LEASE_S, which a box has to come back in. Must not
know what is done with the lock.
"""

from gateway.ids import Stamp
from gateway.limits import LOCK_LEASE_S
from gateway.mesh.frames import Lock, LockHeard
from gateway.mesh.life import Life
from gateway.mesh.peer import TABLES_AND_CLIENTS, Peer, Wish
from gateway.mesh.state import MeshState


def want(state: MeshState, why: str) -> None:
    """This gateway wants the lock; `why` is a word for the operator, such as "drain"."""
    state.wish = Wish(state.clock.stamp(state.now), why)
    for peer in _linked(state):
        tell(state, peer)


def give_up(state: MeshState) -> None:
    """It does not want it, or has done what it wanted it for."""
    state.wish = None
    for peer in _linked(state):
        tell(state, peer)


def tell(state: MeshState, peer: Peer) -> None:
    """Says what this gateway wants; on a new link, and at each change."""
    if peer.link is not None and peer.speaks(TABLES_AND_CLIENTS):
        wish = state.wish
        peer.link.say(Lock() if wish is None else Lock(wish.stamp[:2], wish.why))


def on_lock(state: MeshState, peer: Peer, frame: Lock) -> None:
    """Another gateway wants the lock, or does not any more."""
    if frame.stamp is None:
        peer.wish = None
        return
    stamp = Stamp(*frame.stamp, peer.gateway)
    state.clock.seen(stamp.time_ms, state.now, stamp.counter)
    peer.wish = Wish(stamp, frame.why)
    if peer.link is not None:
        peer.link.say(LockHeard(frame.stamp))


def on_heard(state: MeshState, peer: Peer, frame: LockHeard) -> None:
    """Another gateway knows of this one's wish, or of an earlier one."""
    if state.wish is not None and frame.stamp == state.wish.stamp[:2]:
        state.wish.heard[peer.gateway] = None


def has(state: MeshState) -> bool:
    """Whether this gateway has the lock. Once it has, it keeps it until it gives it up."""
    wish = state.wish
    if wish is None:
        return False
    wish.granted = wish.granted or not waits_for(state)
    return wish.granted


def waits_for(state: MeshState) -> list[str]:
    """Why this gateway, which wants the lock, does not have it yet, in words."""
    assert state.wish is not None
    why = [
        f"{peer.name} ({peer.wish.why})"
        for peer in state.peers.values()
        if peer.wish is not None and _counts(state, peer) and peer.wish.stamp < state.wish.stamp
    ]
    if not why:
        unheard = [peer.name for peer in _linked(state) if peer.gateway not in state.wish.heard]
        why = [f"an answer of {name}" for name in unheard]
    return why


def holder(state: MeshState) -> tuple[str, str] | None:
    """The name of the gateway that has the lock, as far as is known here, and what for."""
    wishes = [
        (peer.wish.stamp, peer.name, peer.wish.why)
        for peer in state.peers.values()
        if peer.wish is not None and _counts(state, peer)
    ]
    if state.wish is not None:
        wishes.append((state.wish.stamp, state.identity.name, state.wish.why))
    return min(wishes)[1:] if wishes else None


def _linked(state: MeshState) -> list[Peer]:
    return [
        peer for peer in state.alive() if peer.link is not None and peer.speaks(TABLES_AND_CLIENTS)
    ]


def _counts(state: MeshState, peer: Peer) -> bool:
    return peer.life is not Life.DEAD or state.now - peer.heard_at < LOCK_LEASE_S
