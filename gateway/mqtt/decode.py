"""One packet from its first byte and its body: a packet value out, or a ProtocolError.

A table leads from the packet type to its reader. Both directions are read: which side may send
what, and when, is the broker's table. Every rule that one packet alone can break is checked here;
rules that need a memory (aliases, identifiers in use, quotas) are not. Nothing but ProtocolError
leaves this file, whatever the bytes.

Statement numbers are those of 5.0; where 3.1 or 3.1.1 differ the line says so.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from gateway.errors import ProtocolError
from gateway.limits import FILTERS_IN_PACKET_MAX
from gateway.mqtt.fields import (
    broken,
    malformed,
    read_binary,
    read_byte,
    read_packet_id,
    read_string,
    read_u16,
    text_of,
)
from gateway.mqtt.framing import FIRST_BYTES, REDELIVERED_FIRST_BYTES
from gateway.mqtt.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PacketType,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.properties import NO_PROPERTIES, Carrier, Properties, decode_properties
from gateway.mqtt.reasons import (
    AUTH_REASONS,
    CONNACK_REASONS,
    DISCONNECT_REASONS,
    PUBACK_REASONS,
    PUBCOMP_REASONS,
    PUBREC_REASONS,
    PUBREL_REASONS,
    REASON_OF_RETURN_CODE,
    SUBACK_REASONS,
    UNSUBACK_REASONS,
    Reason,
)
from gateway.mqtt.topics import check_topic_filter, check_topic_name, split_share

A = TypeVar("A", PubAck, PubRec, PubRel, PubComp)

# A member of an enum takes three times as long to look up as a name of the module, and every
# PUBLISH asks for this one.
_MQTT5 = Version.MQTT5

_PROTOCOLS = {
    (b"MQIsdp", 3): Version.MQTT31,
    (b"MQTT", 4): Version.MQTT311,  # [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    (b"MQTT", 5): Version.MQTT5,
}
_REASON_OF = {int(reason): reason for reason in Reason}
_OLD_SUBACK_REASONS = frozenset((0x00, 0x01, 0x02, 0x80))  # [MQTT-3.9.3-2 of 3.1.1]


def decode(first: int, body: bytes, version: Version | None) -> Packet:
    """Read the packet whose first byte and body split() found.

    `version` is the one that the connection's CONNECT stated; None is "none yet", and then only a
    CONNECT is read [MQTT-3.1.0-1]. A CONNECT is read by the version that it states itself.

    Raises ProtocolError with the reason that section 4.13 wants. 0x84 is a CONNECT of an unknown
    protocol, 0x85 one of 3.1 without a client identifier; both are answered by a CONNACK. Not
    checked, as the specification leaves it open: whether a payload that says it is UTF-8 is.
    """
    read = _READERS[version].get(first)
    if read is None:
        raise _unreadable(first, version)
    return read(first, body, version)


def _unreadable(first: int, version: Version | None) -> ProtocolError:
    if version is None and first in _READERS[Version.MQTT5]:  # [MQTT-3.1.0-1]
        return broken("the first packet is not a CONNECT")
    return malformed(f"a packet begins with 0x{first:02x}")  # [MQTT-2.1.3-1]


def _finish(at: int, end: int) -> None:
    if at != end:
        raise malformed("bytes after the packet's last field")


def _properties(body: bytes, at: int, version: Version, carrier: Carrier) -> tuple[Properties, int]:
    if version is not _MQTT5:
        return NO_PROPERTIES, at
    return decode_properties(body, at, len(body), carrier)


def _reason(code: int, allowed: frozenset[Reason]) -> Reason:
    """The reason with this code: an unknown one is malformed, one of other packets forbidden."""
    reason = _REASON_OF.get(code)
    if reason is None:
        raise malformed(f"reason code 0x{code:02x} does not exist")
    if reason not in allowed:
        raise broken(f"reason code 0x{code:02x} may not stand in this packet")
    return reason


# -- CONNECT, section 3.1 ----------------------------------------------------------------------


def _connect(first: int, body: bytes, _: Version | None) -> Connect:
    end = len(body)
    name, at = read_binary(body, 0, end)
    level, at = read_byte(body, at, end)
    version = _PROTOCOLS.get((name, level))
    if version is None:  # [MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT-3.1.2-2 of 3.1.1]
        raise ProtocolError(Reason.UNSUPPORTED_PROTOCOL_VERSION, "an unknown protocol or level")
    flags, at = read_byte(body, at, end)
    _check_connect_flags(flags, version)
    keep_alive_s, at = read_u16(body, at, end)
    properties, at = _properties(body, at, version, Carrier.CONNECT)
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise broken("authentication data without a method")  # 3.1.2.11.10
    client_id, at = read_string(body, at, end)  # [MQTT-3.1.3-1] to [MQTT-3.1.3-4]
    if not client_id and version is Version.MQTT31:
        raise ProtocolError(Reason.CLIENT_IDENTIFIER_NOT_VALID, "3.1 wants a client identifier")
    will = None
    if flags & 0x04:
        will, at = _will(body, at, flags, version)
    username, password, at = _credentials(body, at, flags, version)
    _finish(at, end)
    return Connect(
        version, client_id, flags & 0x02 != 0, keep_alive_s, will, username, password, properties
    )


def _check_connect_flags(flags: int, version: Version) -> None:
    """Flags that contradict each other, section 3.1.2.3."""
    will_qos = flags >> 3 & 3
    if will_qos == 3:  # [MQTT-3.1.2-12]
        raise malformed("will QoS 3")
    if flags & 0x40 and not flags & 0x80 and version is not _MQTT5:
        # [MQTT-3.1.2-22 of 3.1.1]
        raise malformed("a password without a user name")
    if version is Version.MQTT31:
        return  # bit 0 is not used, and will QoS and retain are disregarded without a will
    if flags & 0x01:  # [MQTT-3.1.2-3]
        raise malformed("CONNECT's reserved flag is set")
    if not flags & 0x04 and flags & 0x38:  # [MQTT-3.1.2-11] [MQTT-3.1.2-13]
        raise malformed("will QoS or will retain without a will")


def _will(body: bytes, at: int, flags: int, version: Version) -> tuple[Will, int]:
    end = len(body)
    properties, at = _properties(body, at, version, Carrier.WILL)
    _check_response_topic(properties)
    topic, at = read_string(body, at, end)  # [MQTT-3.1.3-11]
    check_topic_name(topic)
    payload, at = read_binary(body, at, end)
    return Will(topic, payload, flags >> 3 & 3, flags & 0x20 != 0, properties), at


def _credentials(
    body: bytes, at: int, flags: int, version: Version
) -> tuple[str | None, bytes | None, int]:
    end = len(body)
    username: str | None = None
    password: bytes | None = None
    # In 3.1 (its section 3.1) the remaining length goes before these two flags: a field that is
    # announced and missing is no error.
    lenient = version is Version.MQTT31
    if flags & 0x80 and not (lenient and at == end):
        username, at = read_string(body, at, end)  # [MQTT-3.1.3-12]
    if flags & 0x40 and not (lenient and at == end):
        password, at = read_binary(body, at, end)
    return username, password, at


# -- CONNACK, section 3.2 ----------------------------------------------------------------------


def _connack(first: int, body: bytes, version: Version) -> ConnAck:
    end = len(body)
    flags, at = read_byte(body, 0, end)
    code, at = read_byte(body, at, end)
    if version is Version.MQTT31:
        flags = 0  # not used
    if flags > 1:  # [MQTT-3.2.2-1]
        raise malformed("CONNACK's reserved flags are set")
    if version is _MQTT5:
        reason = _reason(code, CONNACK_REASONS)
    elif code in REASON_OF_RETURN_CODE:
        reason = REASON_OF_RETURN_CODE[code]
    else:
        raise malformed(f"return code {code} does not exist")
    if flags and reason is not Reason.SUCCESS:  # [MQTT-3.2.2-6]
        raise broken("a refusal with a session present")
    properties, at = _properties(body, at, version, Carrier.CONNACK)
    _finish(at, end)
    return ConnAck(flags == 1, reason, properties)


# -- PUBLISH, section 3.3 ----------------------------------------------------------------------


def _publish(first: int, body: bytes, version: Version) -> Publish:
    qos = first >> 1 & 3
    if qos == 3:  # [MQTT-3.3.1-4]
        raise malformed("PUBLISH with QoS 3")
    if first & 0x08 and not qos:  # [MQTT-3.3.1-2]
        raise malformed("PUBLISH with DUP and QoS 0")
    size = len(body)
    if size < 2:
        raise malformed("a PUBLISH without a topic")
    at = 2 + (body[0] << 8 | body[1])
    if at > size:
        raise malformed("a topic is longer than its packet")
    topic = (_known_topic if at <= _KNOWN_TOPIC_BYTES_MAX else _topic)(body[2:at])
    packet_id = 0
    if qos:
        packet_id, at = read_packet_id(body, at, size)
    properties = NO_PROPERTIES
    if version is _MQTT5:
        if body[at : at + 1] == b"\0":
            at += 1  # most messages have no properties
        else:
            properties, at = decode_properties(body, at, size, Carrier.PUBLISH)
            _check_response_topic(properties)
    if not topic and properties.topic_alias is None:
        raise _no_topic(version)
    return Publish(
        topic, body[at:], qos, first & 0x01 != 0, first & 0x08 != 0, packet_id, properties
    )


def _topic(encoded: bytes) -> str:
    """The topic name, read and checked; an empty one is the caller's to judge."""
    topic = text_of(encoded)  # [MQTT-3.3.2-1]
    if topic:
        check_topic_name(topic)
    return topic


# Publishers use few topics, and a topic that has been read and checked is the same the next time:
# remembered it costs a fifth, and all its messages share one string. Long ones are not remembered,
# so this is half a megabyte at most.
_KNOWN_TOPIC_BYTES_MAX = 256
_known_topic = lru_cache(maxsize=1_024)(_topic)


def _no_topic(version: Version) -> ProtocolError:
    if version is _MQTT5:
        return broken("neither a topic nor a topic alias")  # 3.3.2.1
    return ProtocolError(Reason.TOPIC_NAME_INVALID, "a topic is empty")  # 3.1.1: [MQTT-4.7.3-1]


def _check_response_topic(properties: Properties) -> None:
    if properties.response_topic is not None:
        try:
            check_topic_name(properties.response_topic)  # [MQTT-3.3.2-14]
        except ProtocolError as error:
            # 0x90 is for the message's own topic.
            raise broken(f"response topic: {error.detail}") from None


# -- PUBACK, PUBREC, PUBREL, PUBCOMP, sections 3.4 to 3.7 --------------------------------------


def _acknowledgement(
    make: type[A], carrier: Carrier, allowed: frozenset[Reason]
) -> Callable[[int, bytes, Version], A]:
    """The four have one form; its short versions, of two and three bytes, mean success."""

    def read(first: int, body: bytes, version: Version) -> A:
        end = len(body)
        packet_id, at = read_packet_id(body, 0, end)
        if at == end:
            return make(packet_id)
        if version is not _MQTT5:
            raise malformed("bytes after the packet's last field")
        reason = _reason(body[at], allowed)
        at += 1
        if at == end:
            return make(packet_id, reason)
        properties, at = decode_properties(body, at, end, carrier)
        _finish(at, end)
        return make(packet_id, reason, properties)

    return read


# -- SUBSCRIBE and UNSUBSCRIBE, sections 3.8 and 3.10 ------------------------------------------


def _subscribe(first: int, body: bytes, version: Version) -> Subscribe:
    end = len(body)
    packet_id, at = read_packet_id(body, 0, end)
    properties, at = _properties(body, at, version, Carrier.SUBSCRIBE)
    if len(properties.subscription_identifiers) > 1:  # 3.8.2.1.2
        raise broken("more than one subscription identifier")
    subscriptions: list[Subscription] = []
    while at < end:
        topic_filter, at = _topic_filter(body, at, len(subscriptions))
        options, at = read_byte(body, at, end)
        subscriptions.append(_subscription(topic_filter, options, version))
    if not subscriptions:  # [MQTT-3.8.3-2]
        raise broken("SUBSCRIBE without a topic filter")
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _subscription(topic_filter: str, options: int, version: Version) -> Subscription:
    """Subscription options, section 3.8.3.1."""
    if version is Version.MQTT31:
        options &= 0x03  # the other bits are not used
    qos = options & 0x03
    if qos == 3:  # [MQTT-3.8.3-4 of 3.1.1]
        raise broken("a subscription with QoS 3")
    if options & (0xC0 if version is _MQTT5 else 0xFC):  # [MQTT-3.8.3-5] [MQTT-3.8.3-4 of 3.1.1]
        raise malformed("reserved subscription options are set")
    if options & 0x30 == 0x30:
        raise broken("retain handling 3")
    no_local = options & 0x04 != 0
    if no_local and split_share(topic_filter)[0]:  # [MQTT-3.8.3-4]
        raise broken("no local on a shared subscription")
    return Subscription(topic_filter, qos, no_local, options & 0x08 != 0, options >> 4)


def _unsubscribe(first: int, body: bytes, version: Version) -> Unsubscribe:
    end = len(body)
    packet_id, at = read_packet_id(body, 0, end)
    properties, at = _properties(body, at, version, Carrier.UNSUBSCRIBE)
    topic_filters: list[str] = []
    while at < end:
        topic_filter, at = _topic_filter(body, at, len(topic_filters))
        topic_filters.append(topic_filter)
    if not topic_filters:  # [MQTT-3.10.3-2]
        raise broken("UNSUBSCRIBE without a topic filter")
    return Unsubscribe(packet_id, tuple(topic_filters), properties)


def _topic_filter(body: bytes, at: int, already: int) -> tuple[str, int]:
    if already >= FILTERS_IN_PACKET_MAX:
        raise ProtocolError(Reason.QUOTA_EXCEEDED, f"more than {FILTERS_IN_PACKET_MAX} filters")
    topic_filter, at = read_string(body, at, len(body))  # [MQTT-3.8.3-1] [MQTT-3.10.3-1]
    check_topic_filter(topic_filter)
    return topic_filter, at


# -- SUBACK and UNSUBACK, sections 3.9 and 3.11 ------------------------------------------------


def _suback(first: int, body: bytes, version: Version) -> SubAck:
    packet_id, at = read_packet_id(body, 0, len(body))
    properties, at = _properties(body, at, version, Carrier.SUBACK)
    codes = body[at:]
    if not codes:
        raise broken("SUBACK without a reason code")  # [MQTT-3.8.4-6]
    if version is not _MQTT5 and not _OLD_SUBACK_REASONS.issuperset(codes):
        raise malformed("a return code that is reserved")
    return SubAck(packet_id, tuple(_reason(code, SUBACK_REASONS) for code in codes), properties)


def _unsuback(first: int, body: bytes, version: Version) -> UnsubAck:
    packet_id, at = read_packet_id(body, 0, len(body))
    if version is not _MQTT5:
        _finish(at, len(body))
        return UnsubAck(packet_id)
    properties, at = decode_properties(body, at, len(body), Carrier.UNSUBACK)
    codes = body[at:]
    if not codes:
        raise broken("UNSUBACK without a reason code")  # 3.11.3
    reasons = tuple(_reason(code, UNSUBACK_REASONS) for code in codes)
    return UnsubAck(packet_id, reasons, properties)


# -- PINGREQ, PINGRESP, DISCONNECT, AUTH, sections 3.12 to 3.15 --------------------------------


def _pingreq(first: int, body: bytes, version: Version) -> PingReq:
    _finish(0, len(body))
    return PingReq()


def _pingresp(first: int, body: bytes, version: Version) -> PingResp:
    _finish(0, len(body))
    return PingResp()


def _disconnect(first: int, body: bytes, version: Version) -> Disconnect:
    if not body:
        return Disconnect()
    if version is not _MQTT5:
        raise malformed("DISCONNECT with a body before 5.0")
    reason = _reason(body[0], DISCONNECT_REASONS)
    if len(body) == 1:  # 3.14.2.2.1
        return Disconnect(reason)
    properties, at = decode_properties(body, 1, len(body), Carrier.DISCONNECT)
    _finish(at, len(body))
    return Disconnect(reason, properties)


def _auth(first: int, body: bytes, version: Version) -> Auth:
    if not body:  # 3.15.2.1: success without properties
        return Auth()
    reason = _reason(body[0], AUTH_REASONS)
    properties, at = decode_properties(body, 1, len(body), Carrier.AUTH)
    _finish(at, len(body))
    if properties.authentication_method is None:  # 3.15.2.2.2
        raise broken("AUTH without an authentication method")
    return Auth(reason, properties)


_READER_OF_TYPE: dict[int, Callable[[int, bytes, Any], Packet]] = {
    PacketType.CONNECT: _connect,
    PacketType.CONNACK: _connack,
    PacketType.PUBLISH: _publish,
    PacketType.PUBACK: _acknowledgement(PubAck, Carrier.PUBACK, PUBACK_REASONS),
    PacketType.PUBREC: _acknowledgement(PubRec, Carrier.PUBREC, PUBREC_REASONS),
    PacketType.PUBREL: _acknowledgement(PubRel, Carrier.PUBREL, PUBREL_REASONS),
    PacketType.PUBCOMP: _acknowledgement(PubComp, Carrier.PUBCOMP, PUBCOMP_REASONS),
    PacketType.SUBSCRIBE: _subscribe,
    PacketType.SUBACK: _suback,
    PacketType.UNSUBSCRIBE: _unsubscribe,
    PacketType.UNSUBACK: _unsuback,
    PacketType.PINGREQ: _pingreq,
    PacketType.PINGRESP: _pingresp,
    PacketType.DISCONNECT: _disconnect,
    PacketType.AUTH: _auth,
}

_AUTH = frozenset((0xF0,))

# By the version of the connection and the first byte; what is absent may not be sent.
_READERS: dict[Version | None, dict[int, Callable[[int, bytes, Any], Packet]]] = {
    version: {first: _READER_OF_TYPE[first >> 4] for first in sorted(first_bytes)}
    for version, first_bytes in (
        (None, frozenset((0x10,))),
        (Version.MQTT31, FIRST_BYTES - _AUTH),
        (Version.MQTT311, FIRST_BYTES - REDELIVERED_FIRST_BYTES - _AUTH),
        (Version.MQTT5, FIRST_BYTES - REDELIVERED_FIRST_BYTES),
    )
}
