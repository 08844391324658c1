"""Properties of MQTT 5.0 (section 2.2.2): one value object, one table, two functions.

The table says for each property its identifier, its form and who may carry it, as table 2-4 of the
specification does. Rules that need more than one property, or the rest of the packet, are
decode.py's; what a property makes a broker do is the broker's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any

from gateway.errors import ProtocolError
from gateway.limits import USER_PROPERTIES_MAX
from gateway.mqtt.fields import (
    broken,
    malformed,
    read_binary,
    read_byte,
    read_pair,
    read_string,
    read_u16,
    read_u32,
    write_binary,
    write_byte,
    write_pair,
    write_string,
    write_u16,
    write_u32,
)
from gateway.mqtt.framing import encode_length, read_length
from gateway.mqtt.reasons import Reason


@dataclass(frozen=True, slots=True)
class Properties:
    """Every property of section 2.2.2.2. None, or an empty tuple, is one that is not there."""

    payload_format_indicator: int | None = None  # 0 bytes, 1 UTF-8
    message_expiry_interval_s: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: tuple[int, ...] = ()
    session_expiry_interval_s: int | None = None  # 0xFFFFFFFF: never
    assigned_client_identifier: str | None = None
    server_keep_alive_s: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: bool | None = None
    will_delay_interval_s: int | None = None
    request_response_information: bool | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None  # 0 or 1
    retain_available: bool | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    maximum_packet_size_bytes: int | None = None
    wildcard_subscription_available: bool | None = None
    subscription_identifiers_available: bool | None = None
    shared_subscription_available: bool | None = None

    def bytes_held(self) -> int:
        """What those of a PUBLISH cost in memory, near enough, in bytes."""
        texts = (self.content_type, self.response_topic, self.correlation_data)
        size = 300 + sum(len(text) + 50 for text in texts if text)
        return size + sum(len(key) + len(value) + 200 for key, value in self.user_properties)


NO_PROPERTIES = Properties()


class Carrier(IntEnum):
    """What carries properties: a packet type, or the will inside a CONNECT."""

    CONNECT = auto()
    CONNACK = auto()
    PUBLISH = auto()
    WILL = auto()
    PUBACK = auto()
    PUBREC = auto()
    PUBREL = auto()
    PUBCOMP = auto()
    SUBSCRIBE = auto()
    SUBACK = auto()
    UNSUBSCRIBE = auto()
    UNSUBACK = auto()
    DISCONNECT = auto()
    AUTH = auto()


_Reader = Callable[[bytes, int, int], tuple[Any, int]]
_Writer = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class _Row:
    identifier: int
    name: str  # the field of Properties
    read: _Reader
    write: _Writer
    carriers: tuple[Carrier, ...]
    repeats: bool = False


def _read_bit(data: bytes, at: int, end: int) -> tuple[int, int]:
    value, at = read_byte(data, at, end)
    if value > 1:
        raise broken("a property that is 0 or 1 has another value")
    return value, at


def _read_bool(data: bytes, at: int, end: int) -> tuple[bool, int]:
    value, at = _read_bit(data, at, end)
    return value == 1, at


def _but_zero(read: _Reader, reason: Reason = Reason.PROTOCOL_ERROR) -> _Reader:
    """The same reader for a property that must not be 0."""

    def read_but_zero(data: bytes, at: int, end: int) -> tuple[int, int]:
        value, at = read(data, at, end)
        if value == 0:
            raise ProtocolError(reason, "a property is 0 that must not be")
        return value, at

    return read_but_zero


_EVERY = tuple(Carrier)
_ACKS = (
    *(Carrier.CONNACK, Carrier.PUBACK, Carrier.PUBREC, Carrier.PUBREL, Carrier.PUBCOMP),
    *(Carrier.SUBACK, Carrier.UNSUBACK, Carrier.DISCONNECT, Carrier.AUTH),
)
_MESSAGE = (Carrier.PUBLISH, Carrier.WILL)
_CONNECTING = (Carrier.CONNECT, Carrier.CONNACK)
_AUTHENTICATING = (*_CONNECTING, Carrier.AUTH)
_CONNACK = (Carrier.CONNACK,)
_CONNECT = (Carrier.CONNECT,)
_SERVER_REFERENCE = (Carrier.CONNACK, Carrier.DISCONNECT)
_SESSION_EXPIRY = (*_CONNECTING, Carrier.DISCONNECT)
_IDENTIFIED = (Carrier.PUBLISH, Carrier.SUBSCRIBE)

_read_size = _but_zero(read_u32)
_read_maximum = _but_zero(read_u16)
_read_alias = _but_zero(read_u16, Reason.TOPIC_ALIAS_INVALID)  # [MQTT-3.3.2-8]
_read_identifier = _but_zero(read_length)  # 3.8.2.1.2

_TABLE = (
    _Row(0x01, "payload_format_indicator", _read_bit, write_byte, _MESSAGE),
    _Row(0x02, "message_expiry_interval_s", read_u32, write_u32, _MESSAGE),
    # [MQTT-3.3.2-13] [MQTT-3.3.2-19]
    _Row(0x03, "content_type", read_string, write_string, _MESSAGE),
    _Row(0x08, "response_topic", read_string, write_string, _MESSAGE),
    _Row(0x09, "correlation_data", read_binary, write_binary, _MESSAGE),
    _Row(0x0B, "subscription_identifiers", _read_identifier, encode_length, _IDENTIFIED, True),
    _Row(0x11, "session_expiry_interval_s", read_u32, write_u32, _SESSION_EXPIRY),
    _Row(0x12, "assigned_client_identifier", read_string, write_string, _CONNACK),
    _Row(0x13, "server_keep_alive_s", read_u16, write_u16, _CONNACK),
    _Row(0x15, "authentication_method", read_string, write_string, _AUTHENTICATING),
    _Row(0x16, "authentication_data", read_binary, write_binary, _AUTHENTICATING),
    _Row(0x17, "request_problem_information", _read_bool, write_byte, _CONNECT),
    _Row(0x18, "will_delay_interval_s", read_u32, write_u32, (Carrier.WILL,)),
    _Row(0x19, "request_response_information", _read_bool, write_byte, _CONNECT),
    _Row(0x1A, "response_information", read_string, write_string, _CONNACK),
    _Row(0x1C, "server_reference", read_string, write_string, _SERVER_REFERENCE),
    _Row(0x1F, "reason_string", read_string, write_string, _ACKS),
    _Row(0x21, "receive_maximum", _read_maximum, write_u16, _CONNECTING),
    _Row(0x22, "topic_alias_maximum", read_u16, write_u16, _CONNECTING),
    _Row(0x23, "topic_alias", _read_alias, write_u16, (Carrier.PUBLISH,)),
    _Row(0x24, "maximum_qos", _read_bit, write_byte, _CONNACK),
    _Row(0x25, "retain_available", _read_bool, write_byte, _CONNACK),
    _Row(0x26, "user_properties", read_pair, write_pair, _EVERY, True),
    _Row(0x27, "maximum_packet_size_bytes", _read_size, write_u32, _CONNECTING),
    _Row(0x28, "wildcard_subscription_available", _read_bool, write_byte, _CONNACK),
    _Row(0x29, "subscription_identifiers_available", _read_bool, write_byte, _CONNACK),
    _Row(0x2A, "shared_subscription_available", _read_bool, write_byte, _CONNACK),
)

_ROWS_OF: dict[Carrier, dict[int, _Row]] = {
    carrier: {row.identifier: row for row in _TABLE if carrier in row.carriers}
    for carrier in Carrier
}


def encode_properties(properties: Properties) -> bytes:
    """The properties with their length before them, in the order of their identifiers.

    Does not check that the packet may carry them; that is the caller's business.
    """
    # [MQTT-2.2.2-1]
    if properties is NO_PROPERTIES:
        return b"\0"
    parts = []
    for row in _TABLE:
        value = getattr(properties, row.name)
        if row.repeats:
            parts += [write_byte(row.identifier) + row.write(each) for each in value]
        elif value is not None:
            parts.append(write_byte(row.identifier) + row.write(value))
    encoded = b"".join(parts)
    return encode_length(len(encoded)) + encoded


def decode_properties(
    data: bytes, start: int, end: int, carrier: Carrier
) -> tuple[Properties, int]:
    """The properties that begin with their length at `start`, and where the next field begins.

    Raises ProtocolError: 0x81 for what cannot be read or may not stand in `carrier` (section
    2.2.2.2), 0x82 for a property that comes twice or has a forbidden value, 0x94 for a topic alias
    of 0, 0x97 for more repeated properties than the limit.
    """
    length, at = read_length(data, start, end)
    stop = at + length
    if stop > end:
        raise malformed("the properties are longer than their packet")
    if length == 0:
        return NO_PROPERTIES, at
    rows = _ROWS_OF[carrier]
    values: dict[str, Any] = {}
    while at < stop:
        identifier, at = read_length(data, at, stop)
        row = rows.get(identifier)
        if row is None:
            raise malformed(f"property 0x{identifier:02x} may not stand in {carrier.name}")
        value, at = row.read(data, at, stop)
        if row.repeats:
            _append(values.setdefault(row.name, []), value)
        elif row.name in values:
            raise broken(f"property 0x{identifier:02x} comes twice")
        else:
            values[row.name] = value
    return _made(values), at


def _append(values: list[Any], value: Any) -> None:
    if len(values) >= USER_PROPERTIES_MAX:
        raise ProtocolError(Reason.QUOTA_EXCEEDED, f"more than {USER_PROPERTIES_MAX} properties")
    values.append(value)


def _made(values: dict[str, Any]) -> Properties:
    for name in ("user_properties", "subscription_identifiers"):
        if name in values:
            values[name] = tuple(values[name])
    return Properties(**values)
