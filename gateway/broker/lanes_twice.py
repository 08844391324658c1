"""The short roads of QoS 2: what `lanes.py` is for the other two.

    PUBLISH  nothing special          a run of one topic is stored; PUBREC for each
    PUBREL   success                  what one topic has stored is released as a run; PUBCOMP for each
    PUBREC   success                  a run; PUBREL for each

The road is for what stays in memory. A session that the disk keeps, a target that is kept there, and
a packet id that is not known are left to the handlers, which give the same answers.
"""

from gateway.broker.connection import Connection, Frame
from gateway.broker.delivery import publish_run
from gateway.broker.publishing import check_crowding
from gateway.broker.routes import Route
from gateway.broker.runs import known_route, read_run
from gateway.limits import RECEIVE_MAXIMUM
from gateway.mqtt.message import Message
from gateway.mqtt.properties import NO_PROPERTIES

PUBREC = 0x50
PUBREL = 0x62


def store(connection: Connection, data: bytes, frames: list[Frame], index: int) -> int:
    """PUBLISH at QoS 2: a run of frames of one topic and length is stored."""
    session = connection.session
    assert session is not None, "open without a session"
    route = known_route(connection, data, frames[index])
    if route is None or route.durable or session.number:
        return index
    if session.rights is not None and not session.rights.written.get(route.field):
        return index
    messages, ids = read_run(connection, data, frames, index, route)
    unreleased, acks, room = session.storing(), connection.acks, session.room
    bytes_max = session.backlog.bounds.bytes_max if room.left() >= 0 else -1
    count_max = RECEIVE_MAXIMUM if connection.outbox.dialect else len(unreleased) + len(ids)
    cost = messages[0].bytes_held() if messages else 0  # of each
    new: list[Message] = []
    for message, id_bytes in zip(messages, ids, strict=True):
        packet_id = id_bytes[0] << 8 | id_bytes[1]
        if packet_id not in unreleased:  # else it is sent again, and stored [MQTT-4.3.3-10]
            held = session.unreleased_bytes + cost
            if len(unreleased) >= count_max or held > bytes_max:
                break  # a handler has the words for it
            unreleased[packet_id] = message
            new.append(message)
            session.unreleased_bytes = held
        acks.append(b"\x50\x02" + id_bytes)
        index += 1
    if new:
        room.hold_run(new)
    return index


def release(connection: Connection, data: bytes, frames: list[Frame], index: int) -> int:
    """PUBREL of two bytes: what was stored is released once; one topic and length goes together."""
    session = connection.session
    assert session is not None, "open without a session"
    if session.number:
        return index
    unreleased, acks, routes = session.unreleased, connection.acks, connection.broker.routes.cache
    field, size, cost, route = b"", 0, 0, None
    run: list[Message] = []
    total = len(frames)
    while index < total:
        first, start, end = frames[index]
        if first != PUBREL or end - start != 2:
            break
        packet_id = data[start] << 8 | data[start + 1]
        message = unreleased.get(packet_id)
        if message is None or message.retain or message.mid:
            break
        if message.properties is not NO_PROPERTIES:
            break
        if message.topic_field != field or len(message.payload) != size:
            _release(connection, run, route)
            run, field, size = [], message.topic_field, len(message.payload)
            cost = message.bytes_held()
            route = routes.get(field)
        if route is None or route.durable:
            break
        del unreleased[packet_id]
        session.unreleased_bytes -= cost
        run.append(message)
        acks.append(b"\x70\x02" + data[start:end])
        index += 1
    _release(connection, run, route)
    return index


def received(connection: Connection, data: bytes, frames: list[Frame], index: int) -> int:
    """PUBREC of two bytes: the client has the message; PUBREL follows [MQTT-4.3.3-4]."""
    session = connection.session
    assert session is not None, "open without a session"
    if session.number:
        return index
    inflight, large, room = session.inflight, session.large, session.room
    begin, total = index, len(frames)
    while index < total:
        first, start, end = frames[index]
        if first != PUBREC or end - start != 2:
            break
        packet_id = data[start] << 8 | data[start + 1]
        if packet_id not in inflight:
            break
        delivery, inflight[packet_id] = inflight[packet_id], None
        if large and delivery is not None:
            room.empty(delivery[0])
        index += 1
    if index > begin:
        answer = bytearray(data[frames[begin][1] - 2 : frames[index - 1][2]])
        answer[::4] = b"\x62" * (index - begin)  # the same packet ids, behind another first byte
        connection.acks.append(bytes(answer))
        more = index - begin - 1  # than the one packet that this looks like
        connection.broker.vitals.others_out += more
    return index


def _release(connection: Connection, run: list[Message], route: Route | None) -> None:
    if run:
        assert route is not None, "a run has the route of its topic"
        connection.broker.room.let_go_run(run)
        if route.elsewhere or route.shared:
            for message in run:
                message.taken = True
        publish_run(connection.broker, run, route, connection.ticket)
        if route.elsewhere or route.shared:
            check_crowding(connection)
