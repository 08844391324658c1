"""A client with a persistent session that goes from gate to gate: it keeps its half of every exchange.

It answers what it gets, unless it is told to be `deaf`, and remembers over its connections what a client
must: packet ids of QoS 2 that it has, and what it published and was not acknowledged.
"""

from gateway.broker.connection import Connection, State
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.mesh.room import Gate

WEEK_S = 604_800


class Roamer:
    """`got` are the payloads in their order, QoS 2 ones once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate: Gate | None = None
        self.connection: Connection | None = None
        self.connacks: list[ConnAck] = []
        self.ends: list[Reason] = []
        self.got: list[bytes] = []
        self.ids: list[int] = []
        self.deaf = False
        self.acked = 0
        self.address = "192.0.2.1"
        self._held: dict[int, None] = {}
        self._packet_id = 0
        self._open: dict[int, Packet] = {}

    def connect(
        self,
        gate: Gate,
        clean: bool = False,
        will: Will | None = None,
        window: int | None = None,
        user: str = "",
    ) -> None:
        """Says CONNECT at a gate. Its old connection may stay open, as far as the other gate knows."""
        self.gate = gate
        self.connection = gate.node.broker.entrance.open(self.address, True, gate.room.now)
        self.connection.user = user
        given = Properties(session_expiry_interval_s=WEEK_S, receive_maximum=window)
        if clean:
            self._held.clear()
            self._open.clear()
        self.say(Connect(Version.MQTT5, self.name, clean, 0, will, properties=given))

    def say(self, *packets: Packet) -> None:
        """Says packets at once."""
        assert self.connection is not None and self.gate is not None
        data = b"".join(encode(packet, Version.MQTT5) for packet in packets)
        self.connection.receive(data, self.gate.room.now)

    def leave(self) -> None:
        """Its network is gone."""
        assert self.connection is not None and self.gate is not None
        self.connection.lost(self.gate.room.now)

    def subscribe(self, *filters: str, qos: int = 2) -> None:
        """Says SUBSCRIBE."""
        subscriptions = tuple(Subscription(name, qos) for name in filters)
        self.say(Subscribe(60_000, subscriptions))

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Says PUBLISH."""
        self._packet_id += 1
        packet = Publish(topic, payload, qos, packet_id=self._packet_id if qos else 0)
        if qos:
            self._open[self._packet_id] = packet
        self.say(packet)

    @property
    def is_connected(self) -> bool:
        """Whether it has its CONNACK and no end."""
        return self.connection is not None and self.connection.state is State.OPEN

    def listen(self) -> list[Packet]:
        """Reads and answers."""
        assert self.connection is not None
        data = self.connection.outbox.take()
        frames, rest = split(data, 20_000_000)
        assert rest == len(data)
        packets = [decode(first, data[start:end], Version.MQTT5) for first, start, end in frames]
        for packet in packets:
            self._hear(packet)
        return packets

    def _hear(self, packet: Packet) -> None:
        match packet:
            case ConnAck():
                self.connacks.append(packet)
                self._again(packet.session_present)
            case Disconnect():
                self.ends.append(Reason(packet.reason))
            case Publish():
                self._on_publish(packet)
            case PubRel():
                self._held.pop(packet.packet_id, None)
                self.say(PubComp(packet.packet_id))
            case PubAck() | PubComp():
                self._open.pop(packet.packet_id, None)
                self.acked += 1
            case PubRec():
                self._open[packet.packet_id] = PubRel(packet.packet_id)
                self.say(PubRel(packet.packet_id))
            case _:
                pass

    def _again(self, present: bool) -> None:
        """[MQTT-4.4.0-1]: what is not acknowledged is sent again; a new session knows of nothing."""
        if not present:
            self._held.clear()
        for packet in list(self._open.values()):
            self.say(packet)

    def _on_publish(self, packet: Publish) -> None:
        if self.deaf:
            return
        if packet.qos == 2 and packet.packet_id in self._held:
            self.say(PubRec(packet.packet_id))
            return
        self.got.append(packet.payload)
        self.ids.append(packet.packet_id)
        if packet.qos == 1:
            self.say(PubAck(packet.packet_id))
        if packet.qos == 2:
            self._held[packet.packet_id] = None
            self.say(PubRec(packet.packet_id))


def talk(roamer: Roamer) -> None:
    """Turns until it has nothing to hear any more."""
    assert roamer.gate is not None
    for _ in range(1_000):
        roamer.gate.room.settle()
        if not roamer.listen():
            return
    raise AssertionError("it hears without end")
