"""One packet to the bytes of its whole frame, for the version of whoever gets it.

A table leads from the packet's class to its writer. What a version has no words for is left out:
properties and reasons before 5.0. Every packet has one form here, the shortest. Trusts its caller:
a packet that cannot be encoded is a mistake of ours, and an assert.
"""

from collections.abc import Callable
from typing import Any

from gateway.mqtt.fields import write_binary, write_string, write_u16
from gateway.mqtt.framing import encode_length
from gateway.mqtt.packets import (
    Acknowledgement,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
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
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties, encode_properties
from gateway.mqtt.reasons import CONNACK_RETURN_CODES, Reason

# A member of an enum takes three times as long to look up as a name of the module, and every
# PUBLISH asks for this one.
_MQTT5 = Version.MQTT5

_PROTOCOL_NAMES = {
    Version.MQTT31: write_string("MQIsdp"),
    Version.MQTT311: write_string("MQTT"),
    Version.MQTT5: write_string("MQTT"),
}


def encode(packet: Packet, version: Version) -> bytes:
    """The whole frame. A CONNECT is written for the version that it states itself."""
    return _WRITERS[type(packet)](packet, version)


def encode_publish_parts(publish: Publish, version: Version) -> tuple[bytes, bytes]:
    """A PUBLISH around its packet identifier, so that many receivers can share it.

    With QoS 1 or 2 the frame is the first part, two bytes of packet identifier, most significant
    first, and the second part; with QoS 0 it is the two parts. The publish's own `packet_id` is
    not looked at. A receiver's DUP flag [MQTT-3.3.1-1] is bit 3 of the first byte.
    """
    qos = publish.qos
    assert 0 <= qos <= 2  # [MQTT-3.3.1-4]
    assert qos or not publish.dup  # [MQTT-3.3.1-2]
    topic = publish.topic.encode()
    tail = publish.payload
    if version is _MQTT5:
        tail = encode_properties(publish.properties) + tail
    topic_bytes = len(topic)
    assert topic_bytes < 65_536
    first = 0x30 | qos << 1
    if publish.retain:
        first |= 0x01
    if publish.dup:
        first |= 0x08
    length = encode_length(2 + topic_bytes + (2 if qos else 0) + len(tail))
    return b"%c%b%c%c%b" % (first, length, topic_bytes >> 8, topic_bytes & 0xFF, topic), tail


def _publish(publish: Publish, version: Version) -> bytes:
    head, tail = encode_publish_parts(publish, version)
    if publish.qos:
        assert publish.packet_id  # [MQTT-2.2.1-4]
        return head + write_u16(publish.packet_id) + tail
    return head + tail  # [MQTT-2.2.1-2]


def _frame(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return first.to_bytes(1, "big") + encode_length(len(body)) + body


def _properties(properties: Properties, version: Version) -> bytes:
    return encode_properties(properties) if version is _MQTT5 else b""


def _connect(connect: Connect, _: Version) -> bytes:
    version = connect.version
    assert version is _MQTT5 or connect.password is None or connect.username is not None
    will = connect.will
    flags = (connect.clean_start and 0x02) | (connect.username is not None and 0x80)
    flags |= connect.password is not None and 0x40
    parts = [write_string(connect.client_id)]
    if will is not None:
        flags |= 0x04 | will.qos << 3 | (will.retain and 0x20)
        parts.append(_properties(will.properties, version))
        parts += (write_string(will.topic), write_binary(will.payload))
    if connect.username is not None:
        parts.append(write_string(connect.username))
    if connect.password is not None:
        parts.append(write_binary(connect.password))
    return _frame(
        0x10,
        _PROTOCOL_NAMES[version],
        bytes((version, flags)),
        write_u16(connect.keep_alive_s),
        _properties(connect.properties, version),
        *parts,
    )


def _connack(connack: ConnAck, version: Version) -> bytes:
    assert not (connack.session_present and connack.reason)  # [MQTT-3.2.2-6]
    if version is _MQTT5:
        code: int = connack.reason
    else:
        code = CONNACK_RETURN_CODES[connack.reason]
    flags = connack.session_present and version is not Version.MQTT31  # which has no such flag
    return _frame(0x20, bytes((flags, code)), _properties(connack.properties, version))


def _acknowledgement(first: int) -> Callable[[Acknowledgement, Version], bytes]:
    short = bytes((first, 2))

    def write(packet: Acknowledgement, version: Version) -> bytes:
        if version is not _MQTT5 or not (packet.reason or packet.properties is not NO_PROPERTIES):
            return short + packet.packet_id.to_bytes(2, "big")
        tail = _reason_and_properties(packet.reason, packet.properties)
        return _frame(first, write_u16(packet.packet_id), tail)

    return write


def _reason_and_properties(reason: Reason, properties: Properties) -> bytes:
    """A packet's end in its shortest form: the properties may be missing, and then success too."""
    encoded = encode_properties(properties)
    if encoded != b"\0":
        return bytes((reason,)) + encoded
    return bytes((reason,)) if reason else b""


def _subscribe(subscribe: Subscribe, version: Version) -> bytes:
    assert subscribe.packet_id and subscribe.subscriptions  # [MQTT-2.2.1-3] [MQTT-3.8.3-2]
    parts = [write_u16(subscribe.packet_id), _properties(subscribe.properties, version)]
    for each in subscribe.subscriptions:
        options = each.qos
        if version is _MQTT5:
            options |= _options(each)
        parts += (write_string(each.topic_filter), bytes((options,)))
    return _frame(0x82, *parts)


def _options(subscription: Subscription) -> int:
    """The bits of section 3.8.3.1 beside the QoS."""
    bits = (subscription.no_local and 0x04) | (subscription.retain_as_published and 0x08)
    return bits | subscription.retain_handling << 4


def _suback(suback: SubAck, version: Version) -> bytes:
    codes = bytes(suback.reasons)
    if version is not _MQTT5:  # [MQTT-3.9.3-2 of 3.1.1]; 3.1 has no word for failure at all
        codes = bytes(min(code, 0x80) for code in codes)
    return _frame(0x90, write_u16(suback.packet_id), _properties(suback.properties, version), codes)


def _unsubscribe(unsubscribe: Unsubscribe, version: Version) -> bytes:
    assert unsubscribe.packet_id and unsubscribe.topic_filters  # [MQTT-3.10.3-2]
    return _frame(
        0xA2,
        write_u16(unsubscribe.packet_id),
        _properties(unsubscribe.properties, version),
        *map(write_string, unsubscribe.topic_filters),
    )


def _unsuback(unsuback: UnsubAck, version: Version) -> bytes:
    packet_id = write_u16(unsuback.packet_id)
    if version is not _MQTT5:
        return _frame(0xB0, packet_id)
    return _frame(0xB0, packet_id, encode_properties(unsuback.properties), bytes(unsuback.reasons))


def _pingreq(_: PingReq, version: Version) -> bytes:
    return b"\xc0\x00"


def _pingresp(_: PingResp, version: Version) -> bytes:
    return b"\xd0\x00"


def _disconnect(disconnect: Disconnect, version: Version) -> bytes:
    if version is not _MQTT5:
        return b"\xe0\x00"
    return _frame(0xE0, _reason_and_properties(disconnect.reason, disconnect.properties))


def _auth(auth: Auth, version: Version) -> bytes:
    assert version is _MQTT5
    if not auth.reason and auth.properties == NO_PROPERTIES:
        return b"\xf0\x00"
    assert auth.properties.authentication_method is not None  # 3.15.2.2.2
    return _frame(0xF0, bytes((auth.reason,)), encode_properties(auth.properties))


_WRITERS: dict[type[Packet], Callable[[Any, Version], bytes]] = {
    Connect: _connect,
    ConnAck: _connack,
    Publish: _publish,
    PubAck: _acknowledgement(0x40),
    PubRec: _acknowledgement(0x50),
    PubRel: _acknowledgement(0x62),
    PubComp: _acknowledgement(0x70),
    Subscribe: _subscribe,
    SubAck: _suback,
    Unsubscribe: _unsubscribe,
    UnsubAck: _unsuback,
    PingReq: _pingreq,
    PingResp: _pingresp,
    Disconnect: _disconnect,
    Auth: _auth,
}
