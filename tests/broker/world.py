"""A broker without its world: clients that speak packets to it, and a clock that a test turns.

Each test reads as a transcript: what a client says, and what then stands in the outboxes.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from gateway.broker.aliases import Aliases
from gateway.broker.broker import Broker
from gateway.broker.connection import State
from gateway.broker.elsewhere import Elsewhere, Nowhere, Outlet
from gateway.broker.replay import Replay
from gateway.broker.room import PLACE_BYTES, will_bytes
from gateway.config import MqttSection
from gateway.effects import Effect, Note
from gateway.ids import Stamp
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.message import Message
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
    SubAck,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket

V31, V311, V5 = Version.MQTT31, Version.MQTT311, Version.MQTT5
EVERY_VERSION = pytest.mark.parametrize("version", Version, ids=lambda version: version.name)
PACKET_BYTES_MAX = 268_435_455


class World:
    """One broker, its time, and what it said to the log."""

    def __init__(
        self, settings: MqttSection | None = None, elsewhere: Elsewhere | None = None
    ) -> None:
        self.now = 1_000.0
        self.effects: list[Effect] = []
        self.broker = Broker(settings or MqttSection(), elsewhere or Nowhere(), Random(1))
        self.broker.wake(self.now)

    def client(
        self,
        client_id: str = "",
        version: Version = V5,
        trusted: bool = True,
        address: str = "192.0.2.7",
    ) -> "Client":
        """A client whose socket was accepted and that has said nothing yet."""
        return Client(self, client_id, version, trusted, address)

    def connected(
        self,
        client_id: str,
        version: Version = V5,
        clean: bool = True,
        keep_alive_s: int = 0,
        will: Will | None = None,
        **properties: object,
    ) -> "Client":
        """A client that has its CONNACK; `client.connack` is what it was told."""
        client = self.client(client_id, version)
        client.connect(clean, keep_alive_s, will, **properties)
        answers = client.take()
        assert isinstance(answers[0], ConnAck), answers
        assert answers[0].reason is Reason.SUCCESS
        client.connack = answers[0]
        client.box[:0] = answers[1:]
        return client

    def pass_s(self, seconds: float) -> None:
        """Time passes, and every deadline in it is kept."""
        until = self.now + seconds
        while (deadline := self.broker.deadline()) <= until:
            self.now = max(self.now, deadline)
            self.broker.wake(self.now)
        self.now = until

    def held_bytes(self) -> int:
        """What `Room.used` says, counted anew: each place, each large message once, each will."""
        places: list[Message | None] = []
        for session in self.broker.state.sessions.values():
            places += [entry and entry[0] for entry in session.inflight.values()]
            places += [entry[0] for entry in session.backlog]
            places += session.unreleased.values()
            if isinstance(session.replay, Replay):
                for walk in session.replay.walks():
                    places += [None] * len(walk.overtaken)
        places += [message for _, message, _ in self.broker.state.wills.values()]
        for connection in self.broker._online.values():
            aliases = connection.outbox.aliases
            places += [None] * (aliases.remembered() if isinstance(aliases, Aliases) else 0)
            places += [None] * len(connection.aliases or ())
        wills = [each.will for each in self.broker._online.values()]
        return (
            sum(message.bytes_held() for message in set(places) if message and message.is_large())
            + len(places) * PLACE_BYTES
            + sum(will_bytes(will) for will in wills if will is not None)
        )

    def notes(self) -> list[str]:
        """What the broker said to the log so far."""
        self.effects += self.broker.drain()[1]
        return [effect.text for effect in self.effects if isinstance(effect, Note)]


class Client:
    """The other end of a connection. Says nothing by itself: acknowledgements are the test's."""

    def __init__(
        self, world: World, client_id: str, version: Version, trusted: bool, address: str
    ) -> None:
        self.world = world
        self.client_id = client_id
        self.version = version
        self.connection = world.broker.entrance.open(address, trusted, world.now)
        self.connack: ConnAck | None = None
        self.told: list[str] = []  # reason strings
        self.box: list[Packet] = []  # read from the wire and not yet asked for
        self._bytes = b""
        self._next_id = 0

    def packet_id(self) -> int:
        """One that this client has not used before."""
        self._next_id += 1
        return self._next_id

    # what the client says

    def send(self, *packets: Packet) -> None:
        """All in one read."""
        self.send_bytes(b"".join(encode(packet, self.version) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        self.connection.receive(data, self.world.now)

    def connect(
        self,
        clean: bool = True,
        keep_alive_s: int = 0,
        will: Will | None = None,
        username: str | None = None,
        password: bytes | None = None,
        **properties: object,
    ) -> None:
        given = Properties(**properties) if properties else NO_PROPERTIES  # type: ignore[arg-type]
        self.send(
            Connect(
                *(self.version, self.client_id, clean, keep_alive_s),
                *(will, username, password, given),
            )
        )

    def publish(
        self,
        topic: str,
        payload: bytes = b"x",
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        packet_id: int = 0,
        **properties: object,
    ) -> int:
        """Returns the packet id, 0 with QoS 0."""
        if qos and not packet_id:
            packet_id = self.packet_id()
        given = Properties(**properties) if properties else NO_PROPERTIES  # type: ignore[arg-type]
        self.send(Publish(topic, payload, qos, retain, dup, packet_id, given))
        return packet_id

    def subscribe(self, topic_filter: str, qos: int = 0, **options: object) -> None:
        """Subscribes and takes the SUBACK, which grants what was asked; the rest stays in the box."""
        packet_id = self.packet_id()
        self.send(
            Subscribe(packet_id, (Subscription(topic_filter, qos, **options),))  # type: ignore[arg-type]
        )
        answers = self.take()
        answers.remove(SubAck(packet_id, (Reason(qos),)))
        self.box += answers

    def unsubscribe(self, topic_filter: str) -> None:
        self.send(Unsubscribe(self.packet_id(), (topic_filter,)))

    def disconnect(self, reason: Reason = Reason.NORMAL_DISCONNECTION, **properties: int) -> None:
        self.send(
            Disconnect(reason, Properties(**properties) if properties else NO_PROPERTIES)  # type: ignore[arg-type]
        )
        self.lose()

    def lose(self) -> None:
        """The network connection ends."""
        self.connection.lost(self.world.now)

    # what the client hears

    def take(self) -> list[Packet]:
        """The packets that came since the last call; their reason strings stand in `told`."""
        self._bytes += self.connection.outbox.take()
        frames, rest = split(self._bytes, PACKET_BYTES_MAX)
        said, self._bytes = self._bytes, self._bytes[rest:]
        came = [self._read(decode(f, said[start:end], self.version)) for f, start, end in frames]
        came, self.box = self.box + came, []
        return came

    def _read(self, packet: Packet) -> Packet:
        why = getattr(packet, "properties", NO_PROPERTIES).reason_string
        if why is None:
            return packet
        self.told.append(why)
        return replace(packet, properties=replace(packet.properties, reason_string=None))  # type: ignore

    def messages(self) -> list[Publish]:
        """What came, which is nothing but messages."""
        came = self.take()
        for packet in came:
            assert isinstance(packet, Publish), packet
        return came  # type: ignore[return-value]

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages()]

    def acknowledge(self) -> list[bytes]:
        """Answers everything that comes, until nothing comes any more; returns the payloads."""
        payloads = []
        while came := self.take():
            for packet in came:
                match packet:
                    case Publish(qos=1):
                        self.send(PubAck(packet.packet_id))
                    case Publish(qos=2):
                        self.send(PubRec(packet.packet_id))
                    case PubRel():
                        self.send(PubComp(packet.packet_id))
                if isinstance(packet, Publish):
                    payloads.append(packet.payload)
        return payloads

    @property
    def closed(self) -> bool:
        """Whether the broker ended the connection, and the socket with it."""
        ended = self.connection.state is State.CLOSED
        assert ended == self.connection.outbox.ended
        return ended


class Peer:
    """Another gateway, as an outlet: keeps what it is offered, and holds every ticket."""

    def __init__(self) -> None:
        self.offered: list[Message] = []
        self.tickets: list[Ticket] = []

    def offer(self, message: Message, stamp: Stamp | None, ticket: Ticket | None) -> None:
        self.offered.append(message)
        if ticket is not None:
            ticket.hold()
            self.tickets.append(ticket)

    def take_all(self) -> None:
        """The other gateway has taken what it was offered."""
        tickets, self.tickets = self.tickets, []
        for ticket in tickets:
            ticket.release()


class OneElsewhere(Nowhere):
    """One other gateway, interested in the topics of one name."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted = wanted
        self.peer = Peer()
        self.is_crowded = False
        self.unknown: list[Ticket] | None = None  # a list: subscriptions wait to be known
        self.told: dict[str, bool] = {}
        self.groups: dict[str, None] = {}

    def interested(self, topic: str) -> Sequence[Outlet]:
        return (self.peer,) if topic == self.wanted else ()

    def everyone(self) -> Sequence[Outlet]:
        return (self.peer,)

    def crowded(self) -> bool:
        return self.is_crowded

    def subscribed(self, topic_filter: str) -> None:
        self.told[topic_filter] = True

    def unsubscribed(self, topic_filter: str) -> None:
        self.told[topic_filter] = False

    def group_changed(self, name: str) -> None:
        self.groups[name] = None

    def hold_until_known(self, ticket: Ticket, now: float) -> None:
        if self.unknown is not None:
            ticket.hold()
            self.unknown.append(ticket)

    def know(self) -> None:
        """The other gateway knows our subscriptions."""
        assert self.unknown is not None
        waiting, self.unknown = self.unknown, []
        for ticket in waiting:
            ticket.release()
