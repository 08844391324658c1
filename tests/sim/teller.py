"""A publisher with a session that its gateway keeps: what was not acknowledged it sends again, as MQTT
has it, to whatever gateway it comes back to.

So each of its QoS 2 messages is to arrive once, whatever its gateway forgot. If it is told that it has
no session it begins anew. Writes down what it sent where. Must not know what is checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Version,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from tests.sim.box import Box, ClientEnd
from tests.sim.client import FAILURE, PACKET_BYTES_MAX, void
from tests.sim.history import History, Kept, Publication, Visit
from tests.sim.keeper import EXPIRY_S
from tests.sim.network import Network, Wire
from tests.sim.world import World

WINDOW = 20  # publications without an answer before it waits


@dataclass
class _Pending:
    """One message that is not acknowledged; `released`: PUBREC came for it."""

    publication: Publication
    released: bool = False


class Teller:
    """`name` is its client id and its host; `doors` are the boxes that it may come to."""

    def __init__(
        self, world: World, network: Network, history: History, name: str, doors: Sequence[Box]
    ) -> None:
        self.name = name
        self.box = doors[0]
        self.doors = doors
        self.kept = Kept(name, "" if len(doors) > 1 else doors[0].name)
        history.tellers[name] = self.kept
        self._world, self._network, self._history = world, network, history
        self._version = world.random.choice((Version.MQTT311, Version.MQTT5))
        self._wire: Wire | None = None
        self._buffer = b""
        self._connected = False
        self._known = False
        self._line = 0  # of order: another one when the session was lost
        self._number = 0
        self._packet_id = 0
        self._pending: dict[int, _Pending] = {}

    @property
    def away(self) -> bool:
        """Whether it has no connection, not even one under way."""
        return self._wire is None

    def connect(self) -> None:
        """Opens a connection to one of its gateways, if that one listens."""
        assert self._wire is None
        self.box = self._world.random.choice(self.doors)
        if self.box.node is None or self.box.name in self._network.down:
            return
        self._buffer = b""
        self.kept.connections += 1
        self.kept.visits.append(Visit(self.box.name, self._world.now))
        self._wire = wire = self._network.wire(self.name, self.box.name)
        wire.attach(0, self)
        self.box.input(lambda node: void(ClientEnd(self.box, wire)))()
        properties = NO_PROPERTIES
        if self._version is Version.MQTT5:
            properties = Properties(session_expiry_interval_s=EXPIRY_S)
        self._send(Connect(self._version, self.name, False, 0, properties=properties))

    def leave(self) -> None:
        """Drops the connection without a word."""
        if self._wire is not None:
            self._wire.close(0)

    def publish(self, topic: str, qos: int) -> None:
        """Sends one PUBLISH; its payload says which one it is."""
        if not self._connected or len(self._pending) >= WINDOW:
            return
        if self.box.name in self._network.down:
            return  # nothing that it says now is ever heard
        self._number += 1
        publication = Publication(
            *(f"{self.name}/{self._number}", self.name, self._line, self.box.name, topic, qos),
            *(False, self._number, self._world.now),
        )
        self._history.publications.append(publication)
        self._packet_id = self._packet_id % 65_535 + 1
        self._pending[self._packet_id] = _Pending(publication)
        self._send(Publish(topic, publication.ident.encode(), qos, packet_id=self._packet_id))

    def received(self, data: bytes) -> None:
        """Bytes came from the gateway."""
        self._buffer += data
        frames, rest = split(self._buffer, PACKET_BYTES_MAX)
        buffer, self._buffer = self._buffer, self._buffer[rest:]
        for first, start, end in frames:
            self._handle(decode(first, buffer[start:end], self._version))

    def lost(self) -> None:
        """The connection is over; the session is not."""
        self._wire = None
        self._connected = False
        self.kept.visits[-1].over_at = self._world.now
        self._world.say(f"{self.name} lost its connection")

    def _handle(self, packet: Packet) -> None:
        match packet:
            case ConnAck() if packet.reason < FAILURE:
                self._on_connack(packet)
            case PubAck() | PubComp() if packet.packet_id in self._pending:
                publication = self._pending.pop(packet.packet_id).publication
                publication.acked_at = self._world.now
                publication.refused = packet.reason >= FAILURE
            case PubRec() if packet.reason >= FAILURE:
                publication = self._pending.pop(packet.packet_id).publication
                publication.acked_at, publication.refused = self._world.now, True
            case PubRec() if packet.packet_id in self._pending:
                pending = self._pending[packet.packet_id]
                pending.released = True
                pending.publication.released_at = min(
                    pending.publication.released_at, self._world.now
                )
                self._send(PubRel(packet.packet_id))
            case _:
                self._world.say(f"{self.name} is told {packet}")

    def _on_connack(self, packet: ConnAck) -> None:
        now = self.kept.visits[-1].answered_at = self._world.now
        self._world.say(f"{self.name} is back at {self.box.name}")
        if not packet.session_present:
            if self._known:
                self.kept.lost_at.append((now, now))
            self._pending.clear()
            self._line += 1
        self._known = self._connected = True
        for packet_id, pending in self._pending.items():  # [MQTT-4.4.0-1]
            publication = pending.publication
            publication.again.append(self.box.name)
            if pending.released:
                self._send(PubRel(packet_id))
            else:
                payload, qos = publication.ident.encode(), publication.qos
                self._send(Publish(publication.topic, payload, qos, dup=True, packet_id=packet_id))

    def _send(self, packet: Packet) -> None:
        assert self._wire is not None
        self._wire.send(0, encode(packet, self._version))
