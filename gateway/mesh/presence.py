"""Which clients are connected where, so that one client id has one connection in the whole mesh.

Each gateway tells the others its own. Of two connections the one with the newer stamp stays: a gateway
that takes a client in has seen the stamp of the other one, if it knew of it. After a cut both sides have
taken clients in without knowing: there the client that was heard last stays, and the gateway with the
lower id decides; if it keeps its own it gives it a new stamp. Must not know sessions, or why a client
came.
"""

from gateway.ids import Stamp
from gateway.mesh import wills
from gateway.mesh.frames import Clients, Here
from gateway.mesh.peer import Peer
from gateway.mesh.state import MeshState

AGE_MARGIN_S = 1.0  # two ages closer than this say nothing: what came last was perhaps on its way


def connected(state: MeshState, client_id: str, clean: bool) -> bool:
    """A client came in here; True if another gateway has it, or its will, and must hear of this first.

    `clean`: what it had before is over.
    """
    stamp = state.clock.stamp(state.now)
    state.own_clients.came(client_id, stamp, clean)
    state.own_interest.touch()
    wills.came(state, client_id, state.identity.gateway, stamp, clean)
    expected = _found(state, client_id)
    return expected or any(client_id in peer.clients for peer in state.peers.values())


def disconnected(state: MeshState, client_id: str) -> None:
    """A client is gone from here."""
    state.own_clients.left(client_id)
    state.own_interest.touch()


def everybody(state: MeshState) -> list[Clients]:
    """The frames that tell a peer of all clients here, for a new link."""
    return state.own_clients.full(lambda name: state.local.silent_s(name, state.now))


def heard(state: MeshState, peer: Peer, frame: Clients) -> None:
    """A peer told of its clients: what is connected here, too, is settled."""
    if frame.full:
        peer.clients.clear()
    for client_id in frame.left:
        peer.clients.pop(client_id, None)
    for here in frame.came:
        stamp = Stamp(*here.stamp, peer.gateway)
        state.clock.seen(stamp.time_ms, state.now, stamp.counter)
        peer.clients[here.client_id] = stamp
        _found(state, here.client_id)
        own = state.own_clients.stamps.get(here.client_id)
        if own is not None and here.silent_ms is None:
            if stamp > own:
                state.local.taken_over(here.client_id, peer.name, state.now)
        elif own is not None and state.identity.gateway < peer.gateway:
            _settle(state, peer, here, stamp > own)
        wills.came(state, here.client_id, peer.gateway, stamp, here.clean)
        state.local.came_elsewhere(here.client_id, here.clean, state.now)


def _settle(state: MeshState, peer: Peer, here: Here, newer: bool) -> None:
    """The client is connected on both sides of a cut that is over."""
    assert here.silent_ms is not None
    older_s = state.local.silent_s(here.client_id, state.now) - here.silent_ms / 1000
    if older_s > AGE_MARGIN_S or (newer and older_s >= -AGE_MARGIN_S):
        state.local.taken_over(here.client_id, peer.name, state.now)
    else:
        state.own_clients.stamp_anew(here.client_id, state.clock.stamp(state.now))
        state.own_interest.touch()


def _found(state: MeshState, client_id: str) -> bool:
    """A client is connected somewhere; whether it was at a gateway that has died since."""
    found = [peer.lost_clients.pop(client_id, None) for peer in state.peers.values()]
    return any(found)
