"""One application message on its way from a publisher to its subscribers.

Encoded at most once per protocol dialect, QoS and retain flag, not once per subscriber: what differs
between subscribers is two bytes of packet id between a head and a tail. A dialect is 0 for MQTT 3.1
and 3.1.1, which share the PUBLISH form, and 1 for MQTT 5.0, which has properties. Must not know
sessions, connections or links.
"""

from dataclasses import replace

import msgspec

from gateway.durability import Durability
from gateway.ids import Stamp
from gateway.mqtt.framing import encode_length
from gateway.mqtt.properties import NO_PROPERTIES, Properties, encode_properties

MQTT3 = 0
MQTT5 = 1
SMALL_BYTES_MAX = 256  # of topic and payload together: most messages of sensors
_LENGTHS = tuple(encode_length(length) for length in range(512))


def topic_field(topic: str) -> bytes:
    """The topic as it stands in a PUBLISH: two bytes of length, then UTF-8 (section 1.5.4)."""
    text = topic.encode()
    return len(text).to_bytes(2, "big") + text


class Message(msgspec.Struct, eq=False, gc=False):
    """What was published. `expires_at` is in monotonic seconds of this gateway, None for never.

    `mid` names it on this gateway's disk; 0: it is not there. `shared` is the shared subscription that
    chose the session which has this copy; empty: it has it for itself. `holders` are the places in
    sessions where it is, if it is large (`broker/room.py`). `will`: it was sent for a client
    whose gateway was dead: when that had connected. `moves`: how often a member of a shared subscription
    gave it up to another gateway. `level` is what the answer to it waits for. `taken`: PUBREC made it
    ours, and nobody may refuse it.

    A C structure, because one is made for each message. `key` and `encoded` are the form that was
    encoded last; who makes a message from a frame may give them.
    """

    topic: str
    topic_field: bytes
    payload: bytes
    qos: int
    retain: bool = False
    properties: Properties = NO_PROPERTIES
    publisher: str = ""
    expires_at: float | None = None
    key: int = -1
    encoded: tuple[bytes, bytes] = (b"", b"")
    mid: int = 0
    shared: str = ""
    holders: int = 0
    will: Stamp | None = None
    moves: int = 0
    level: Durability = Durability.MESH
    taken: bool = False

    def copy_for(self, identifiers: tuple[int, ...], shared: str = "") -> "Message":
        """The same for a session whose subscriptions have these identifiers [MQTT-3.3.4-3].

        Without any, and not shared, it is the message as it was published.
        """
        properties = self.properties
        if identifiers != properties.subscription_identifiers:
            properties = replace(properties, subscription_identifiers=identifiers)
            if properties == NO_PROPERTIES:
                properties = NO_PROPERTIES  # it is asked for by identity
        return Message(
            self.topic,
            self.topic_field,
            self.payload,
            self.qos,
            self.retain,
            properties,
            self.publisher,
            self.expires_at,
            mid=self.mid,
            shared=shared,
            moves=self.moves,
            level=self.level,
            taken=self.taken,
        )

    def parts(self, dialect: int, qos: int, retain: bool, now: float) -> tuple[bytes, bytes]:
        """Everything before and everything after the packet id (which QoS 0 does not have)."""
        key = dialect << 3 | qos << 1 | retain
        if key != self.key:
            self.encoded = self._encode(dialect, qos, retain, now)
            self.key = key if self.expires_at is None else -1
        return self.encoded

    def _encode(self, dialect: int, qos: int, retain: bool, now: float) -> tuple[bytes, bytes]:
        if dialect == MQTT3:
            tail = self.payload
        elif self.properties is NO_PROPERTIES:
            tail = b"\0" + self.payload
        else:
            # [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
            # [MQTT-3.3.2-20]
            tail = encode_properties(self._properties_now(now)) + self.payload
        length = len(self.topic_field) + len(tail) + (2 if qos else 0)
        # [MQTT-3.3.1-3]
        first = (0x30 | qos << 1 | retain).to_bytes(1, "big")
        coded = _LENGTHS[length] if length < 512 else encode_length(length)
        return first + coded + self.topic_field, tail

    def _properties_now(self, now: float) -> Properties:
        """[MQTT-3.3.2-6]: the expiry sent on is what is left of it."""
        if self.expires_at is None:
            return self.properties
        left = max(0, round(self.expires_at - now))
        return replace(self.properties, message_expiry_interval_s=left)

    def properties_field(self) -> bytes:
        """The properties as they were published, in MQTT 5.0 form; empty if there are none."""
        return b"" if self.properties is NO_PROPERTIES else encode_properties(self.properties)

    def expired(self, now: float) -> bool:
        """[MQTT-3.3.2-5]: it must not be sent on any more."""
        return self.expires_at is not None and self.expires_at <= now

    def is_large(self) -> bool:
        """Whether it costs much more than its place in a queue."""
        size = len(self.payload) + len(self.topic_field)
        return size > SMALL_BYTES_MAX or self.properties is not NO_PROPERTIES

    def bytes_held(self) -> int:
        """What it costs in memory, near enough, in bytes."""
        size = len(self.payload) + len(self.topic_field) + 200
        if self.properties is NO_PROPERTIES:
            return size
        return size + self.properties.bytes_held()
