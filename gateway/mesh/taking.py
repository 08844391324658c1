"""Messages that come over a link, on their way to the broker; and what became of those that were sent.

Must not know how a link came to be.
"""

from gateway.arrival import Arrival
from gateway.ids import Stamp
from gateway.mesh import reconcile, wills
from gateway.mesh.frames import (
    Entries,
    Said,
    Synced,
    Taken,
)
from gateway.mesh.incoming import Promise
from gateway.mesh.link import Link
from gateway.mesh.peer import Peer
from gateway.mesh.state import MeshState
from gateway.mqtt.message import Message


def on_entries(state: MeshState, link: Link, frame: Entries) -> None:
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
    insist = state.local.insist if run[0].taken else None
    promise = Promise(peer.incoming, last - len(run) + 1, last, insist)
    arrival = Arrival(stamp, late, promise.ticket if run[0].qos else None)
    state.local.arrived(run, arrival, state.now)
    if promise.close():
        state.local.keep_position(peer.gateway, peer.incoming.start, last)


def _give_shared(state: MeshState, peer: Peer, message: Message, group: str, number: int) -> None:
    """Gives a message for one member of a shared subscription to the broker."""
    promise = Promise(peer.incoming, number, number, state.local.insist if message.taken else None)
    ticket = promise.ticket if message.qos else None
    state.local.arrived_shared(message, group, ticket, state.now)
    if promise.close():
        state.local.keep_position(peer.gateway, peer.incoming.start, number)


def on_said(state: MeshState, link: Link, frame: Said) -> None:
    peer = state.peers[link.gateway]
    if peer.incoming.is_new(frame):
        state.local.heard(peer.gateway, frame.move, state.now)


def _alike(one: Message, other: Message) -> bool:
    return (
        one.topic_field == other.topic_field
        and one.qos == other.qos
        and one.publisher == other.publisher
        and one.retain == other.retain
        and one.level == other.level
        and one.taken == other.taken
    )


def on_taken(state: MeshState, link: Link, frame: Taken) -> None:
    state.peers[link.gateway].outgoing.taken(frame.number, frame.waits)


def on_synced(state: MeshState, link: Link, frame: Synced) -> None:
    state.peers[link.gateway].outgoing.kept(frame.ranges, frame.why)
