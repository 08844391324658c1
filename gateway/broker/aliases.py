"""Topic aliases, section 3.3.2.3.4: a number in place of a topic, for one connection and no longer.

What clients sent is looked up here (`resolved`). To clients that take aliases, a topic that comes again
is given one (`Aliases`), as long as there are numbers: the first topics that repeat keep theirs. Must
not know sessions.
"""

from dataclasses import replace

from gateway.broker.connection import Connection
from gateway.broker.room import Room
from gateway.errors import ProtocolError
from gateway.mqtt.framing import encode_length, read_length
from gateway.mqtt.message import MQTT5, Message
from gateway.mqtt.packets import Publish
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason

SENT_MAX = 64  # aliases to one client, whatever it offers: with their topics 30 kB
TOPIC_BYTES_MIN = 6  # an alias costs three bytes more in each message, and a topic its length
TOPIC_BYTES_MAX = 256  # longer ones cost memory here; real ones have under 200
TOLD_BYTES_MAX = 512  # a topic that a client numbers, on average: 16 of 65 kB are 1 MB a client
_ALIAS = b"\x23"  # the property's identifier


def resolved(connection: Connection, packet: Publish) -> tuple[str, Properties]:
    """The topic and properties of a PUBLISH that has an alias, as if it had none.

    The alias ends here: it is of this connection, and is not passed on [MQTT-3.3.2-7].
    """
    alias, topic = packet.properties.topic_alias, packet.topic
    assert alias, "the codec reads no alias of 0 [MQTT-3.3.2-8]"
    if alias > connection.broker.settings.topic_aliases_max:  # [MQTT-3.3.2-9] [MQTT-3.3.2-12]
        raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias} was not offered")
    if topic:
        if connection.aliases is None:
            connection.aliases = {}
        if alias not in connection.aliases:
            connection.broker.room.free(-1)  # `Connection.close` frees it
        connection.aliases[alias] = topic
        told = sum(map(len, connection.aliases.values()))
        if told > TOLD_BYTES_MAX * connection.broker.settings.topic_aliases_max:
            raise ProtocolError(Reason.QUOTA_EXCEEDED, "the topics of its aliases are too long")
    elif connection.aliases is None or alias not in connection.aliases:
        raise ProtocolError(Reason.PROTOCOL_ERROR, f"topic alias {alias} stands for no topic yet")
    else:
        topic = connection.aliases[alias]
    properties = replace(packet.properties, topic_alias=None)
    return topic, NO_PROPERTIES if properties == NO_PROPERTIES else properties


class Aliases:
    """The aliases that were told to one client, which takes `offered` of them [MQTT-3.3.2-11]."""

    __slots__ = ("_aliases", "_count_max", "_packet_bytes_max", "_room", "_seen")

    def __init__(self, offered: int, packet_bytes_max: int, room: Room) -> None:
        self._count_max = min(offered, SENT_MAX)
        self._packet_bytes_max = packet_bytes_max
        self._room = room  # in which each topic that is remembered counts as a place
        self._aliases: dict[bytes, bytes] = {}  # by topic, in wire form
        self._seen: dict[bytes, None] = {}  # topics that were sent once, the oldest first

    def parts(self, message: Message, qos: int, retain: bool, now: float) -> tuple[bytes, bytes]:
        """As `Message.parts`, with an alias where that is shorter, or will be."""
        head, tail = message.parts(MQTT5, qos, retain, now)
        if qos == 2:  # MQTT.js keeps it until PUBREL, and not what its alias stood for
            return head, tail
        field = message.topic_field
        alias = self._aliases.get(field)
        if alias is not None:
            return _with_alias(head, b"\0\0", tail, alias, qos)
        if len(self._aliases) == self._count_max or not self._comes_again(field):
            return head, tail
        alias = (len(self._aliases) + 1).to_bytes(2, "big")
        told = _with_alias(head, field, tail, alias, qos)
        if 0 < self._packet_bytes_max < len(told[0]) + len(told[1]) + 2:
            return head, tail  # it may not be sent, and then the client would not know the alias
        del self._seen[field]
        self._aliases[field] = alias
        return told

    def _comes_again(self, field: bytes) -> bool:
        if not TOPIC_BYTES_MIN <= len(field) - 2 <= TOPIC_BYTES_MAX:
            return False
        if field in self._seen:
            return True
        if not self._room.has_for_qos0():
            return False
        if len(self._seen) >= SENT_MAX:
            del self._seen[next(iter(self._seen))]
            self._room.free(1)
        self._seen[field] = None
        self._room.free(-1)
        return False

    def give_room(self) -> None:
        """The connection is over, and its aliases with it."""
        self._room.free(self.remembered())

    def remembered(self) -> int:
        """Topics, with an alias or seen once."""
        return len(self._aliases) + len(self._seen)


def _with_alias(
    head: bytes, field: bytes, tail: bytes, alias: bytes, qos: int
) -> tuple[bytes, bytes]:
    """The same PUBLISH with another topic field, and the alias behind its other properties."""
    length, at = read_length(tail, 0, len(tail))
    end = at + length
    parts = (encode_length(length + 3), tail[at:end], _ALIAS, alias, tail[end:])
    tail = b"".join(parts)
    size = len(field) + (2 if qos else 0) + len(tail)
    return head[:1] + encode_length(size) + field, tail
