"""What is counted is what passes on the wire (gateway/broker/vitals.py).

Here every byte to and from the clients is split and counted beside the broker's own counting.
"""

import pytest

from gateway.arrival import Arrival
from gateway.broker.connection import State
from gateway.broker.delivery import arrived
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from tests.broker.world import (
    EVERY_VERSION,
    PACKET_BYTES_MAX,
    V5,
    V311,
    Client,
    OneElsewhere,
    World,
)

LENGTHS = (0, 5, 5, 5, 130, 130, 7, 20_000)  # each byte count of a length, and runs of one length
WHOLE, SINGLE, PIECES = "all in one read", "one packet a read", "a few bytes a read"


class Wire:
    """Clients of one broker, and the count of what they say and hear."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.packets_in = self.packets_out = self.bytes_in = 0
        self.payload_bytes_in = self.payload_bytes_out = 0

    def say(self, client: Client, *packets: Packet, reads: str = WHOLE) -> None:
        frames = [encode(packet, client.version) for packet in packets]
        data = b"".join(frames)
        if reads == WHOLE:
            frames = [data]
        elif reads == PIECES:
            frames = [data[at : at + 11] for at in range(0, len(data), 11)]
        for frame in frames:
            client.send_bytes(frame)
        self.packets_in += len(packets)
        self.bytes_in += len(data)
        published = [each for each in packets if isinstance(each, Publish)]
        self.payload_bytes_in += sum(len(each.payload) for each in published)

    def hear(self, client: Client) -> list[Packet]:
        data = client.connection.outbox.take()
        frames, rest = split(data, PACKET_BYTES_MAX) if data else ([], 0)
        assert rest == len(data)
        came = [decode(first, data[start:end], client.version) for first, start, end in frames]
        self.packets_out += len(came)
        published = [each for each in came if isinstance(each, Publish)]
        self.payload_bytes_out += sum(len(each.payload) for each in published)
        return came

    def answer(self, client: Client, reads: str = WHOLE) -> list[Packet]:
        """Acknowledges all that comes until nothing more comes."""
        heard = []
        while came := self.hear(client):
            heard += came
            acks: list[Packet] = []
            for packet in came:
                match packet:
                    case Publish(qos=1):
                        acks.append(PubAck(packet.packet_id))
                    case Publish(qos=2):
                        acks.append(PubRec(packet.packet_id))
                    case PubRel():
                        acks.append(PubComp(packet.packet_id))
            self.say(client, *acks, reads=reads)
        return heard

    def client(self, name: str, version: Version) -> Client:
        """One that has its CONNACK."""
        client = self.caller(name, version, kept=False)
        self.hear(client)
        return client

    def caller(self, name: str, version: Version, kept: bool = True) -> Client:
        """One that has said CONNECT."""
        client = self.world.client(name, version)
        expiry = kept and version is V5
        given = Properties(session_expiry_interval_s=600) if expiry else NO_PROPERTIES
        self.say(client, Connect(version, name, not kept, 0, None, None, None, given))
        return client

    def check(self) -> None:
        vitals = self.world.broker.vitals
        assert vitals.packets_in == self.packets_in
        assert vitals.packets_out() == self.packets_out
        assert vitals.bytes_in == self.bytes_in
        assert vitals.payload_bytes_in == self.payload_bytes_in
        assert vitals.payload_bytes_out == self.payload_bytes_out


def messages(topic: str, qos: int, first_id: int = 1) -> list[Publish]:
    ids = range(first_id, first_id + len(LENGTHS))
    return [
        Publish(topic, b"x" * length, qos, packet_id=packet_id if qos else 0)
        for length, packet_id in zip(LENGTHS, ids, strict=True)
    ]


@EVERY_VERSION
@pytest.mark.parametrize("reads", [WHOLE, SINGLE, PIECES])
def test_packets_and_payloads_are_counted_on_every_road(version: Version, reads: str) -> None:
    wire = Wire(World())
    publisher, total = wire.client("p", version), 0
    hearers = [wire.client(f"{other.name}{qos}", other) for other in (V311, V5) for qos in range(3)]
    for number, hearer in enumerate(hearers):
        wire.say(hearer, Subscribe(1, (Subscription("t/#", number % 3),)))
        wire.hear(hearer)
    for qos in (0, 1, 2, 0, 1, 2):  # the second time the route is known
        said = [*messages("t/a", qos), *messages("t/b", qos, 20), *messages("nobody", qos, 40)]
        wire.say(publisher, *said, reads=reads)
        if qos == 2:
            wire.say(publisher, *(PubRel(each.packet_id) for each in said), reads=reads)
        wire.hear(publisher)
        for hearer in hearers:
            wire.answer(hearer, reads)
        total += len(said)
        assert wire.world.broker.vitals.messages_in == total
        wire.check()
    wire.say(publisher, PingReq(), Unsubscribe(9, ("t",)), Disconnect())
    assert isinstance(wire.hear(publisher)[0], PingResp)
    wire.check()


@EVERY_VERSION
def test_what_is_sent_again_counts_again(version: Version) -> None:
    wire = Wire(World())
    hearer, publisher = wire.caller("h", version), wire.client("p", version)
    wire.say(hearer, Subscribe(1, (Subscription("t", 2),)))
    wire.hear(hearer)
    wire.say(publisher, *messages("t", 1), Publish("t", b"1234567", 2, packet_id=90), PubRel(90))
    wire.hear(publisher)
    twice = [each.packet_id for each in wire.hear(hearer) if isinstance(each, Publish)][-1]
    wire.say(hearer, PubRec(twice))
    wire.hear(hearer)
    hearer.lose()
    before = wire.packets_out
    again = wire.answer(wire.caller("h", version))
    assert [each.dup for each in again if isinstance(each, Publish)] == [True] * len(LENGTHS)
    assert PubRel(twice) in again
    assert wire.packets_out - before == 1 + len(LENGTHS) + 1, "with CONNACK"
    wire.check()


def test_an_acknowledgement_counts_when_it_leaves() -> None:
    elsewhere = OneElsewhere("t")
    wire = Wire(World(elsewhere=elsewhere))
    publisher = wire.client("p", V5)
    wire.say(publisher, *messages("t", 1))
    assert wire.hear(publisher) == []
    wire.check()
    elsewhere.peer.take_all()
    assert len(wire.hear(publisher)) == len(LENGTHS)
    wire.check()


def test_messages_of_another_gateway_count_by_the_length_of_each() -> None:
    wire = Wire(World())
    hearers = [wire.client(version.name, version) for version in (V311, V5)]
    for hearer in hearers:
        wire.say(hearer, Subscribe(1, (Subscription("t", 0),)))
        wire.hear(hearer)
    came = [Message("t", topic_field("t"), b"x" * length, 0, False) for length in LENGTHS]
    arrived(wire.world.broker.state, came, Arrival())
    for hearer in hearers:
        assert len(wire.hear(hearer)) == len(LENGTHS)
    wire.check()
    assert wire.world.broker.vitals.messages_in == 0


def test_a_packet_that_breaks_the_protocol_counts_and_what_is_behind_it_does_not() -> None:
    wire = Wire(World())
    client = wire.client("a", V5)
    ping, pong = encode(PingReq(), V5), encode(PingResp(), V5)
    client.send_bytes(ping + pong + ping)
    assert client.connection.state is State.CLOSED
    wire.packets_in += 2
    wire.bytes_in += 6
    assert [type(each) for each in wire.hear(client)] == [PingResp, Disconnect]
    wire.check()


def test_the_topics_say_what_was_counted_by_hand() -> None:
    """What Mosquitto 2.0 says after the first lines: 7 packets received, 5 sent, 11 bytes of payload."""
    world = World()
    first = world.connected("a", V311)
    first.publish("t", b"hello", 1)
    first.disconnect()
    second = world.connected("b", V311)
    second.send(PubRel(second.publish("t", b"hello2", 2)))
    second.disconnect()
    watcher, values = world.connected("w"), {}
    world.pass_s(60)
    for name in ("messages/received", "messages/sent", "publish/bytes/received", "load/messages/#"):
        watcher.subscribe("$SYS/broker/" + name)
        values.update({each.topic[12:]: each.payload.decode() for each in watcher.messages()})
    assert values["messages/received"] == "8", "with CONNECT; SUBSCRIBE is at work"
    assert values["messages/sent"] == "9", "with CONNACK, two SUBACKs and the figure before"
    assert values["publish/bytes/received"] == "11"
    assert 2 < float(values["load/messages/received/1min"]) < 8
    assert 0 < float(values["load/messages/sent/15min"]) < 1
    assert len([name for name in values if name.startswith("load")]) == 6
