"""An MQTT client that is always right: it speaks through the codec and writes down what it sees.

Its sessions are clean ones. Must not know what is checked.
"""

from collections.abc import Callable

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
    Will,
)
from tests.sim.box import Box, ClientEnd
from tests.sim.history import Delivery, Granted, History, Publication, Request, Session
from tests.sim.network import Network, Wire
from tests.sim.world import World

PACKET_BYTES_MAX = 1_048_576
WINDOW = 50  # publications without an answer before it waits
FAILURE = 0x80


class Client:
    """`name` is its client id and its host."""

    def __init__(
        self, world: World, network: Network, history: History, name: str, mortal: bool = False
    ) -> None:
        self.name = name
        self.mortal = mortal  # it has a will
        self.version = world.random.choice((Version.MQTT311, Version.MQTT5))
        self.retired = False  # it does not come back
        self.session: Session | None = None
        self.connected = False
        self.on_granted: Callable[[list[Granted]], None] = void
        self._world, self._network, self._history = world, network, history
        self._wire: Wire | None = None
        self._connections = 0
        self._number = 0
        self._buffer = b""
        self._packet_id = 0
        self._publishing: dict[int, tuple[Publication, Request]] = {}
        self._subscribing: dict[int, tuple[list[Granted], Request]] = {}
        self._unreleased: dict[int, None] = {}
        self._connecting: Request | None = None

    @property
    def away(self) -> bool:
        """Whether it has no connection, not even one under way."""
        return self._wire is None

    def connect(self, box: Box) -> None:
        """Opens a connection to a gateway, if that one listens."""
        assert self._wire is None
        if box.node is None:
            return
        self._connections += 1
        self._buffer, self._packet_id = b"", 0
        self.session = Session(self.name, box.name, self._connections)
        self._history.sessions.append(self.session)
        self._wire = self._network.wire(self.name, box.name)
        self._wire.attach(0, self)
        wire = self._wire
        box.input(lambda node: void(ClientEnd(box, wire)))()
        will = None
        if self.mortal:
            self.session.will = f"will/{self.name}/{self._connections}"
            will = Will(f"wills/{self.name}", self.session.will.encode(), 1)
        self._send(Connect(self.version, self.name, True, 0, will=will))
        self._connecting = self._request("CONNECT")

    def leave(self) -> None:
        """Drops the connection without a word."""
        if self._wire is not None:
            self._wire.close(0)

    def subscribe(self, *filters: tuple[str, int]) -> None:
        """Sends one SUBSCRIBE."""
        if not self.connected:
            return
        assert self.session is not None
        granted = [Granted(name, qos, self._world.now) for name, qos in filters]
        self.session.granted += granted
        packet_id = self._next_id()
        self._subscribing[packet_id] = (granted, self._request("SUBSCRIBE"))
        self._send(Subscribe(packet_id, tuple(Subscription(*each) for each in filters)))

    def publish(self, topic: str, qos: int, retain: bool, delete: bool = False) -> None:
        """Sends one PUBLISH; its payload says which one it is."""
        if not self.connected or len(self._publishing) >= WINDOW:
            return
        assert self.session is not None
        if self.session.closed_at <= self._world.now:
            return  # its gateway has no power: nothing that it says now was ever said
        self._number += 1
        ident = "" if delete else f"{self.name}/{self._number}"
        publication = Publication(
            *(ident, self.name, self._connections, self.session.box, topic, qos, retain),
            *(self._number, self._world.now),
        )
        self._history.publications.append(publication)
        packet_id = 0
        if qos:
            packet_id = self._next_id()
            self._publishing[packet_id] = (publication, self._request(f"PUBLISH {ident}"))
        self._send(Publish(topic, ident.encode(), qos, retain, packet_id=packet_id))

    def received(self, data: bytes) -> None:
        """Bytes came from the gateway."""
        self._buffer += data
        frames, rest = split(self._buffer, PACKET_BYTES_MAX)
        buffer, self._buffer = self._buffer, self._buffer[rest:]
        for first, start, end in frames:
            self._handle(decode(first, buffer[start:end], self.version))

    def lost(self) -> None:
        """The connection is over."""
        assert self.session is not None
        self.session.closed_at = min(self.session.closed_at, self._world.now)
        self.connected, self._wire = False, None
        for _, request in (*self._publishing.values(), *self._subscribing.values()):
            self._history.requests.remove(request)
        if self._connecting is not None:
            self._history.requests.remove(self._connecting)
            self._connecting = None
        self._publishing.clear()
        self._subscribing.clear()
        self._unreleased.clear()
        self._world.say(f"{self.name} lost its connection")

    def _handle(self, packet: Packet) -> None:
        match packet:
            case ConnAck():
                assert self.session is not None and self._connecting is not None
                assert packet.reason < FAILURE, packet
                self.connected, self.session.opened_at = True, self._world.now
                self._connecting.answered_at = self._world.now
                self._connecting = None
                self._world.say(f"{self.name} is connected to {self.session.box}")
            case Publish():
                self._on_publish(packet)
            case PubAck() | PubComp():
                publication, request = self._publishing.pop(packet.packet_id)
                publication.acked_at = request.answered_at = self._world.now
                publication.refused = packet.reason >= FAILURE
            case PubRec():
                self._publishing[packet.packet_id][0].released_at = self._world.now
                self._send(PubRel(packet.packet_id))
            case PubRel():
                self._unreleased.pop(packet.packet_id, None)
                self._send(PubComp(packet.packet_id))
            case SubAck():
                granted, request = self._subscribing.pop(packet.packet_id)
                request.answered_at = self._world.now
                for each in granted:
                    each.granted_at = self._world.now
                self.on_granted(granted)
            case _:
                self._world.say(f"{self.name} is told {packet}")

    def _on_publish(self, packet: Publish) -> None:
        assert self.session is not None
        ident = packet.payload.decode()
        delivery = Delivery(self._world.now, ident, packet.topic, packet.qos, packet.retain)
        self._world.say(f"{self.name} gets {ident or 'a deletion'} on {packet.topic}")
        if packet.qos == 1:
            self._send(PubAck(packet.packet_id))
        if packet.qos == 2:
            self._send(PubRec(packet.packet_id))
            if packet.packet_id in self._unreleased:
                return
            self._unreleased[packet.packet_id] = None
        self.session.deliveries.append(delivery)

    def _send(self, packet: Packet) -> None:
        assert self._wire is not None
        self._wire.send(0, encode(packet, self.version))

    def _request(self, what: str) -> Request:
        assert self.session is not None
        request = Request(what, self.name, self.session.box, self._world.now)
        self._history.requests.append(request)
        return request

    def _next_id(self) -> int:
        busy = (*self._publishing, *self._subscribing)
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in busy:
                return self._packet_id


def void(_: object) -> None:
    """For calls whose result nobody needs."""
