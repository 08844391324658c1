"""The short roads: runs of common packets, from the bytes of one read to outboxes, in few steps.

    PUBLISH  QoS 0, nothing special   forwarded unopened: the same bytes for every subscriber here
    PUBLISH  QoS 1, nothing special   one loop over a run of one topic, one message object each
    PUBACK   success                  one loop over a run; PUBCOMP too

"Nothing special" is: no DUP, not retained, no properties, and no rule that has not yet allowed it. What
is special, or has no cached route, or must reach the disk, is left to the handlers, which give the same
answers. The benchmark rows "QoS 0, one to one", "QoS 1, one to one" and "fan-out" are what this file is
for; QoS 2 is in `lanes_twice.py`. A lane takes the frames from `index` on and returns the index of the
first one that it leaves alone.
"""

from gateway.broker import lanes_twice
from gateway.broker.connection import Connection, Frame
from gateway.broker.delivery import deliver_special, publish_run
from gateway.broker.publishing import check_crowding
from gateway.broker.routes import Route
from gateway.broker.runs import known_route, read_run
from gateway.broker.session import Session
from gateway.broker.vitals import Vitals
from gateway.mqtt.framing import encode_length

PLAIN_PUBLISH = 0x30
ACKNOWLEDGED_PUBLISH = 0x32
EXACTLY_ONCE_PUBLISH = 0x34
PUBACK = 0x40
PUBCOMP = 0x70


def publish_plain(connection: Connection, data: bytes, frames: list[Frame], index: int) -> int:
    """PUBLISH at QoS 0: frames of one topic that follow each other leave as one piece."""
    dialect, routes = connection.outbox.dialect, connection.broker.routes.cache
    session = connection.session
    assert session is not None, "open without a session"
    rights = session.rights
    total = len(frames)
    while index < total:
        first, start, end = frames[index]
        if first != PLAIN_PUBLISH or end - start < 3:
            return index
        size = 2 + (data[start] << 8 | data[start + 1])
        field = data[start : start + size]
        route = routes.get(field)
        if route is None or (rights is not None and not rights.written.get(field)):
            return index
        if route.live is None:
            return publish_run_of(connection, data, frames, index)
        payload_bytes = 0
        for run in range(index, total):
            first, start, end = frames[run]
            at = start + size + dialect
            if first != PLAIN_PUBLISH or at > end or not data.startswith(field, start):
                break
            if dialect and data[at - 1]:
                break
            payload_bytes += end - at
        else:
            run = total
        if run == index:
            return index
        if route.special or route.shared:
            _give_special(connection, data, frames, index, run, route)
        vitals = connection.broker.vitals
        vitals.payload_bytes_in += payload_bytes
        vitals.payload_bytes_out += payload_bytes * (len(route.live[0]) + len(route.live[1]))
        _forward(data, frames, index, run, dialect, route, vitals)
        index = run
    return index


def publish_run_of(connection: Connection, data: bytes, frames: list[Frame], index: int) -> int:
    """PUBLISH at QoS 1, or at 0: a run of frames of one topic, length and QoS goes together."""
    qos, dialect = frames[index][0] >> 1 & 1, connection.outbox.dialect
    route = known_route(connection, data, frames[index])
    if route is None or (qos and route.durable and connection.broker.refusing()):
        return index
    if dialect and not route.is_wanted():
        return index  # a 5.0 client is told that nobody listens
    session = connection.session
    assert session is not None, "open without a session"
    if session.rights is not None and not session.rights.written.get(route.field):
        return index
    messages, ids = read_run(connection, data, frames, index, route)
    if messages:
        if qos:
            connection.acks += [b"\x40\x02" + packet_id for packet_id in ids]
        publish_run(connection.broker, messages, route, connection.ticket if qos else None)
        if route.elsewhere or route.shared:
            check_crowding(connection)
    return index + len(messages)


def acknowledge(connection: Connection, data: bytes, frames: list[Frame], index: int) -> int:
    """PUBACK, or PUBCOMP, of two bytes: success."""
    session = connection.session
    assert session is not None, "open without a session"
    if session.number:
        return _acknowledge_kept(session, data, frames, index, connection.broker.now)
    inflight, wanted = session.inflight, frames[index][0]
    large, room = session.large, session.room
    before, total = len(inflight), len(frames)
    while index < total:
        first, start, end = frames[index]
        if first != wanted or end - start != 2:
            break
        delivery = inflight.pop(data[start] << 8 | data[start + 1], None)
        if large and delivery is not None:
            room.empty(delivery[0])
        index += 1
    room.free(before - len(inflight))
    session.large = large and bool(inflight)
    if session.backlog.line or session.replay is not None:
        session.send_waiting(connection.broker.now)
    return index


def _acknowledge_kept(
    session: Session, data: bytes, frames: list[Frame], index: int, now: float
) -> int:
    """The same for a session that the disk keeps, which is to hear of it."""
    wanted, packet_ids = frames[index][0], []
    while index < len(frames):
        first, start, end = frames[index]
        if first != wanted or end - start != 2:
            break
        packet_ids.append(data[start] << 8 | data[start + 1])
        index += 1
    session.acknowledged(packet_ids, now)
    return index


LANES = {
    PLAIN_PUBLISH: publish_plain,
    ACKNOWLEDGED_PUBLISH: publish_run_of,
    PUBACK: acknowledge,
    PUBCOMP: acknowledge,
    EXACTLY_ONCE_PUBLISH: lanes_twice.store,
    lanes_twice.PUBREL: lanes_twice.release,
    lanes_twice.PUBREC: lanes_twice.received,
}


def _give_special(
    connection: Connection, data: bytes, frames: list[Frame], index: int, run: int, route: Route
) -> None:
    """The same frames for those on the route who need more than the bytes."""
    while index < run:
        messages, _ = read_run(connection, data, frames, index, route)
        deliver_special(connection.broker, messages, route)
        index += len(messages)


def _forward(
    data: bytes,
    frames: list[Frame],
    index: int,
    run: int,
    dialect: int,
    route: Route,
    vitals: Vitals,
) -> None:
    """Frames `index` to `run` of one topic go to everyone on its route."""
    assert route.live is not None
    count = run - index
    same, other = route.live[dialect], route.live[1 - dialect]
    vitals.messages_in += count
    vitals.messages_out += count * (len(same) + len(other))
    if same:
        piece = data[frames[index - 1][2] if index else 0 : frames[run - 1][2]]
        for outbox in same:
            if not outbox.pieces:
                outbox.touched.append(outbox)
            outbox.pieces.append(piece)
    if other:
        run_frames = frames[index:run]
        piece = b"".join(_translate(data, frame, dialect, route.field) for frame in run_frames)
        for outbox in other:
            outbox.send(piece)


def _translate(data: bytes, frame: Frame, dialect: int, field: bytes) -> bytes:
    """The same message in the other dialect: with, or without, an empty property list."""
    payload = data[frame[1] + len(field) + dialect : frame[2]]
    properties = b"" if dialect else b"\0"
    length = len(field) + len(properties) + len(payload)
    return b"\x30" + encode_length(length) + field + properties + payload
