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

import contextlib
from collections.abc import Callable
from typing import Any

from gateway.arrival import Arrival
from gateway.effects import SaveMember
from gateway.errors import LinkError
from gateway.ids import Stamp
from gateway.limits import GATEWAYS_MAX, SYNC_TIMEOUT_S
from gateway.mesh import (
    forgetting,
    keys,
    lock,
    membership,
    presence,
    questions,
    reconcile,
    standin,
    tables,
    wills,
)
from gateway.mesh.estates import End
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
from gateway.mesh.handing import give_again
from gateway.mesh.incoming import Incoming, Promise
from gateway.mesh.link import Link, LinkState
from gateway.mesh.peer import INTEREST, RETAINED, TABLES_AND_CLIENTS, WILLS, Peer
from gateway.mesh.state import FORGOTTEN, MeshState
from gateway.mqtt.message import Message


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
        peer = state.peers[hello.gateway] = Peer(hello.gateway, hello.name)
    if peer.link is not None:
        _settle_double(state, peer, link, hello)
    state.clock.seen(hello.mesh_time_ms, state.now)
    if peer.hello is None or _start_of(peer.hello) != _start_of(hello):
        lost = peer.outgoing.park(state.now)  # what it had in memory went with its last start
        start = "/".join(map(str, _start_of(hello)))
        peer.incoming = Incoming(state.local.position(peer.gateway, start), start)
        membership.gone(state, peer)
        peer.wish = None
        state.peers_groups.drop(peer)
        state.local.interest_changed()
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
    elif not link.via:
        state.note("info", f"there is a link to {peer.name} again")
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
    peer.outgoing.go_on(frame.number if mine else 0, frame.waits if mine else [], state.now)
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
    if link.via:
        over = state.peers.get(link.via)
        name = link.via if over is None else over.name
        state.note("warning", f"there is no link to {peer.name}: it is reached over {name}")
    membership.judge(state)
    state.watching.came(peer, state.now)


def _on_entries(state: MeshState, link: Link, frame: Entries) -> None:
    """Messages of one client and topic that follow each other go to the broker together."""
    state.local.from_gateway(link.gateway)
    try:
        _take(state, state.peers[link.gateway], frame)
    finally:
        state.local.from_gateway("")


def _take(state: MeshState, peer: Peer, frame: Entries) -> None:
    now = state.now
    run: list[Message] = []
    late = False
    fresh = peer.incoming.take(frame)
    for number, entry in enumerate(fresh, peer.incoming.number - len(fresh) + 1):
        message = reconcile.message_of(entry, now)
        apart = entry.late != late or entry.stamp is not None or entry.group
        if run and (apart or not _alike(message, run[0])):
            _give(state, peer, run, number - 1, late)
            run = []
        late = entry.late
        if entry.group:
            _give_shared(state, peer, message, entry.group, number)
            continue
        run.append(message)
        if entry.stamp is not None:
            stamp = Stamp(*entry.stamp, peer.gateway)
            state.clock.seen(stamp.time_ms, now, stamp.counter)
            if wills.stayed(state, message):
                state.local.restamp(message.topic, now)
            else:
                _give(state, peer, run, number, late, stamp)
            run = []
    if run:
        _give(state, peer, run, peer.incoming.number, late)


def _give(
    state: MeshState,
    peer: Peer,
    run: list[Message],
    last: int,
    late: bool,
    stamp: Stamp | None = None,
) -> None:
    """Gives messages to the broker; `last` is the number of the last one."""
    promise = Promise(peer.incoming, last - len(run) + 1, last)
    arrival = Arrival(stamp, late, promise.ticket if run[0].qos else None)
    state.local.arrived(run, arrival, state.now)
    if promise.close():
        state.local.keep_position(peer.gateway, peer.incoming.start, last)


def _give_shared(state: MeshState, peer: Peer, message: Message, group: str, number: int) -> None:
    """Gives a message for one member of a shared subscription to the broker."""
    promise = Promise(peer.incoming, number, number)
    ticket = promise.ticket if message.qos else None
    state.local.arrived_shared(message, group, ticket, state.now)
    if promise.close():
        state.local.keep_position(peer.gateway, peer.incoming.start, number)


def _on_said(state: MeshState, link: Link, frame: Said) -> None:
    peer = state.peers[link.gateway]
    if peer.incoming.is_new(frame):
        state.local.heard(peer.gateway, frame.move, state.now)


def _alike(one: Message, other: Message) -> bool:
    return (
        one.topic_field == other.topic_field
        and one.qos == other.qos
        and one.publisher == other.publisher
        and one.retain == other.retain
    )


def _on_taken(state: MeshState, link: Link, frame: Taken) -> None:
    state.peers[link.gateway].outgoing.taken(frame.number, frame.waits)


def _on_synced(state: MeshState, link: Link, frame: Synced) -> None:
    state.peers[link.gateway].outgoing.kept(frame.ranges, frame.why)


def _on_interest(state: MeshState, link: Link, frame: Interest) -> None:
    peer = state.peers[link.gateway]
    state.peers_interest.apply(peer, frame)
    state.local.interest_changed()
    if not frame.more:
        if (
            peer.streaming
        ):  # a will that the client's coming made due is there before it is answered
            peer.outgoing.seal()
            link.out.extend(peer.outgoing.unsent)
            peer.outgoing.unsent.clear()
        link.say(InterestTaken(frame.version))
        peer.awaiting.discard(INTEREST)
        _perhaps_synced(state, peer)


def _on_clients(state: MeshState, link: Link, frame: Clients) -> None:
    presence.heard(state, state.peers[link.gateway], frame)


def _on_groups(state: MeshState, link: Link, frame: Groups) -> None:
    came = state.peers_groups.apply(state.peers[link.gateway], frame)
    state.local.interest_changed()
    state.local.members_came(came, state.now)


def _on_wills(state: MeshState, link: Link, frame: Wills) -> None:
    wills.told(state, state.peers[link.gateway], frame)


def _on_wills_held(state: MeshState, link: Link, frame: WillsHeld) -> None:
    wills.held(state, state.peers[link.gateway], frame)


def _on_interest_taken(state: MeshState, link: Link, frame: InterestTaken) -> None:
    state.peers[link.gateway].knows = frame.version
    state.check_barriers()


def _on_digest(state: MeshState, link: Link, frame: Digest) -> None:
    if frame.table:
        tables.on_digest(state, link, frame)
        _perhaps_synced(state, state.peers[link.gateway])
        return
    compare = reconcile.differences(state.local.retained, frame)
    for listing in compare:
        link.say(listing)
    if not compare:
        _retained_in(state, state.peers[link.gateway])


def _on_compare(state: MeshState, link: Link, frame: Compare) -> None:
    if frame.table:
        tables.on_compare(state, link, frame)
        return
    for retained in reconcile.newer_here(state.local.retained, frame, state.now):
        link.say(retained)


def _on_retained(state: MeshState, link: Link, frame: Retained) -> None:
    state.local.from_gateway(link.gateway)
    try:
        for kept in frame.kept:
            message, stamp = reconcile.kept_message(kept, state.now)
            state.clock.seen(stamp.time_ms, state.now, stamp.counter)
            if wills.stayed(state, message):
                state.local.restamp(message.topic, state.now)
            else:
                state.local.caught_up(message, stamp, state.now)
    finally:
        state.local.from_gateway("")
    if frame.last:
        _retained_in(state, state.peers[link.gateway])


def _on_rows(state: MeshState, link: Link, frame: Rows) -> None:
    tables.on_rows(state, link, frame)
    if frame.table == FORGOTTEN:
        forgetting.apply(state)
    if link.closed:
        return  # it is the sender that is forgotten
    _perhaps_synced(state, state.peers[link.gateway])


def _on_beat(state: MeshState, link: Link, frame: Beat) -> None:
    membership.heard(state, state.peers[link.gateway], link, frame)
    standin.choose(state)


def _on_vitals(state: MeshState, link: Link, frame: Vitals) -> None:
    peer = state.peers[link.gateway]
    peer.vitals, peer.vitals_at = frame, state.now


def _on_keys(state: MeshState, link: Link, frame: Keys) -> None:
    keys.heard(state, frame)


def _on_lock(state: MeshState, link: Link, frame: Lock) -> None:
    lock.on_lock(state, state.peers[link.gateway], frame)


def _on_lock_heard(state: MeshState, link: Link, frame: LockHeard) -> None:
    lock.on_heard(state, state.peers[link.gateway], frame)


def _on_known(state: MeshState, link: Link, frame: Known) -> None:
    _meet(state, frame.members)


def _on_bye(state: MeshState, link: Link, frame: Bye) -> None:
    peer = state.peers[link.gateway]
    peer.stopping = True
    wills.over(state, peer, End.STOPPED)
    state.note("info", f"{peer.name} stops on purpose")


def _on_ask(state: MeshState, link: Link, frame: Ask) -> None:
    who = state.peers[link.gateway].name
    answer = Answer(frame.number, None, "its version does not know the question")
    with contextlib.suppress(ValueError):
        asked = (frame.what, frame.client, frame.limit, frame.orphans)
        answer = Answer(frame.number, state.local.asked(*asked, who, state.now))
    link.out.append(questions.encoded(answer))


def _on_answer(state: MeshState, link: Link, frame: Answer) -> None:
    state.questions.answered(state.peers[link.gateway], frame)


def _on_watch(state: MeshState, link: Link, frame: Watch) -> None:
    if state.watched.full():
        link.say(Shown(frame.number, [], refused="others watch it already; one of them must end"))
        return
    try:
        here = state.local.watch(frame.filters, frame.client, frame.payload)
    except ValueError as error:
        link.say(Shown(frame.number, [], refused=str(error)))
        return
    state.watched.begin(link, frame.number, here)


def _on_shown(state: MeshState, link: Link, frame: Shown) -> None:
    state.watching.shown(state.peers[link.gateway], frame, state.now)


def _on_unwatch(state: MeshState, link: Link, frame: Unwatch) -> None:
    state.watched.end(link, frame.number)


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


def _retained_in(state: MeshState, peer: Peer) -> None:
    peer.awaiting.discard(RETAINED)
    _perhaps_synced(state, peer)


def _perhaps_synced(state: MeshState, peer: Peer) -> None:
    if peer.synced:
        state.release(peer.gateway)
        state.check_boot()


Move = Callable[[MeshState, Link, Any], None]

_MOVES: dict[tuple[LinkState, type], Move] = {
    (LinkState.WAITING, Hello): _on_hello,
    (LinkState.WAITING, Refuse): _on_refuse,
    (LinkState.GREETED, Received): _on_received,
    (LinkState.GREETED, Start): _on_start,
    (LinkState.GREETED, Beat): _on_beat,
    (LinkState.GREETED, Refuse): _on_refuse,
    (LinkState.UP, Entries): _on_entries,
    (LinkState.UP, Said): _on_said,
    (LinkState.UP, Taken): _on_taken,
    (LinkState.UP, Synced): _on_synced,
    (LinkState.UP, Clients): _on_clients,
    (LinkState.UP, Groups): _on_groups,
    (LinkState.UP, Wills): _on_wills,
    (LinkState.UP, WillsHeld): _on_wills_held,
    (LinkState.UP, Interest): _on_interest,
    (LinkState.UP, InterestTaken): _on_interest_taken,
    (LinkState.UP, Digest): _on_digest,
    (LinkState.UP, Compare): _on_compare,
    (LinkState.UP, Retained): _on_retained,
    (LinkState.UP, Rows): _on_rows,
    (LinkState.UP, Beat): _on_beat,
    (LinkState.UP, Vitals): _on_vitals,
    (LinkState.UP, Keys): _on_keys,
    (LinkState.UP, Lock): _on_lock,
    (LinkState.UP, LockHeard): _on_lock_heard,
    (LinkState.UP, Known): _on_known,
    (LinkState.UP, Bye): _on_bye,
    (LinkState.UP, Ask): _on_ask,
    (LinkState.UP, Answer): _on_answer,
    (LinkState.UP, Watch): _on_watch,
    (LinkState.UP, Shown): _on_shown,
    (LinkState.UP, Unwatch): _on_unwatch,
    (LinkState.UP, Refuse): _on_refuse,
}
