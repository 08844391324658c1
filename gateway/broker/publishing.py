"""PUBLISH and its acknowledgements, both ways.

QoS 2 from a client is stored at PUBLISH and released to subscribers at PUBREL ([MQTT-4.3.3] allows
either), so that whoever inherits the session can release it once. Must not know routes or peers.
"""

from gateway.broker.aliases import resolved
from gateway.broker.connection import Connection
from gateway.broker.delivery import RETAINED_FULL, publish, reserved, unkeepable
from gateway.broker.session import Session
from gateway.broker.traces import Traces
from gateway.durability import Durability
from gateway.errors import ProtocolError
from gateway.limits import RECEIVE_MAXIMUM
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import (
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Version,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason

_FAILURE = 0x80  # reason codes from here on are refusals, section 2.4
NO_ROOM = "too many messages wait"
_UNKNOWN_ID = "no message waits under this packet id"


def on_publish(connection: Connection, packet: Packet) -> None:
    """PUBLISH, section 3.3."""
    assert isinstance(packet, Publish)
    if packet.properties.subscription_identifiers:  # [MQTT-3.3.4-6]
        raise ProtocolError(Reason.PROTOCOL_ERROR, "a client sent a subscription identifier")
    message = _message(connection, packet)
    if connection.broker.traces is not None:
        _show(connection.broker.traces, packet, message, connection.broker.now)
    refused = _refusal(connection, message, packet.packet_id)
    if refused is not None:
        _refuse(connection, packet, message, *refused)
        return
    if packet.qos == 2:
        _store(connection, packet.packet_id, message)
        return
    reason = _publish(connection, message)
    # [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.2-5]
    if packet.qos == 1:
        connection.acknowledge(PubAck(packet.packet_id, reason), _why(connection, reason))


def on_puback(connection: Connection, packet: Packet) -> None:
    """PUBACK, section 3.4: whatever its reason, the message is not sent again."""
    assert isinstance(packet, PubAck)
    _session(connection).acknowledged([packet.packet_id], connection.broker.now)


def on_pubrec(connection: Connection, packet: Packet) -> None:
    """PUBREC, section 3.5: the client has the message; PUBREL follows [MQTT-4.3.3-4]."""
    assert isinstance(packet, PubRec)
    session = _session(connection)
    # [MQTT-4.4.0-2]
    if packet.reason >= _FAILURE:
        session.acknowledged([packet.packet_id], connection.broker.now)
        return
    reason, why = Reason.SUCCESS, ""
    if not session.received(packet.packet_id, connection.ticket):
        reason, why = Reason.PACKET_IDENTIFIER_NOT_FOUND, _UNKNOWN_ID
    connection.acknowledge(PubRel(packet.packet_id, reason), why)


def on_pubcomp(connection: Connection, packet: Packet) -> None:
    """PUBCOMP, section 3.7: the packet id is free again."""
    assert isinstance(packet, PubComp)
    _session(connection).acknowledged([packet.packet_id], connection.broker.now)


def on_pubrel(connection: Connection, packet: Packet) -> None:
    """PUBREL, section 3.6: the stored message is released, once."""
    assert isinstance(packet, PubRel)
    session = _session(connection)
    reason, why = Reason.SUCCESS, ""
    if packet.packet_id in session.unreleased:
        # [MQTT-4.3.3-12]
        message = session.unreleased.pop(packet.packet_id)
        session.unreleased_bytes -= message.bytes_held()
        session.room.let_go(message)
        if message.mid:
            # at least the disk: else the packet id, used again, would be taken for this message's
            level = max(message.level, Durability.LOCAL)
            connection.broker.journal.released(message.mid, connection.ticket(), level)
        if not message.expired(connection.broker.now):  # [MQTT-3.3.2-5]
            _publish(connection, message, released=True)
    else:
        reason, why = Reason.PACKET_IDENTIFIER_NOT_FOUND, _UNKNOWN_ID
        if session.number:  # perhaps it was released a moment ago
            connection.broker.journal.wait(connection.ticket(), Durability.MESH)
    # [MQTT-2.2.1-5] [MQTT-4.3.3-11] [MQTT-4.3.3-13]
    connection.acknowledge(PubComp(packet.packet_id, reason), why)


def _refusal(connection: Connection, message: Message, packet_id: int) -> tuple[Reason, str] | None:
    """Why the client may not publish this, if it may not."""
    session, broker = _session(connection), connection.broker
    if message.qos == 2 and packet_id in session.unreleased:
        return None  # what is stored was allowed when it came
    if message.topic.count("/") >= broker.settings.topic_levels_max:
        levels = broker.settings.topic_levels_max
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, f"a topic has more than {levels} levels")
    why = reserved(message.topic)
    if why:
        broker.vitals.refused_own += 1
        return Reason.NOT_AUTHORIZED, why
    if session.rights is not None and not session.rights.may_write(
        message.topic, message.topic_field
    ):
        broker.vitals.refused_by_rule += 1
        return Reason.NOT_AUTHORIZED, "a rule forbids to publish to this topic"
    if broker.settings.check_payload_format and is_mislabelled(message.properties, message.payload):
        broker.vitals.refused_payload += 1
        return Reason.PAYLOAD_FORMAT_INVALID, "the payload is not the UTF-8 that it says it is"
    return None


def _show(traces: Traces, packet: Publish, message: Message, now: float) -> None:
    """Tells who watches that the message came."""
    alias = packet.properties.topic_alias or 0
    traces.came(message, now, dup=packet.dup, packet_id=packet.packet_id, alias=alias)


def _refuse(
    connection: Connection, packet: Publish, message: Message, reason: Reason, why: str
) -> None:
    """Not taken [MQTT-3.3.5-2 of 3.1.1]: 5.0 has words for that, 3.1.1 only an answer as if it were."""
    if connection.broker.traces is not None:
        connection.broker.traces.refused(message, why, connection.broker.now)
    if packet.qos:
        make = PubAck if packet.qos == 1 else PubRec
        connection.acknowledge(make(packet.packet_id, reason), why)


def _why(connection: Connection, reason: Reason) -> str:
    """A refusal in words, for the client."""
    if reason != Reason.QUOTA_EXCEEDED:
        return ""
    return connection.broker.refusing() or RETAINED_FULL


def _store(connection: Connection, packet_id: int, message: Message) -> None:
    session = _session(connection)
    reason = Reason.SUCCESS
    if packet_id not in session.unreleased:  # else it is sent again, and stored [MQTT-4.3.3-10]
        new_client = connection.version is Version.MQTT5  # the others have no receive maximum
        if new_client and len(session.unreleased) >= RECEIVE_MAXIMUM:  # [MQTT-3.3.4-9]
            raise ProtocolError(Reason.RECEIVE_MAXIMUM_EXCEEDED, "too much QoS 2 unreleased")
        size = message.bytes_held()
        if session.unreleased_bytes + size > session.backlog.bounds.bytes_max:
            raise ProtocolError(Reason.QUOTA_EXCEEDED, "too many bytes of QoS 2 unreleased")
        reason = _keep(connection, packet_id, message)
        # [MQTT-4.3.3-9]
        if reason == Reason.SUCCESS:
            session.storing()[packet_id] = message
            session.room.hold(message)
            session.unreleased_bytes += size
    elif session.unreleased[packet_id].mid:  # perhaps the first is still on its way to the disk
        level = session.unreleased[packet_id].level
        connection.broker.journal.wait(connection.ticket(), level)
    # [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-4.3.3-8]
    connection.acknowledge(PubRec(packet_id, reason), _why(connection, reason))


def _keep(connection: Connection, packet_id: int, message: Message) -> Reason:
    """PUBREC makes the message ours: it waits for the disk where message or session must survive."""
    broker, number = connection.broker, _session(connection).number
    route = broker.routes.find(message.topic_field)
    message.level = route.level
    if unkeepable(broker, message, route) or (number and broker.journal.refusing):
        return _refused(connection, message)
    if message.retain and message.payload and not broker.retained.has_room(message):
        broker.vitals.refused_retained_full += 1
        if broker.traces is not None:
            broker.traces.refused(message, RETAINED_FULL, broker.now)
        return _unretained(connection)
    if broker.room.left() < 0 or (number and broker.refusing()):
        return _refused(connection, message)
    if broker.journal.keeping and (number or route.durable or message.retain):
        broker.journal.stored(number, packet_id, message, connection.ticket())
    return Reason.SUCCESS


def _publish(connection: Connection, message: Message, released: bool = False) -> Reason:
    """What is `released` was taken by PUBREC: it is published, whatever the disk says now."""
    broker = connection.broker
    route = broker.routes.find(message.topic_field)
    if not released and unkeepable(broker, message, route):
        return _refused(connection, message)
    reason = publish(broker, message, route, connection.ticket, released)
    check_crowding(connection)
    return _unretained(connection) if reason is Reason.QUOTA_EXCEEDED and message.qos else reason


def _refused(connection: Connection, message: Message) -> Reason:
    """Nothing can be kept: a 5.0 client is told, an older one loses its connection, unanswered."""
    broker = connection.broker
    broker.count_refused(1)
    if broker.traces is not None:
        broker.traces.refused(message, broker.refusing() or NO_ROOM, broker.now)
    if connection.version is not Version.MQTT5:
        connection.cut_off()
        raise ProtocolError(Reason.QUOTA_EXCEEDED, broker.refusing() or NO_ROOM)
    return Reason.QUOTA_EXCEEDED


def _unretained(connection: Connection) -> Reason:
    """The retained store is full: told as `_refused` does, for an answer would say that it was taken."""
    if connection.version is not Version.MQTT5:
        connection.cut_off()
        raise ProtocolError(Reason.QUOTA_EXCEEDED, RETAINED_FULL)
    return Reason.QUOTA_EXCEEDED


def check_crowding(connection: Connection) -> None:
    """A gateway that cannot keep up slows its publishers instead of losing messages."""
    if not connection.crowding and connection.broker.elsewhere.crowded():
        connection.crowd(True)
        client_id = _session(connection).client_id
        connection.broker.crowding[client_id] = lambda: connection.crowd(False)


def is_mislabelled(properties: Properties, payload: bytes) -> bool:
    """Whether the payload says that it is UTF-8, and is not (section 3.3.2.3.2)."""
    if not properties.payload_format_indicator:
        return False
    try:
        payload.decode()
    except UnicodeDecodeError:
        return True
    return False


def _message(connection: Connection, packet: Publish) -> Message:
    topic, properties = packet.topic, packet.properties
    if properties.topic_alias is not None:
        topic, properties = resolved(connection, packet)
    expiry_s = properties.message_expiry_interval_s
    return Message(
        topic,
        topic_field(topic),
        packet.payload,
        packet.qos,
        packet.retain,
        properties,
        _session(connection).client_id,
        None if expiry_s is None else connection.broker.now + expiry_s,
    )


def _session(connection: Connection) -> Session:
    assert connection.session is not None, "open without a session"
    return connection.session
