"""Any behaviour of three clients against a model that knows only what MQTT promises.

QoS 0 arrives while connected; QoS 1 at least once; QoS 2 exactly once; each in the order in which it
was published; retained messages greet a subscriber. Clients come, go, take over, change version, leave
things unacknowledged and resume. The model has no packet ids, windows or queues.
"""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from gateway.config import MqttSection
from gateway.mqtt.packets import (
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.topics import matches
from tests.broker.world import V5, V311, Client, World
from tests.mqtt.strategies import repeatable

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
topics = st.sampled_from(["t", "t/1"])
filters = st.sampled_from(["t", "t/+", "#", "will/+"])
qos = st.integers(0, 2)


@dataclass
class Person:
    """One client id: what its user knows, and what it must get."""

    name: str
    client: Client | None = None
    stays: bool = False  # the session outlives the connection
    session: bool = False
    subscriptions: dict[str, int] = field(default_factory=dict)
    unreleased: dict[int, tuple[str, bytes, bool]] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)  # QoS 2 received, PUBREL not yet
    owed: list[Packet] = field(default_factory=list)  # acknowledgements not yet said
    due: dict[int, list[bytes]] = field(default_factory=lambda: {0: [], 1: [], 2: []})
    got: dict[int, list[bytes]] = field(default_factory=lambda: {0: [], 1: [], 2: []})
    greetings: list[tuple[str, str, bytes, int]] = field(default_factory=list)  # filter, topic
    lapsed: list[tuple[bytes, int]] = field(default_factory=list)  # greetings that need not come
    greeted: list[tuple[bytes, int]] = field(default_factory=list)
    will: bytes = b""

    def lapse(
        self, topic_filter: str = "", topic: str = "", news: bytes = b"", qos: int = 0
    ) -> None:
        """Greetings under a filter or of a topic that have not come need not come any more.

        What is `news` there at this QoS may come in their place.
        """
        missing = Counter(greeting[2:] for greeting in self.greetings) - Counter(self.greeted)
        for greeting in list(self.greetings):
            if (greeting[0] == topic_filter or greeting[1] == topic) and missing[greeting[2:]] > 0:
                missing[greeting[2:]] -= 1
                self.greetings.remove(greeting)
                self.lapsed.append(greeting[2:])
                if news:
                    granted = self.subscriptions.get(greeting[0], 0)
                    self.lapsed.append((news, min(granted, qos)))

    def forget(self) -> None:
        """The session is over, and with it everything that was promised to it."""
        self.session = False
        self.subscriptions.clear()
        self.held.clear()
        for each in (*self.due.values(), *self.got.values()):
            each.clear()
        for each in (self.greetings, self.greeted, self.lapsed):
            each.clear()


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(MqttSection(inflight_max=3))
        self.people = {name: Person(name) for name in NAMES}
        self.kept: dict[str, tuple[bytes, int]] = {}
        self.number = 0

    def payload(self) -> bytes:
        self.number += 1
        return b"%d" % self.number

    # what the model says must happen

    def published(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        if retain:
            self.kept[topic] = (payload, qos)
            for person in self.people.values():
                person.lapse(topic=topic, news=payload, qos=qos)
        for person in self.people.values():
            granted = [q for f, q in person.subscriptions.items() if matches(f, topic)]
            if granted and person.session:
                at = min(qos, max(granted))
                if at or person.client is not None:
                    person.due[at].append(payload)

    def session_ends(self, person: Person) -> None:
        person.forget()
        for topic, payload, retain in person.unreleased.values():
            self.published(topic, payload, 2, retain)
        person.unreleased.clear()

    def gone(self, person: Person, with_will: bool) -> None:
        assert person.client is not None
        person.client = None
        person.owed.clear()
        if with_will:
            self.published(f"will/{person.name}", person.will, 1)
        if not person.stays:
            self.session_ends(person)

    # what clients do

    @rule(
        name=names,
        version=st.sampled_from([V311, V5]),
        clean=st.booleans(),
        stays=st.booleans(),
        window=st.integers(1, 4),
    )
    def connect(self, name: str, version: Version, clean: bool, stays: bool, window: int) -> None:
        person = self.people[name]
        if version is V311:
            clean = not stays
        if person.client is not None:
            self.read(name, False)
            before = person.client
            self.gone(person, True)
        else:
            before = None
        if clean and person.session:
            self.session_ends(person)
        given: dict[str, object] = {}
        if version is V5:
            given = {"session_expiry_interval_s": 600 if stays else 0, "receive_maximum": window}
        will = self.payload()
        client = self.world.connected(
            name, version, clean, will=Will(f"will/{name}", will, 1), **given
        )
        assert client.connack is not None
        assert client.connack.session_present == person.session
        assert before is None or before.closed
        person.client, person.stays, person.session, person.will = client, stays, True, will
        client._next_id = max(person.unreleased, default=0)

    def connected(self) -> bool:
        return any(person.client for person in self.people.values())

    def present(self, name: str) -> Person | None:
        """This one, or else another who is connected, so that most steps do something."""
        here = [person for person in self.people.values() if person.client is not None]
        return next((each for each in here if each.name == name), here[0] if here else None)

    @rule(name=names, politely=st.booleans(), acknowledging=st.booleans())
    def leave(self, name: str, politely: bool, acknowledging: bool) -> None:
        person = self.people[name]
        if person.client is None:
            return
        self.read(name, acknowledging)
        client = person.client
        if politely:
            client.send(Disconnect())
        client.lose()
        self.gone(person, not politely)

    @rule(name=names, topic_filter=filters, qos=qos)
    def subscribe(self, name: str, topic_filter: str, qos: int) -> None:
        person = self.present(name)
        if person is not None and person.client is not None:
            self.read(person.name, False)
            person.client.subscribe(topic_filter, qos)
            person.lapse(topic_filter)
            person.subscriptions[topic_filter] = qos
            for topic, (payload, at) in self.kept.items():
                if matches(topic_filter, topic):
                    person.greetings.append((topic_filter, topic, payload, min(qos, at)))

    @rule(name=names, topic_filter=filters)
    def unsubscribe(self, name: str, topic_filter: str) -> None:
        person = self.present(name)
        if person is not None and person.client is not None:
            self.read(person.name, False)
            person.client.send(Unsubscribe(9, (topic_filter,)))
            person.client.box = person.client.take()[:-1]
            person.lapse(topic_filter)
            person.subscriptions.pop(topic_filter, None)

    @rule(name=names, topic=topics, qos=qos, retain=st.booleans(), count=st.integers(1, 4))
    @precondition(connected)
    def publish(self, name: str, topic: str, qos: int, retain: bool, count: int) -> None:
        person = self.present(name)
        if person is None or person.client is None:
            return
        packets = []
        for _ in range(count):
            packet_id = person.client.packet_id() if qos else 0
            packet = Publish(topic, self.payload(), qos, retain, packet_id=packet_id)
            packets.append(packet)
            if qos == 2:
                person.unreleased[packet_id] = (topic, packet.payload, retain)
            else:
                self.published(topic, packet.payload, qos, retain)
        person.client.send(*packets)

    @rule(name=names, again=st.booleans())
    def release(self, name: str, again: bool) -> None:
        person = self.people[name]
        if person.client is None:
            return
        for packet_id, (topic, payload, retain) in list(person.unreleased.items()):
            if again:
                person.client.send(Publish(topic, payload, 2, retain, True, packet_id))
            del person.unreleased[packet_id]
            self.published(topic, payload, 2, retain)
            person.client.send(PubRel(packet_id))

    @rule(name=names, acknowledging=st.booleans())
    def read(self, name: str, acknowledging: bool) -> None:
        """Takes what came; says what is owed, or keeps it for later."""
        person = self.people[name]
        while person.client is not None:
            came = person.client.take()
            for packet in came:
                self.heard(person, packet)
            if not acknowledging or not person.owed:
                return
            owed, person.owed = person.owed, []
            person.client.send(*owed)

    def heard(self, person: Person, packet: Packet) -> None:
        match packet:
            case Publish():
                if packet.qos == 1:
                    person.owed.append(PubAck(packet.packet_id))
                if packet.qos == 2:
                    person.owed.append(PubRec(packet.packet_id))
                    if packet.packet_id in person.held:
                        assert packet.dup, "an id used again while the client holds it"
                        return
                    person.held.add(packet.packet_id)
                if packet.retain:
                    person.greeted.append((packet.payload, packet.qos))
                    return
                got = person.got[packet.qos]
                if packet.qos == 1 and packet.payload in got:
                    assert packet.dup, "twice, and not marked"
                    return
                got.append(packet.payload)
            case PubRel():
                person.held.discard(packet.packet_id)
                person.owed.append(PubComp(packet.packet_id))

    def teardown(self) -> None:
        """Everybody is back, acknowledges all, and has what was promised: all, once, in order."""
        for person in self.people.values():
            if person.client is None and person.session:
                self.connect(person.name, V5, False, True, 2)
        for _ in NAMES:
            for name in NAMES:
                self.read(name, True)
        for person in self.people.values():
            if person.client is not None:
                assert person.got == person.due
                wanted = [greeting[2:] for greeting in person.greetings]
                came, may_come = Counter(person.greeted), Counter(wanted + person.lapsed)
                for greeting in came:
                    if greeting[1] == 1:  # QoS 1 may come twice
                        came[greeting] = may_come[greeting] or came[greeting]
                assert not Counter(wanted) - came, "a greeting did not come"
                assert not came - may_come, "a greeting came that was not due"
        assert self.world.broker.waiting() == 0


TestPromises = Promises.TestCase
TestPromises.settings = settings(repeatable, max_examples=250, stateful_step_count=50)
TestPromises.pytestmark = [pytest.mark.slow]  # type: ignore[attr-defined]
