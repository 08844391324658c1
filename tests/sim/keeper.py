"""A client with a session that its gateway keeps: it subscribes, and comes back to what waited for it.

Some always come back to the same gateway, others to any, and some of these before the gateway where they
were knows that they left. Writes down what it sees, over all connections. Must not know what is checked.
"""

from collections.abc import Sequence

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
    SubAck,
    Subscribe,
    Subscription,
    Version,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from tests.sim.box import Box, ClientEnd
from tests.sim.client import FAILURE, PACKET_BYTES_MAX, void
from tests.sim.history import NEVER, Granted, History, Kept, KeptDelivery, Visit
from tests.sim.network import Network, Wire
from tests.sim.world import World

EXPIRY_S = 3_600  # longer than a run


class Keeper:
    """`name` is its client id and its host; `wanted` are the filters that it subscribes to, with QoS."""

    def __init__(
        self,
        world: World,
        network: Network,
        history: History,
        box: Box,
        name: str,
        wanted: list[tuple[str, int]],
        doors: Sequence[Box] = (),
    ) -> None:
        """`doors` are the boxes it may come to, if not always to the same."""
        self.name = name
        self.box = box
        self.doors = doors
        self.kept = Kept(name, "" if doors else box.name)
        history.kept.append(self.kept)
        self._world, self._network, self._history = world, network, history
        self._version = world.random.choice((Version.MQTT311, Version.MQTT5))
        self._wanted = wanted
        self._asked: dict[int, Granted] = {}
        self._wire: Wire | None = None
        self._buffer = b""
        self._connected = False
        self._known_at = 0.0
        self._known = False  # CONNACK came once: the session is the gateway's to keep
        self._held: dict[int, None] = {}
        self._shuns: Box | None = None
        self._lost_at = 0.0
        self.rests_until = 0.0

    @property
    def away(self) -> bool:
        """Whether it has no connection, not even one under way."""
        return self._wire is None

    def begin_anew(self) -> None:
        """Its gateway has lost its session."""
        before = self.kept
        before.ended_at = self._world.now
        self.kept = Kept(self.name, before.box, before.connections, visits=list(before.visits))
        self._history.kept.append(self.kept)
        self._known = False
        self._held.clear()

    def go_elsewhere(self) -> None:
        """Its gateway has lost its session, and there is a copy: it will not go there first."""
        self._shuns, self._lost_at = self.box, self._world.now

    def connect(self) -> None:
        """Opens a connection to its gateway, if that one listens."""
        assert self._wire is None
        if self.doors:
            self.box = self._world.random.choice([e for e in self.doors if e is not self._shuns])
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

    def hurry(self) -> None:
        """Connects anew at once; whoever has the old connection is not told."""
        wire, self._wire = self._wire, None
        self._give_up()
        self._asked.clear()
        if wire is not None:
            wire.abandon(0)
            self.connect()

    def ask(self) -> None:
        """Sends SUBSCRIBE for what it has not got yet."""
        granted = {each.topic_filter for each in self.kept.granted if each.ended_at == NEVER}
        for number, (name, qos) in enumerate(self._wanted, 1):
            if self._connected and name not in granted and number not in self._asked:
                self._asked[number] = Granted(name, qos, self._world.now)
                self._send(Subscribe(number, (Subscription(name, qos),)))
                return

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
        self._give_up()
        self._asked.clear()
        self._world.say(f"{self.name} lost its connection")

    def _give_up(self) -> None:
        if self.kept.visits:
            self.kept.visits[-1].over_at = self._world.now
        self._connected = False

    def _handle(self, packet: Packet) -> None:
        match packet:
            case ConnAck() if packet.reason < FAILURE:
                now = self.kept.visits[-1].answered_at = self._world.now
                if self._known and not packet.session_present:
                    self.kept.lost_at.append((self._known_at, now))
                    for granted in self.kept.granted:
                        granted.ended_at = min(granted.ended_at, now)
                self._known_at = now
                if not packet.session_present:
                    self._held.clear()
                self._known = self._connected = True
                if self._shuns is not None:
                    self._shuns = None
                    self.kept.nowhere.append((self._lost_at, now))
                self._world.say(f"{self.name} is back at {self.box.name}")
            case Publish():
                self._on_publish(packet)
            case PubRel():
                self._held.pop(packet.packet_id, None)
                self._send(PubComp(packet.packet_id))
            case SubAck():
                granted = self._asked.pop(packet.packet_id)
                if packet.reasons[0] < FAILURE:
                    granted.granted_at = self._world.now
                    self.kept.granted.append(granted)
            case _:
                self._world.say(f"{self.name} is told {packet}")

    def _on_publish(self, packet: Publish) -> None:
        ident = packet.payload.decode()
        self._world.say(f"{self.name} gets {ident or 'a deletion'} on {packet.topic}")
        if packet.qos == 1:
            self._send(PubAck(packet.packet_id))
        if packet.qos == 2:
            self._send(PubRec(packet.packet_id))
            if packet.packet_id in self._held:
                return
            self._held[packet.packet_id] = None
        if ident and not packet.retain:
            about = (self._world.now, ident, packet.qos, self.box.name, self.kept.connections)
            self.kept.deliveries.append(KeptDelivery(*about))

    def _send(self, packet: Packet) -> None:
        assert self._wire is not None
        self._wire.send(0, encode(packet, self._version))
