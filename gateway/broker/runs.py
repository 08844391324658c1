"""A run of PUBLISH frames that are alike, from the bytes of one read to message objects.

Alike: the same first byte, length and topic, and nothing special in them (`lanes.py`). Must not know
what becomes of the messages.
"""

from gateway.broker.connection import Connection, Frame
from gateway.broker.routes import Route
from gateway.mqtt.message import Message
from gateway.mqtt.properties import NO_PROPERTIES


def known_route(connection: Connection, data: bytes, frame: Frame) -> Route | None:
    """The route of a PUBLISH, if it is cached and the frame is long enough for what it claims."""
    first, start, end = frame
    topic_end = start + 2 + (data[start] << 8 | data[start + 1]) if end - start > 2 else end
    least = (2 if first & 0x06 else 0) + connection.outbox.dialect
    if topic_end + least > end:
        return None
    return connection.broker.routes.cache.get(data[start:topic_end])


def read_run(
    connection: Connection, data: bytes, frames: list[Frame], index: int, route: Route
) -> tuple[list[Message], list[bytes]]:
    """The messages of the frames from `index` on that are like it, and their packet ids as bytes.

    `route` is what `known_route` said of the first. Both lists are empty if that is special.
    """
    first, start, end = frames[index]
    qos = first >> 1 & 3
    dialect, id_bytes = connection.outbox.dialect, 2 if qos else 0
    session = connection.session
    assert session is not None, "open without a session"
    begin = frames[index - 1][2] if index else 0
    head = data[begin : start + len(route.field)]
    size, offset = end - begin, len(head)
    topic, field, client_id = route.topic, route.field, session.client_id
    key, nothing = dialect << 3 | qos << 1, NO_PROPERTIES
    messages: list[Message] = []
    ids: list[bytes] = []
    left = len(frames) - index
    while left and data.startswith(head, begin):
        at, end = begin + offset, begin + size
        packet_id, tail = data[at : at + id_bytes], data[at + id_bytes : end]
        if packet_id == b"\0\0" or (dialect and tail[0]):
            break
        payload = tail[1:] if dialect else tail
        encoded = (head, tail)
        message = Message(topic, field, payload, qos, False, nothing, client_id, None, key, encoded)
        messages.append(message)
        ids.append(packet_id)
        begin = end
        left -= 1
    return messages, ids
