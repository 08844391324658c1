"""The fifteen packets of MQTT as values: one class per packet type for all versions.

The version is an argument of the codec and not part of a packet, but for CONNECT, which states it.
What a version has no words for is left out when the packet is encoded for it. Holds no bytes and
no behaviour.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason


class Version(IntEnum):
    """The protocol level that CONNECT states (section 3.1.2.2)."""

    MQTT31 = 3
    MQTT311 = 4
    MQTT5 = 5


class PacketType(IntEnum):
    """The upper four bits of the first byte (section 2.1.2)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


@dataclass(frozen=True, slots=True)
class Will:
    """The message that the server sends when the client is lost (section 3.1.2.5)."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """Section 3.1. `client_id` may be empty in 3.1.1 and 5.0, also with `clean_start` False.

    The last is 3.1.1's "identifier rejected" [MQTT-3.1.3-8 of 3.1.1] and fine in 5.0, so the
    broker decides. `keep_alive_s` 0 is none.
    """

    version: Version
    client_id: str
    clean_start: bool
    keep_alive_s: int
    will: Will | None = None
    username: str | None = None
    password: bytes | None = None
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class ConnAck:
    """Section 3.2. The reason is 5.0's for every version."""

    session_present: bool
    reason: Reason
    properties: Properties = NO_PROPERTIES


# Publish and its four answers are made for every message, and a frozen dataclass takes three times
# as long to make. Nobody may change one all the same: sessions share them.


@dataclass(slots=True)
class Publish:
    """Section 3.3. `packet_id` is 0 with QoS 0; the topic is empty when an alias stands for it."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class PubAck:
    """Section 3.4."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class PubRec:
    """Section 3.5."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class PubRel:
    """Section 3.6."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(slots=True)
class PubComp:
    """Section 3.7."""

    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Subscription:
    """One line of a SUBSCRIBE (section 3.8.3.1). What 3.1.1 cannot say has 3.1.1's meaning.

    `identifier` is the packet's, 0 for none; the codec leaves it to the broker.
    """

    topic_filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0  # 0 always, 1 if new, 2 never
    identifier: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Section 3.8."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class SubAck:
    """Section 3.9. One reason per subscription, in their order."""

    packet_id: int
    reasons: tuple[Reason, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Section 3.10."""

    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class UnsubAck:
    """Section 3.11. Before 5.0 it has no reasons: they are left out and read as an empty tuple."""

    packet_id: int
    reasons: tuple[Reason, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class PingReq:
    """Section 3.12."""


@dataclass(frozen=True, slots=True)
class PingResp:
    """Section 3.13."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Section 3.14. Before 5.0 only a client sends it, and it has no reason."""

    reason: Reason = Reason.NORMAL_DISCONNECTION
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Auth:
    """Section 3.15. Only in 5.0."""

    reason: Reason = Reason.SUCCESS
    properties: Properties = NO_PROPERTIES


Acknowledgement: TypeAlias = PubAck | PubRec | PubRel | PubComp

Packet: TypeAlias = (
    Connect
    | ConnAck
    | Publish
    | Acknowledgement
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
    | Auth
)
