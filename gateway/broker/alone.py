"""The shortest road: a read that is one small PUBLISH at QoS 1 and nothing else.

Most devices send one message and wait for its PUBACK: there is no run whose messages could share the
work. The benchmark rows "500 publishers" are what this file is for. Whatever is special, must reach the
disk, is for a shared subscription or goes to other gateways is left to the other roads (`lanes.py`),
which give the same answers.
"""

from gateway.broker.connection import Connection
from gateway.broker.delivery import publish_run
from gateway.mqtt.message import Message
from gateway.mqtt.properties import NO_PROPERTIES

ACKNOWLEDGED_PUBLISH = 0x32


def publish(connection: Connection, data: bytes) -> bool:
    """PUBLISH at QoS 1, whole, with a length of one byte; False: nothing was done."""
    broker, session, outbox = connection.broker, connection.session, connection.outbox
    assert session is not None, "open without a session"
    id_at = 4 + (data[2] << 8 | data[3])
    route = broker.routes.cache.get(data[2:id_at])
    if route is None or route.durable or route.elsewhere or route.shared:
        return False
    if session.rights is not None and not session.rights.written.get(route.field):
        return False
    packet_id, tail = data[id_at : id_at + 2], data[id_at + 2 :]
    if len(packet_id) < 2 or packet_id == b"\0\0":
        return False
    vitals = broker.vitals
    wanted, dialect = route.is_wanted(), outbox.dialect
    # A 5.0 client is told that nobody listens, and knows how much it may have unanswered.
    if dialect and (not wanted or tail[:1] != b"\0" or session.unreleased):
        return False
    if wanted:
        payload, key = tail[1:] if dialect else tail, dialect << 3 | 0x02
        encoded = data[:id_at], tail
        topic, field, publisher = route.topic, route.field, session.client_id
        message = Message(
            topic, field, payload, 1, False, NO_PROPERTIES, publisher, None, key, encoded
        )
        publish_run(broker, [message], route, None)
    else:
        vitals.messages_in += 1
        vitals.payload_bytes_in += len(tail)
    vitals.packets_in += 1
    vitals.others_out += 1
    outbox.send(b"\x40\x02" + packet_id)
    return True


ALONE = {ACKNOWLEDGED_PUBLISH: publish}
