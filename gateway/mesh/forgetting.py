"""Gateways that are gone for good: they are not dialled, not waited for and not counted any more.

What is forgotten is a store, for ever: a row in a table that all gateways have, by the store's id. A
gateway that comes back with it is refused and told so, and nothing of it is taken in: what it holds may
be older than what was deleted since, and no tombstone lives as long as a card in a drawer. With a new
store it is a new member.

    store's id    gateway, name    this store is forgotten
    gateway/ID    gateway, name    its store is not known: it is the one that it comes with next

Must not know what is asked of the operator.
"""

import msgspec

from gateway.effects import ForgetMember, SaveMember
from gateway.errors import LinkError
from gateway.mesh import membership, tables
from gateway.mesh.frames import Hello, Member, Refuse
from gateway.mesh.life import Life
from gateway.mesh.peer import Peer
from gateway.mesh.state import FORGOTTEN, MeshState
from gateway.table import Row

CODE, HERE = "forgotten", "forgotten-here"  # of refusals: said by us, and to us
DAY_S = 86_400.0
COUNTED_S_MAX = 2.0  # since the last look: a process that slept saw nobody dead meanwhile
DEAD_SAVE_S = 600.0  # the time that a gateway is dead is put on disk in steps of this
_BY_GATEWAY = "gateway/"


class _Value(msgspec.Struct, frozen=True, array_like=True):
    gateway: str
    name: str


def forget(state: MeshState, peer: Peer) -> bool:
    """This gateway is gone for good, as far as its present store goes; False: too many are."""
    if state.own_tables[FORGOTTEN].is_full():
        return False
    key = peer.store or _BY_GATEWAY + peer.gateway
    state.note("warning", f"{peer.name} ({peer.gateway}) is forgotten, with its store {key}")
    _set(state, key, msgspec.msgpack.encode(_Value(peer.gateway, peer.name)))
    return True


def is_forgotten(state: MeshState, gateway: str, store: str) -> bool:
    """Whether a gateway with this store (empty: not known) is."""
    table = state.own_tables[FORGOTTEN]
    rows = (table.get(store or "?"), table.get(_BY_GATEWAY + gateway))
    return any(row is not None and row.value is not None for row in rows)


def check(state: MeshState, hello: Hello) -> None:
    """Raises LinkError for a gateway whose store is forgotten."""
    if not is_forgotten(state, hello.gateway, hello.store):
        return
    by_gateway = state.own_tables[FORGOTTEN].get(_BY_GATEWAY + hello.gateway)
    if by_gateway is not None and by_gateway.value is not None:
        _set(state, hello.store, by_gateway.value)
        _set(state, _BY_GATEWAY + hello.gateway, None)
    raise LinkError(CODE, f"{hello.name} ({hello.gateway}) was forgotten by this mesh")


def known(state: MeshState, member: Member) -> bool:
    """Whether another gateway's word for where this one is may be followed."""
    return not is_forgotten(state, member.gateway, member.store)


def apply(state: MeshState) -> None:
    """After any change of the table: who is forgotten is let go."""
    for peer in list(state.peers.values()):
        if is_forgotten(state, peer.gateway, peer.store):
            _let_go(state, peer)


def age(state: MeshState) -> None:
    """Counts for how long gateways have been dead, while others live, and forgets them in the end.

    What counts is what this gateway has seen itself: mesh time may jump when two halves of a mesh meet.
    """
    passed_s = min(state.now - state.aged_at, COUNTED_S_MAX)
    state.aged_at = state.now
    limit_s = state.identity.cluster.forget_after_days * DAY_S
    for peer in list(state.peers.values()):
        if peer.life is Life.ALIVE:
            if peer.dead_saved_s:
                _save(state, peer, 0.0)
            peer.dead_s = 0.0
        if peer.life is not Life.DEAD or not state.alive():
            continue  # where none lives it may be this one that is cut off; and a mesh has two at least
        peer.dead_s += passed_s
        if limit_s and peer.dead_s >= limit_s:
            forget(state, peer)
        elif peer.dead_s - peer.dead_saved_s >= DEAD_SAVE_S:
            _save(state, peer, peer.dead_s)


def _save(state: MeshState, peer: Peer, dead_s: float) -> None:
    peer.dead_saved_s = dead_s
    state.effects.append(
        SaveMember(peer.gateway, peer.name, peer.address, peer.port, peer.store, dead_s)
    )


def _set(state: MeshState, key: str, value: bytes | None) -> None:
    row: Row = state.own_tables[FORGOTTEN].changed(key, value, state.clock.stamp(state.now))
    tables.take(state, FORGOTTEN, [(key, row)])
    tables.tell(state, FORGOTTEN, [(key, row)])
    apply(state)


def _let_go(state: MeshState, peer: Peer) -> None:
    if peer.link is not None:
        peer.link.say(Refuse(CODE, f"{peer.name} ({peer.gateway}) was forgotten by this mesh"))
        peer.link.close()
        membership.unlink(state, peer)
    peer.outgoing.release_tickets()
    membership.bury(state, peer)
    del state.peers[peer.gateway]
    state.dialling.forget(peer.gateway)
    state.effects.append(ForgetMember(peer.gateway))
    state.check_boot()
    state.check_barriers()
