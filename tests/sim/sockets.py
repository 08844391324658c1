"""A client's end of its connections to gateways that keep its session. Must not know what is said."""

from collections.abc import Callable

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import Connect, Packet, Version
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from tests.sim.box import Box, ClientEnd
from tests.sim.client import PACKET_BYTES_MAX, void
from tests.sim.history import Kept, Visit
from tests.sim.network import Network, Wire
from tests.sim.world import World

EXPIRY_S = 3_600  # longer than a run


class Socket:
    """`name` is the client id and the host. `heard` is called with each packet, `over` at the end."""

    def __init__(
        self,
        world: World,
        network: Network,
        name: str,
        heard: Callable[[Packet], None],
        over: Callable[[], None],
    ) -> None:
        self.wire: Wire | None = None
        self._world, self._network, self._name = world, network, name
        self._heard, self._over = heard, over
        self._version = world.random.choice((Version.MQTT311, Version.MQTT5))
        self._buffer = b""

    def open(self, box: Box, kept: Kept) -> None:
        """Says CONNECT to the box, if that one listens, and writes the visit down."""
        assert self.wire is None
        if box.node is None or box.name in self._network.down:
            return
        self._buffer = b""
        kept.connections += 1
        kept.visits.append(Visit(box.name, self._world.now))
        self.wire = wire = self._network.wire(self._name, box.name)
        wire.attach(0, self)
        box.input(lambda node: void(ClientEnd(box, wire)))()
        properties = NO_PROPERTIES
        if self._version is Version.MQTT5:
            properties = Properties(session_expiry_interval_s=EXPIRY_S)
        self.say(Connect(self._version, self._name, False, 0, properties=properties))

    def say(self, packet: Packet) -> None:
        """Sends a packet."""
        assert self.wire is not None
        self.wire.send(0, encode(packet, self._version))

    def leave(self) -> None:
        """Drops the connection without a word."""
        if self.wire is not None:
            self.wire.close(0)

    def received(self, data: bytes) -> None:
        """Bytes came from the gateway."""
        self._buffer += data
        frames, rest = split(self._buffer, PACKET_BYTES_MAX)
        buffer, self._buffer = self._buffer, self._buffer[rest:]
        for first, start, end in frames:
            self._heard(decode(first, buffer[start:end], self._version))

    def lost(self) -> None:
        """The connection is over; the session is not."""
        self.wire = None
        self._over()
        self._world.say(f"{self._name} lost its connection")
