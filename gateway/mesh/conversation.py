"""What is said on a link, and what each frame makes this gateway do.

    both sides          Hello                       who I am
    both sides          Received                    what I have of your stream
    both sides          Start, then entries         where my stream goes on
    both sides          WillsHeld                   whose wills I keep, of gateways that are gone
    both sides          Clients, Interest           who is connected here; what my sessions want
    both sides          Digest                      what I retain; what stands in tables
    where they differ   Compare, Retained, Rows     until retained messages and tables are the same
    from then on        Entries, Said and Taken, Clients, Wills, Interest and InterestTaken, Beat, ...
    to a stand-in       CopyAsk, CopyFrom, then CopyPart; from it CopyHave, CopyKept
    an operator asks    Ask and Answer; Watch, Shown, Unwatch

The table at the end says which frame is legal in which state of the link; those of copies are handled
elsewhere (`MeshState.moves`). Must not know sockets.
"""

from collections.abc import Callable
from typing import Any

from gateway.effects import SaveMember
from gateway.errors import LinkError
from gateway.limits import GATEWAYS_MAX, SYNC_TIMEOUT_S
from gateway.mesh import forgetting, keys, lock, membership, news, presence, tables, taking, wills
from gateway.mesh.frames import (
    PROTOCOL,
    PROTOCOL_MIN,
    Answer,
    AnyFrame,
    Ask,
    Beat,
    Bye,
    Clients,
    Compare,
    Digest,
    Entries,
    Groups,
    Hello,
    Interest,
    InterestTaken,
    Keys,
    Known,
    Lock,
    LockHeard,
    Member,
    Received,
    Refuse,
    Retained,
    Rows,
    Said,
    Shown,
    Start,
    Strange,
    Synced,
    Taken,
    Unwatch,
    Vitals,
    Watch,
    Wills,
    WillsHeld,
)
from gateway.mesh.handing import give_again, keep
from gateway.mesh.incoming import Incoming
from gateway.mesh.link import Link, LinkState
from gateway.mesh.peer import INTEREST, RETAINED, TABLES_AND_CLIENTS, WILLS, Peer
from gateway.mesh.state import MeshState


def greet(state: MeshState, link: Link) -> None:
    """Says who this gateway is, as the first thing on a link."""
    me = state.identity
    link.say(
        Hello(
            PROTOCOL,
            PROTOCOL_MIN,
            me.cluster.name,
            me.gateway,
            me.name,
            me.store,
            me.boot,
            me.nonce,
            me.version,
            state.clock.read(state.now),
            me.address,
            me.cluster.link_port,
            me.mqtt_port,
            _members(state),
        )
    )


def _members(state: MeshState) -> tuple[Member, ...]:
    known = [peer for peer in state.peers.values() if peer.address]
    return tuple(_member(peer) for peer in known)


def _member(peer: Peer) -> Member:
    return Member(peer.gateway, peer.name, peer.address, peer.port, peer.store)


def handle(state: MeshState, link: Link, frame: AnyFrame) -> None:
    """Does what a frame asks. Raises LinkError when the link must end."""
    if isinstance(frame, Strange):
        _on_strange(state, link, frame)
        return
    move = _MOVES.get((link.state, type(frame)))
    if move is not None:
        move(state, link, frame)
    elif link.state is LinkState.UP and type(frame) in state.moves:
        state.moves[type(frame)](link, frame)
    else:
        raise LinkError("malformed", f"{type(frame).__name__} while {link.state.value}")


def _on_strange(state: MeshState, link: Link, frame: Strange) -> None:
    """While a mesh is updated one by one, a later version may say what this one does not know."""
    peer = state.peers.get(link.gateway)
    if link.state is LinkState.WAITING or peer is None or not peer.speaks(PROTOCOL + 1):
        raise LinkError("malformed", f"a frame of the type {frame.type!r}, which is none")


def _on_hello(state: MeshState, link: Link, hello: Hello) -> None:
    _check(state, link, hello)
    peer = state.peers.get(hello.gateway)
    if peer is None:
        if len(state.peers) >= GATEWAYS_MAX - 1:
            raise LinkError("full", f"this mesh has its {GATEWAYS_MAX} gateways")
        peer = state.know(Peer(hello.gateway, hello.name, buried=True))
    if peer.link is not None:
        _settle_double(state, peer, link, hello)
    state.clock.seen(hello.mesh_time_ms, state.now)
    if peer.hello is None or _start_of(peer.hello) != _start_of(hello):
        lost, unkept = peer.outgoing.park()  # what it had in memory went with its last start
        start = "/".join(map(str, _start_of(hello)))
        position = state.local.position(peer.gateway, start)
        peer.incoming = Incoming(position, start, peer.outgoing.stir)
        membership.gone(state, peer)
        peer.wish = None
        state.peers_groups.drop(peer)
        state.local.interest_changed()
        keep(state, peer, unkept)
        give_again(state, lost)
    _remember(state, peer, link, hello)
    if peer.speaks(TABLES_AND_CLIENTS) and not peer.came:
        peer.came = True
        state.local.gateway_came(peer.gateway, state.now)
    if not peer.refuses:
        wills.back(state, peer)
        state.hold(peer.gateway, state.now + SYNC_TIMEOUT_S)
    membership.judge(state)
    incoming = peer.incoming
    link.say(Received(hello.store, hello.boot, incoming.number, incoming.waiting()))
    peer.taken_said = peer.incoming.number


def _start_of(hello: Hello) -> tuple[str, int, str]:
    """Which start of which store: a card that was restored counts its boots a second time."""
    return hello.store, hello.boot, hello.nonce


def _check(state: MeshState, link: Link, hello: Hello) -> None:
    """Whether this is a gateway to be linked with; LinkError says why not."""
    me = state.identity
    link.gateway = hello.gateway
    if hello.protocol < PROTOCOL_MIN or hello.protocol_min > PROTOCOL:
        theirs = f"{hello.protocol_min} to {hello.protocol}"
        ours = f"{PROTOCOL_MIN} to {PROTOCOL}"
        raise LinkError(
            "protocol", f"{hello.name} speaks link protocol {theirs}, this gateway {ours}"
        )
    if hello.cluster != me.cluster.name:
        raise LinkError("cluster", f"{hello.name} belongs to the cluster {hello.cluster!r}")
    if hello.gateway == me.gateway:
        if hello.nonce == me.nonce:
            raise LinkError("self", "this is my own address")
        raise LinkError("clone", f"{hello.name} has the identity of this gateway")
    forgetting.check(state, hello)
    if link.certified != hello.gateway:
        raise LinkError("identity", f"{hello.name} shows the certificate of {link.certified}")


def _settle_double(state: MeshState, peer: Peer, link: Link, hello: Hello) -> None:
    """Two links to one gateway: both sides keep the one that the lower id began.

    A link to an earlier start of it is over, even if nobody has noticed; while one is heard, though,
    another box with the same identity is a clone and stays out.
    """
    assert peer.link is not None and peer.hello is not None
    silent_s = state.now - peer.heard_at
    heard = silent_s < state.identity.cluster.suspect_s and not peer.link.closed
    if link.via and not peer.link.via and heard:
        raise LinkError("double", "linked already, and directly")
    if hello.nonce != peer.hello.nonce:
        if heard:
            raise LinkError("clone", f"{hello.name} is linked already, from {peer.link.address[0]}")
    elif not peer.link.via:
        beginner = state.identity.gateway if link.dialled else peer.gateway
        lower = min(state.identity.gateway, peer.gateway)
        if beginner != lower and heard:
            raise LinkError("double", "linked already")
    peer.link.close()
    membership.unlink(state, peer)


def _remember(state: MeshState, peer: Peer, link: Link, hello: Hello) -> None:
    address = hello.address or (peer.address if link.via else "") or link.address[0]
    before = _member(peer)
    peer.name, peer.address, peer.port = hello.name, address, hello.link_port
    peer.store = hello.store
    peer.hello, peer.link, peer.heard_at = hello, link, state.now
    peer.stopping, peer.knows = False, -1
    peer.lost_clients.clear()
    peer.awaiting = {INTEREST, RETAINED}
    if peer.speaks(TABLES_AND_CLIENTS):
        peer.awaiting |= state.local.tables.keys()
    link.state = LinkState.GREETED
    if _member(peer) != before:
        state.effects.append(
            SaveMember(peer.gateway, peer.name, peer.address, peer.port, peer.store)
        )
        for other in state.links:
            if other.state is LinkState.UP:
                other.say(Known((_member(peer),)))
    if link.dialled and not link.via:
        state.dialling.answered(link.address, peer.gateway)
    state.refusals.clear(hello.name)
    state.refusals.clear(address)
    state.dialling.add((address, hello.link_port), peer.gateway, state.now)
    _meet(state, hello.members)


def _meet(state: MeshState, members: tuple[Member, ...]) -> None:
    for member in filter(lambda member: forgetting.known(state, member), members):
        state.dialling.add((member.address, member.port), member.gateway, state.now)


def _on_received(state: MeshState, link: Link, frame: Received) -> None:
    peer = state.peers[link.gateway]
    if peer.refuses:
        peer.refuses = False
        wills.back(state, peer)
    me = state.identity
    mine = (frame.store, frame.boot) == (me.store, me.boot)
    number = frame.number if mine else 0
    state.local.kept_there(peer.gateway, number, state.now)
    peer.outgoing.go_on(number, frame.waits if mine else [], state.now)
    link.say(Start(peer.outgoing.taken_number))
    peer.streaming = True
    if peer.speaks(WILLS):
        for kept in wills.greet(state, peer):
            link.say(kept)
    if peer.speaks(TABLES_AND_CLIENTS):
        for clients in presence.everybody(state):
            link.say(clients)
        for groups in state.own_groups.full(state.local.groups()):
            link.say(groups)
    for interest in state.own_interest.full(state.local.filters()):
        link.say(interest)
    keys.tell(state, peer)
    if state.wish is not None:
        lock.tell(state, peer)
    link.say(Digest(state.local.retained.digest()))
    tables.compare(state, peer, state.tables())


def _on_start(state: MeshState, link: Link, frame: Start) -> None:
    peer = state.peers[link.gateway]
    peer.incoming.begin(frame.number)
    peer.taken_said = frame.number
    link.state = LinkState.UP
    others = tuple(member for member in _members(state) if member.gateway != peer.gateway)
    if others:
        link.say(Known(others))  # two that came at the same time have not met
    membership.beat(state, link)
    if state.vitals is not None:
        link.say(state.vitals)
    if link.via != peer.over:
        _say_over(state, peer, link)
    membership.judge(state)
    state.watching.came(peer, state.now)


def _on_known(state: MeshState, link: Link, frame: Known) -> None:
    _meet(state, frame.members)


def _on_refuse(state: MeshState, link: Link, frame: Refuse) -> None:
    if frame.code in ("double", "self"):
        link.close()
        return
    code = frame.code
    if code == forgetting.CODE:
        code = forgetting.HERE
        if link.gateway in state.peers:
            state.peers[link.gateway].refuses = True
            membership.judge(state)
    raise LinkError(code, f"it refuses this gateway: {frame.detail}")


def _say_over(state: MeshState, peer: Peer, link: Link) -> None:
    peer.over = link.via
    if not link.via:
        state.note("info", f"there is a link to {peer.name} again")
        return
    over = state.peers.get(link.via)
    name = link.via if over is None else over.name
    state.note("warning", f"there is no link to {peer.name}: it is reached over {name}")


Move = Callable[[MeshState, Link, Any], None]

_MOVES: dict[tuple[LinkState, type], Move] = {
    (LinkState.WAITING, Hello): _on_hello,
    (LinkState.WAITING, Refuse): _on_refuse,
    (LinkState.GREETED, Received): _on_received,
    (LinkState.GREETED, Start): _on_start,
    (LinkState.GREETED, Beat): news.on_beat,
    (LinkState.GREETED, Refuse): _on_refuse,
    (LinkState.UP, Entries): taking.on_entries,
    (LinkState.UP, Said): taking.on_said,
    (LinkState.UP, Taken): taking.on_taken,
    (LinkState.UP, Synced): taking.on_synced,
    (LinkState.UP, Clients): news.on_clients,
    (LinkState.UP, Groups): news.on_groups,
    (LinkState.UP, Wills): news.on_wills,
    (LinkState.UP, WillsHeld): news.on_wills_held,
    (LinkState.UP, Interest): news.on_interest,
    (LinkState.UP, InterestTaken): news.on_interest_taken,
    (LinkState.UP, Digest): news.on_digest,
    (LinkState.UP, Compare): news.on_compare,
    (LinkState.UP, Retained): news.on_retained,
    (LinkState.UP, Rows): news.on_rows,
    (LinkState.UP, Beat): news.on_beat,
    (LinkState.UP, Vitals): news.on_vitals,
    (LinkState.UP, Keys): news.on_keys,
    (LinkState.UP, Lock): news.on_lock,
    (LinkState.UP, LockHeard): news.on_lock_heard,
    (LinkState.UP, Known): _on_known,
    (LinkState.UP, Bye): news.on_bye,
    (LinkState.UP, Ask): news.on_ask,
    (LinkState.UP, Answer): news.on_answer,
    (LinkState.UP, Watch): news.on_watch,
    (LinkState.UP, Shown): news.on_shown,
    (LinkState.UP, Unwatch): news.on_unwatch,
    (LinkState.UP, Refuse): _on_refuse,
}
