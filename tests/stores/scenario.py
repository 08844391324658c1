"""What a recorded store holds, said by the clients that made it, and asked for by those that find it.

    fill     against an empty gateway: everything that a store of the first durable version can hold
    check    against a gateway that was started on the store: all of it is there, and goes on
    fill_later, check_later    the same for what came after it: groups and subscription identifiers

Speaks to a gateway through its door and its control socket only, and with packets that every version
has, so that an older version can be filled and asked as well.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from gateway.mqtt.encode import encode
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
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason
from tests.gateways import Gateway
from tests.numbered.peer import V5, V311, connection, packets

P = TypeVar("P")

NAME = "recorded"  # of the gateway: the store belongs to its board
NEVER_S = 0xFFFFFFFF
DAY_S = 86_400
PASSWORD = "correct horse battery"
RICH = Properties(
    message_expiry_interval_s=DAY_S,
    payload_format_indicator=1,
    content_type="text/plain",
    response_topic="to/me",
    correlation_data=b"\x00\x01",
    user_properties=(("a", "1"), ("a", "2")),
)


class Client:
    """A client that says and expects one packet after the other."""

    def __init__(self, gateway: Gateway, client_id: str, version: Version = V5) -> None:
        self._line = connection((gateway.host, gateway.port))
        self._version = version
        self._packets = packets(self._line, version, lambda: True)
        self.client_id = client_id
        self.present = False

    def connect(self, clean: bool = False, **options: object) -> "Client":
        """Comes in to a session that stays, or with `clean` begins one that does not."""
        properties = NO_PROPERTIES
        if self._version is V5:
            receive_maximum = options.pop("receive_maximum", None)
            expiry_s = 0 if clean else NEVER_S
            properties = Properties(
                session_expiry_interval_s=expiry_s,
                receive_maximum=receive_maximum,  # type: ignore[arg-type]
            )
        self.say(
            Connect(self._version, self.client_id, clean, 60, properties=properties, **options)
        )  # type: ignore[arg-type]
        answer = self.expect(ConnAck)
        assert answer.reason == Reason.SUCCESS, answer
        self.present = answer.session_present
        return self

    def say(self, packet: Packet) -> None:
        self._line.sendall(encode(packet, self._version))

    def expect(self, kind: type[P]) -> P:
        """The next packet, which is one of these."""
        for _ in range(200):  # ten seconds
            packet = next(self._packets)
            if packet is not None:
                assert isinstance(packet, kind), packet
                return packet
        raise AssertionError(f"{self.client_id}: no {kind.__name__}")

    def subscribe(self, topic_filter: str, qos: int, identifier: int = 0) -> None:
        properties = (
            Properties(subscription_identifiers=(identifier,)) if identifier else NO_PROPERTIES
        )
        self.say(Subscribe(1, (Subscription(topic_filter, qos),), properties))
        assert self.expect(SubAck).reasons == (qos,)

    def publish(self, topic: str, payload: bytes, qos: int, **options: object) -> None:
        """To the end, so that it is on disk."""
        self.say(Publish(topic, payload, qos, packet_id=7, **options))  # type: ignore[arg-type]
        if qos == 1:
            assert self.expect(PubAck).reason < 0x80
        else:
            assert self.expect(PubRec).reason < 0x80
            self.say(PubRel(7))
            self.expect(PubComp)

    def take(self, *expected: tuple[str, bytes, int]) -> dict[bytes, Publish]:
        """The next messages are these, in any order: topic, payload, QoS. Acknowledges them to the end.

        By payload. There is no order between QoS 1 and 2.
        """
        messages = [self.expect(Publish) for _ in expected]
        came = sorted((each.topic, each.payload, each.qos) for each in messages)
        assert came == sorted(expected), came
        for message in messages:
            if message.qos == 1:
                self.say(PubAck(message.packet_id))
            elif message.qos == 2:
                self.say(PubRec(message.packet_id))
                self.say(PubComp(self.expect(PubRel).packet_id))
        return {each.payload: each for each in messages}

    def lose(self) -> None:
        self._line.close()


@contextlib.contextmanager
def client(
    gateway: Gateway, client_id: str, clean: bool = False, version: Version = V5, **options: object
) -> Iterator[Client]:
    """A client for as long as the block runs; its session stays, unless it is clean."""
    found = Client(gateway, client_id, version)
    try:
        yield found.connect(clean, **options)
    finally:
        found.lose()


def fill(gateway: Gateway) -> None:
    """Everything is on disk when this returns; nobody is connected."""
    arguments = {"user": "ann", "password": PASSWORD, "groups": "staff"}
    assert gateway.ask({"command": "user add", "arguments": arguments})["ok"]
    with client(gateway, "queued") as queued, client(gateway, "old", version=V311) as old:
        queued.subscribe("q/#", 2)
        old.subscribe("q/+", 1)
    with client(gateway, "watcher") as watcher:
        watcher.subscribe("w/#", 1)
    with client(gateway, "p", clean=True) as publisher:
        publisher.publish("q/1", b"plain", 1)
        publisher.publish("q/1", b"rich", 1, properties=RICH)
        publisher.publish("q/2", b"twice", 2)
        publisher.publish("keep/1", b"first", 1, retain=True)
        publisher.publish("keep/1", b"last", 1, retain=True)
        publisher.publish("keep/gone", b"x", 1, retain=True)
        publisher.publish("keep/gone", b"", 1, retain=True)
        publisher.publish("keep/2", b"two", 2, retain=True, properties=RICH)
    with client(gateway, "storing") as storing:
        storing.say(Publish("q/stored", b"stored", 2, packet_id=9))
        storing.expect(PubRec)
    _fill_inflight(gateway)
    delay = Properties(will_delay_interval_s=DAY_S)
    with client(gateway, "mortal", will=Will("w/delayed", b"will", 1, properties=delay)):
        pass
    with client(gateway, "p", clean=True) as publisher:  # behind all that rides
        publisher.publish("q/end", b"end", 1)


def _fill_inflight(gateway: Gateway) -> None:
    """One of each state: PUBREC came, sent at QoS 2, sent at QoS 1, waiting."""
    with client(gateway, "inflight", receive_maximum=3) as inflight:
        inflight.subscribe("i/#", 2)
        with client(gateway, "p", clean=True) as publisher:
            publisher.publish("i/received", b"0", 2)
            publisher.publish("i/twice", b"1", 2)
            publisher.publish("i/once", b"2", 1)
            publisher.publish("i/waits", b"3", 1)
        for topic in ("i/received", "i/twice", "i/once"):
            message = inflight.expect(Publish)
            assert message.topic == topic, message
            assert message.packet_id == PACKET_IDS[topic], message
        inflight.say(PubRec(PACKET_IDS["i/received"]))
        inflight.expect(PubRel)


PACKET_IDS = {"i/received": 1, "i/twice": 2, "i/once": 3}  # of a new session


def check(gateway: Gateway) -> None:
    """Raises AssertionError for whatever of it is not there."""
    with client(gateway, "ann", clean=True, username="ann", password=PASSWORD.encode()):
        pass
    _check_retained(gateway)
    _check_inflight(gateway)
    with client(gateway, "queued") as queued:
        assert queued.present
        found = queued.take(
            ("q/1", b"plain", 1), ("q/1", b"rich", 1), ("q/2", b"twice", 2), ("q/end", b"end", 1)
        )
        rich = found[b"rich"].properties
        left_s = rich.message_expiry_interval_s
        assert left_s is not None and 0 < left_s <= DAY_S
        assert rich == replace(RICH, message_expiry_interval_s=left_s)
        with client(gateway, "storing") as storing:
            assert storing.present
            storing.say(PubRel(9))
            assert storing.expect(PubComp).reason == Reason.SUCCESS
        queued.take(("q/stored", b"stored", 2))
    with client(gateway, "old", version=V311) as old:
        assert old.present
        for payload in (b"plain", b"rich", b"twice", b"end", b"stored"):
            assert old.expect(Publish).payload == payload
    with client(gateway, "watcher") as watcher:
        assert watcher.present
        with client(gateway, "mortal", clean=True):  # its session ends, and so does the delay
            watcher.take(("w/delayed", b"will", 1))
    aside = [
        line for line in gateway.log().splitlines() if "set aside" in line or "kept as" in line
    ]
    assert not aside, aside


def _check_retained(gateway: Gateway) -> None:
    with client(gateway, "r", clean=True) as reader:
        reader.say(Subscribe(1, (Subscription("keep/#", 2),)))
        reader.expect(SubAck)
        found = [reader.expect(Publish) for _ in range(2)]
        assert {each.topic: each.payload for each in found} == {"keep/1": b"last", "keep/2": b"two"}
        reader.subscribe("keep/gone", 1)
        with client(gateway, "p", clean=True) as publisher:
            publisher.publish("keep/gone", b"new", 1)
        reader.take(("keep/gone", b"new", 1))  # nothing was shown before it


def _check_inflight(gateway: Gateway) -> None:
    with client(gateway, "inflight", receive_maximum=3) as inflight:
        assert inflight.present
        assert inflight.expect(PubRel).packet_id == PACKET_IDS["i/received"]
        for topic in ("i/twice", "i/once"):
            message = inflight.expect(Publish)
            assert (message.topic, message.dup) == (topic, True), message
            assert message.packet_id == PACKET_IDS[topic], message
        inflight.say(PubComp(PACKET_IDS["i/received"]))
        inflight.take(("i/waits", b"3", 1))


def fill_later(gateway: Gateway) -> None:
    """What the first durable version knows nothing of."""
    with client(gateway, "shares") as shares, client(gateway, "named") as named:
        shares.subscribe("$share/g/s/#", 2, identifier=5)
        named.subscribe("s/#", 1, identifier=6)
    with client(gateway, "p", clean=True) as publisher:
        publisher.publish("s/1", b"shared", 2)


def check_later(gateway: Gateway, rewritten: bool = False) -> None:
    """Of `fill_later`, and that the subscriptions go on.

    `rewritten`: by the first durable version, which writes every subscription anew when it starts, and
    so without its identifier. What is queued keeps its own.
    """
    with client(gateway, "shares") as shares, client(gateway, "named") as named:
        assert shares.present and named.present
        _check_identifiers(shares, named, b"shared", 5, 6)
        with client(gateway, "p", clean=True) as publisher:
            publisher.publish("s/1", b"new", 2)
        _check_identifiers(shares, named, b"new", *((0, 0) if rewritten else (5, 6)))


def _check_identifiers(
    shares: Client, named: Client, payload: bytes, of_group: int, of_named: int
) -> None:
    for member, qos, identifier in ((shares, 2, of_group), (named, 1, of_named)):
        message = member.take(("s/1", payload, qos))[payload]
        expected = (identifier,) if identifier else ()
        assert message.properties.subscription_identifiers == expected, message
