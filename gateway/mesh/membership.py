"""Who lives: decided by what is heard on links, never by mDNS.

Any byte is a sign of life. A gateway is suspect when nothing was heard for `suspect_s`, or when it says
that it does not hear this one: what is sent to it would not be taken. It is dead when nothing was heard
for `dead_s` and no gateway that lives hears it either: dead on one link is not dead, but the link is
over all the same. Answers wait for one that is suspect until it has been silent for `suspect_s`: a link
that breaks is back in a moment. Must not know how messages travel.
"""

from gateway.mesh import tables, wills
from gateway.mesh.estates import End
from gateway.mesh.frames import Beat
from gateway.mesh.handing import give_again, keep
from gateway.mesh.life import Life
from gateway.mesh.link import Link
from gateway.mesh.peer import Peer
from gateway.mesh.state import MeshState


def judge(state: MeshState) -> None:
    """Brings the life of every peer up to date."""
    cluster = state.identity.cluster
    for peer in state.peers.values():
        silent_s = state.now - max(peer.heard_at, peer.known_since)
        if silent_s >= cluster.dead_s and peer.link is not None:
            peer.link.close()
            unlink(state, peer)
        if peer.refuses:
            _dead(state, peer)
        elif silent_s < cluster.suspect_s and peer.link is not None and peer.hears_us:
            _alive(state, peer)
        elif silent_s < cluster.dead_s or _heard_by_others(state, peer):
            _suspect(state, peer)
        else:
            _dead(state, peer)
        silent = silent_s >= cluster.suspect_s or not peer.hears_us or peer.refuses
        if peer.waited_for and silent:
            peer.waited_for = False
            peer.outgoing.release_tickets()
    if state.alive():
        state.alone_since = None
    elif state.alone_since is None:
        state.alone_since = state.now


def next_change(state: MeshState) -> float:
    """When `judge` could find something new if nothing is heard until then."""
    cluster = state.identity.cluster
    times = [
        max(peer.heard_at, peer.known_since)
        + (cluster.suspect_s if peer.waited_for else cluster.dead_s)
        for peer in state.peers.values()
        if peer.life is not Life.DEAD
    ]
    return min((at for at in times if at > state.now), default=float("inf"))


def beat(state: MeshState, link: Link) -> None:
    """Says a heartbeat."""
    held_ms = (state.now - link.echo_at) * 1000
    time_ms = state.clock.read(state.now)
    hears = state.hears()
    if link.via:  # for the other end alone: who asks whom it may reach over this one is not told
        hears += [link.gateway]
    link.say(
        Beat(
            state.now * 1000,
            link.echo_ms,
            held_ms,
            time_ms,
            hears,
            tables.roots(state),
            state.local.stores(),
            state.stand_in,
            state.copied_store,
            list(state.copies),
        )
    )


def heard(state: MeshState, peer: Peer, link: Link, frame: Beat) -> None:
    """Takes in a heartbeat: the round trip, the mesh's time, whom the other side hears, its copy."""
    link.echo_ms, link.echo_at = frame.sent_ms, state.now
    if frame.echo_ms:
        peer.echoed_ms = frame.echo_ms
        peer.rtt_s = max(0.0, state.now - (frame.echo_ms + frame.echo_held_ms) / 1000)
    peer.hears = frozenset(frame.hears)
    peer.hears_us = state.identity.gateway in peer.hears
    peer.stores, peer.stand_in = frame.stores, frame.stand_in
    peer.copied, peer.copies = frame.copied, tuple(frame.copies)
    state.clock.seen(frame.mesh_time_ms, state.now)
    tables.heard(state, peer, frame.roots)


def _heard_by_others(state: MeshState, peer: Peer) -> bool:
    """Whether others that are heard say so, or said so a moment ago: one link that breaks must not make
    two dead."""
    if peer.stopping:
        return False
    suspect_s = state.identity.cluster.suspect_s
    return any(
        peer.gateway in other.hears
        for other in state.peers.values()
        if other is not peer and state.now - other.heard_at < suspect_s and not other.stopping
    )


def _alive(state: MeshState, peer: Peer) -> None:
    peer.waited_for = True
    if peer.life is Life.ALIVE:
        return
    if peer.life is Life.DEAD or peer.vitals is None:
        state.note("info", f"{peer.name} ({peer.gateway}) is alive")
    peer.life = Life.ALIVE


def _suspect(state: MeshState, peer: Peer) -> None:
    if peer.life is Life.ALIVE:
        state.note("warning", f"{peer.name} is suspect: nothing heard from it")
        peer.life, peer.away_since = Life.SUSPECT, state.now


def _dead(state: MeshState, peer: Peer) -> None:
    if peer.life is Life.DEAD:
        return
    state.note("warning", f"{peer.name} ({peer.gateway}) is dead: nothing heard from it")
    if peer.life is Life.ALIVE:
        peer.away_since = state.now
    bury(state, peer)


def bury(state: MeshState, peer: Peer) -> None:
    """Nothing is expected from it and nothing goes there, until it is heard again."""
    peer.life, peer.buried = Life.DEAD, True
    peer.hears = frozenset()
    lost, unkept = peer.outgoing.park()
    peer.lost_clients, peer.clients = peer.clients, {}
    wills.over(state, peer, End.DEAD)
    gone(state, peer)
    state.peers_interest.drop(peer)
    state.peers_groups.drop(peer)
    state.local.interest_changed()
    keep(state, peer, unkept)
    state.local.gateway_lost(peer.gateway, state.now)
    give_again(state, lost)
    state.release(peer.gateway)


def gone(state: MeshState, peer: Peer) -> None:
    """Its stream is over, whether it was noticed to be dead or has started anew."""
    if peer.came:
        peer.came = False
        state.local.gateway_gone(peer.gateway, state.now)


def unlink(state: MeshState, peer: Peer) -> None:
    """The peer's link is over. What it has not taken waits for the next one until it is dead."""
    if peer.link is not None:
        state.watched.end(peer.link)
        state.questions.unlinked(peer)
        state.watching.unlinked(peer)
    peer.link = None
    peer.streaming = False
    peer.hears_us = True
    peer.rtt_s = None
    peer.differing_since.clear()
    peer.knows = -1
    state.release(peer.gateway)
    state.check_barriers()
