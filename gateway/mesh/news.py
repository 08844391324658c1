"""What a gateway that is linked tells of itself, frame by frame, and what it asks.

Must not know how a link came to be, or messages.
"""

import contextlib

from gateway.mesh import (
    forgetting,
    keys,
    lock,
    membership,
    presence,
    questions,
    reconcile,
    slept,
    standin,
    tables,
    wills,
)
from gateway.mesh.estates import End
from gateway.mesh.frames import (
    Answer,
    Ask,
    Beat,
    Bye,
    Clients,
    Compare,
    Digest,
    Groups,
    Interest,
    InterestTaken,
    Keys,
    Lock,
    LockHeard,
    Retained,
    Rows,
    Shown,
    Unwatch,
    Vitals,
    Watch,
    Wills,
    WillsHeld,
)
from gateway.mesh.link import Link
from gateway.mesh.peer import INTEREST, RETAINED, Peer
from gateway.mesh.state import FORGOTTEN, MeshState


def on_interest(state: MeshState, link: Link, frame: Interest) -> None:
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


def on_clients(state: MeshState, link: Link, frame: Clients) -> None:
    presence.heard(state, state.peers[link.gateway], frame)


def on_groups(state: MeshState, link: Link, frame: Groups) -> None:
    came = state.peers_groups.apply(state.peers[link.gateway], frame)
    state.local.interest_changed()
    state.local.members_came(came, state.now)


def on_wills(state: MeshState, link: Link, frame: Wills) -> None:
    wills.told(state, state.peers[link.gateway], frame)


def on_wills_held(state: MeshState, link: Link, frame: WillsHeld) -> None:
    wills.held(state, state.peers[link.gateway], frame)


def on_interest_taken(state: MeshState, link: Link, frame: InterestTaken) -> None:
    state.peers[link.gateway].knows = frame.version
    state.check_barriers()


def on_digest(state: MeshState, link: Link, frame: Digest) -> None:
    if frame.table:
        tables.on_digest(state, link, frame)
        _perhaps_synced(state, state.peers[link.gateway])
        return
    compare = reconcile.differences(state.local.retained, frame)
    for listing in compare:
        link.say(listing)
    if not compare:
        _retained_in(state, state.peers[link.gateway])


def on_compare(state: MeshState, link: Link, frame: Compare) -> None:
    if frame.table:
        tables.on_compare(state, link, frame)
        return
    reconcile.check_buckets(state.local.retained, frame)
    link.say_later(reconcile.newer_here(state.local.retained, frame, lambda: state.now))


def on_retained(state: MeshState, link: Link, frame: Retained) -> None:
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


def on_rows(state: MeshState, link: Link, frame: Rows) -> None:
    tables.on_rows(state, link, frame)
    if frame.table == FORGOTTEN:
        forgetting.apply(state)
    if link.closed:
        return  # it is the sender that is forgotten
    _perhaps_synced(state, state.peers[link.gateway])


def on_beat(state: MeshState, link: Link, frame: Beat) -> None:
    membership.heard(state, state.peers[link.gateway], link, frame)
    standin.choose(state)
    slept.check(state)


def on_vitals(state: MeshState, link: Link, frame: Vitals) -> None:
    peer = state.peers[link.gateway]
    peer.vitals, peer.vitals_at = frame, state.now


def on_keys(state: MeshState, link: Link, frame: Keys) -> None:
    keys.heard(state, frame)


def on_lock(state: MeshState, link: Link, frame: Lock) -> None:
    lock.on_lock(state, state.peers[link.gateway], frame)


def on_lock_heard(state: MeshState, link: Link, frame: LockHeard) -> None:
    lock.on_heard(state, state.peers[link.gateway], frame)


def on_bye(state: MeshState, link: Link, frame: Bye) -> None:
    peer = state.peers[link.gateway]
    peer.stopping = True
    wills.over(state, peer, End.STOPPED)
    state.note("info", f"{peer.name} stops on purpose")


def on_ask(state: MeshState, link: Link, frame: Ask) -> None:
    who = state.peers[link.gateway].name
    answer = Answer(frame.number, None, "its version does not know the question")
    with contextlib.suppress(ValueError):
        asked = (frame.what, frame.client, frame.limit, frame.orphans)
        answer = Answer(frame.number, state.local.asked(*asked, who, state.now))
    link.out.append(questions.encoded(answer))


def on_answer(state: MeshState, link: Link, frame: Answer) -> None:
    state.questions.answered(state.peers[link.gateway], frame)


def on_watch(state: MeshState, link: Link, frame: Watch) -> None:
    if state.watched.full():
        link.say(Shown(frame.number, [], refused="others watch it already; one of them must end"))
        return
    try:
        here = state.local.watch(frame.filters, frame.client, frame.payload)
    except ValueError as error:
        link.say(Shown(frame.number, [], refused=str(error)))
        return
    state.watched.begin(link, frame.number, here)


def on_shown(state: MeshState, link: Link, frame: Shown) -> None:
    state.watching.shown(state.peers[link.gateway], frame, state.now)


def on_unwatch(state: MeshState, link: Link, frame: Unwatch) -> None:
    state.watched.end(link, frame.number)


def _retained_in(state: MeshState, peer: Peer) -> None:
    peer.awaiting.discard(RETAINED)
    _perhaps_synced(state, peer)


def _perhaps_synced(state: MeshState, peer: Peer) -> None:
    if peer.synced:
        if peer.buried:
            peer.buried = False
            state.local.gateway_found(peer.gateway, state.now)
        state.release(peer.gateway)
        state.check_boot()
        slept.check(state)
