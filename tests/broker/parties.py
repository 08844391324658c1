"""Clients for random stories: each has its own half of every exchange, over many connections.

They check what a client can see by itself: that no more is under way than their window, that aliases and
identifiers are right, that their session is there. What came is kept for the story to judge.
"""

from dataclasses import dataclass
from random import Random

from gateway.mqtt.packets import (
    ConnAck,
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
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason
from gateway.mqtt.topics import matches, split_share
from tests.broker.kept import KeptWorld
from tests.broker.world import Client

WEEK_S = 604_800
ALIASES = 3
RETAINED_TOPICS = 8  # r/0, r/1, ...: the even ones at QoS 1, the others at QoS 2


class Party:
    """One client. `ends`: it sometimes begins with a new session."""

    def __init__(self, world: KeptWorld, name: str, random: Random) -> None:
        self.world = world
        self.name = name
        self.random = random
        self.expiry_s = WEEK_S
        self.ends = False
        self.client: Client | None = None
        self.ready = False
        self.todo: list[Packet] = []  # came, and not answered yet
        self.sessions = 0
        self.window = 0

    def connect(self) -> None:
        if self.client is not None and not self.client.closed:
            return
        self.ready, self.todo = False, []
        self.client = self.world.client(self.name)
        self.window = self.random.choice([1, 3, 20])
        clean = self.ends and self.random.random() < 0.5
        self.client.connect(
            clean,
            session_expiry_interval_s=self.expiry_s,
            receive_maximum=self.window,
            topic_alias_maximum=self.random.choice([0, ALIASES]),
        )
        self.connected(clean)

    def move(self) -> None:
        """Takes its session over to a new connection, and hears at once what it is told there."""
        self.client = None
        self.connect()
        self.listen()

    def lose(self) -> None:
        if self.client is not None and not self.client.closed:
            self.client.lose()
        self.client, self.ready, self.todo = None, False, []

    def listen(self, count: int = 1000) -> None:
        """Reads what came, and answers some of it."""
        if self.client is None:
            return
        came = self.client.take()
        for packet in came:
            self.came(packet)
        self.todo += came
        while self.todo and count:
            packet = self.todo.pop(0)
            count -= 1
            if isinstance(packet, Disconnect) or (isinstance(packet, ConnAck) and packet.reason):
                # the disk failed: it comes again, also over a connection that it gave up and
                # that had to wait
                expected = (Reason.QUOTA_EXCEEDED, Reason.SESSION_TAKEN_OVER)
                assert packet.reason in expected
            elif isinstance(packet, ConnAck):
                self.ready = True
                self.sessions += not packet.session_present
                self.begin(packet.session_present)
            else:
                self.hear(packet)
        if self.client.closed:
            self.lose()

    def say(self, *packets: Packet) -> None:
        assert self.client is not None
        if not self.client.closed:
            self.client.send(*packets)

    def connected(self, clean: bool) -> None:
        """A CONNECT was sent."""

    def came(self, packet: Packet) -> None:
        """It was read from the wire."""

    def begin(self, present: bool) -> None:
        raise NotImplementedError

    def hear(self, packet: Packet) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Sent:
    """A message of a publisher that is not acknowledged yet."""

    topic: str
    qos: int
    number: int
    retain: bool


class Publisher(Party):
    """Publishes numbers at QoS 1 and 2, on topics of its own, and on retained ones if it `retains`."""

    def __init__(self, world: KeptWorld, name: str, random: Random, retains: bool) -> None:
        super().__init__(world, name, random)
        self.retains = retains
        self.number = 0
        self.open: dict[int, Sent] = {}  # by packet id
        self.received: dict[int, Sent] = {}
        self.acknowledged: dict[str, list[int]] = {}  # by topic
        self.aliases: dict[str, int] = {}

    def connected(self, clean: bool) -> None:
        self.aliases.clear()

    def begin(self, present: bool) -> None:
        assert present or self.sessions == 1, "the session is gone"
        for packet_id in self.received:
            self.say(PubRel(packet_id))
        for packet_id, sent in self.open.items():
            self.say(self._packet(packet_id, sent, dup=True))

    def publish(self) -> None:
        if not self.ready or len(self.open) + len(self.received) > 20:
            return
        self.number += 1
        packet_id = self.number % 60_000 + 1
        qos = self.random.choice([1, 2])
        sent = Sent(f"{self.name}/{qos}", qos, self.number, False)
        if self.retains and self.random.random() < 0.2:
            place = self.random.randrange(RETAINED_TOPICS)
            sent = Sent(f"r/{place}", 1 + place % 2, self.number, True)
        self.open[packet_id] = sent
        self.say(self._packet(packet_id, sent))

    def hear(self, packet: Packet) -> None:
        match packet:
            case PubAck(reason=Reason.SUCCESS):
                sent = self.open.pop(packet.packet_id)
                assert sent.qos == 1
                self.acknowledged.setdefault(sent.topic, []).append(sent.number)
            case PubRec(reason=Reason.SUCCESS):
                if packet.packet_id in self.open:
                    self.received[packet.packet_id] = self.open.pop(packet.packet_id)
                self.say(PubRel(packet.packet_id))
            case PubAck() | PubRec():  # the disk took it not: it is tried again, as a new message
                self.open.pop(packet.packet_id)
            case PubComp():
                if packet.packet_id in self.received:
                    sent = self.received.pop(packet.packet_id)
                    self.acknowledged.setdefault(sent.topic, []).append(sent.number)
            case _:
                raise AssertionError(f"unexpected {packet}")

    def _packet(self, packet_id: int, sent: Sent, dup: bool = False) -> Publish:
        topic, properties = sent.topic, NO_PROPERTIES
        if not dup and len(self.aliases) < ALIASES:
            alias = self.aliases.setdefault(topic, len(self.aliases) + 1)
            properties = Properties(topic_alias=alias)
        elif topic in self.aliases and self.random.random() < 0.5:
            topic, properties = "", Properties(topic_alias=self.aliases[topic])
        payload = b"%d" % sent.number
        return Publish(topic, payload, sent.qos, sent.retain, dup, packet_id, properties)


class Subscriber(Party):
    """Subscribes to `filters`, each with an identifier of its own: its place, from 1 on.

    `numbers` is, by identifiers and topic, every number in the order of its delivery; `shown` is what
    was retained, by topic, and `in_order` both together, of QoS 2.
    """

    def __init__(self, world: KeptWorld, name: str, random: Random, filters: list[str]) -> None:
        super().__init__(world, name, random)
        self.filters = filters
        self.subscribed = False
        self.numbers: dict[tuple[tuple[int, ...], str], list[int]] = {}
        self.shown: dict[str, list[int]] = {}
        self.in_order: dict[str, list[int]] = {}
        self.held: set[int] = set()  # QoS 2 that was received, and not yet released
        self.under_way: set[int] = set()  # of this connection: what the window is for
        self.aliases: dict[int, str] = {}
        self.awaited = 0  # SUBACKs

    def connected(self, clean: bool) -> None:
        self.under_way.clear()
        self.aliases.clear()
        self.awaited = 0

    def came(self, packet: Packet) -> None:
        if isinstance(packet, Publish) and packet.qos:
            self.under_way.add(packet.packet_id)
            assert len(self.under_way) <= self.window, f"{self.name}: more than its window"

    def begin(self, present: bool) -> None:
        if self.ends and not present:
            self.subscribed = False
            self.held.clear()
        assert present or not self.subscribed or not self.expiry_s, "the session is gone"
        if not (self.subscribed and present):
            self.subscribe()

    def subscribe(self) -> None:
        """To all; what is retained there comes, too."""
        for place, each in enumerate(self.filters, 1):
            given = Properties(subscription_identifiers=(place,))
            self.awaited += 1
            self.say(Subscribe(65_000 + place, (Subscription(each, 2),), given))

    def hear(self, packet: Packet) -> None:
        match packet:
            case SubAck():
                assert all(reason < 0x80 or reason == 0x97 for reason in packet.reasons)
                self.awaited -= 1
                self.subscribed = self.subscribed or not self.awaited
            case Publish():
                self._keep(packet)
                if packet.qos == 1:
                    self.under_way.discard(packet.packet_id)
                    self.say(PubAck(packet.packet_id))
                elif packet.qos == 2:
                    self.held.add(packet.packet_id)
                    self.say(PubRec(packet.packet_id))
            case PubRel():
                self.held.discard(packet.packet_id)
                self.under_way.discard(packet.packet_id)
                self.say(PubComp(packet.packet_id))
            case _:
                raise AssertionError(f"unexpected {packet}")

    def got(self, topic_filter: str, topic: str) -> list[int]:
        """What came on the topic because of this filter."""
        place = self.filters.index(topic_filter) + 1
        keys = [key for key in self.numbers if key[1] == topic and place in key[0]]
        assert len(keys) <= 1 or self.ends, f"{self.name}: {keys}"
        return [number for key in keys for number in self.numbers[key]]

    def _keep(self, packet: Publish) -> None:
        topic, places = self._topic(packet), packet.properties.subscription_identifiers
        if packet.qos == 2 and packet.packet_id in self.held:
            return
        number = int(packet.payload)
        if packet.retain:
            self.shown.setdefault(topic, []).append(number)
        else:
            assert places in self._choices(topic), f"{self.name}: {places} on {topic}"
            self.numbers.setdefault((places, topic), []).append(number)
        if packet.qos == 2:
            self.in_order.setdefault(topic, []).append(number)

    def _choices(self, topic: str) -> list[tuple[int, ...]]:
        """The identifiers that a message may have: of all its own subscriptions, or of one it shares."""
        own: tuple[int, ...] = ()
        choices = []
        for place, each in enumerate(self.filters, 1):
            share, topic_filter = split_share(each)
            if not matches(topic_filter, topic):
                continue
            if share:
                choices.append((place,))
            else:
                own += (place,)
        return [own, *choices] if own else choices

    def _topic(self, packet: Publish) -> str:
        alias = packet.properties.topic_alias
        if alias is None:
            return packet.topic
        assert 1 <= alias <= ALIASES
        if packet.topic:
            self.aliases[alias] = packet.topic
        return self.aliases[alias]
