"""A small PUBLISH that is all there is in a read (gateway/broker/alone.py)."""

import pytest

from gateway.broker import alone
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Packet, PubAck, Publish, PubRec, Subscribe, Subscription, Version
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V5, V311, Client, World


def takes(client: Client, packet: Packet) -> bool:
    """Whether the short road takes what the client says, as it does with a read."""
    return alone.publish(client.connection, encode(packet, client.version))


def pair(sender: Version, topic_filter: str = "t", qos: int = 1) -> tuple[Client, Client]:
    """A subscriber that a message has reached, so that its route is known, and its publisher."""
    world = World()
    subscriber, publisher = world.connected("s", V311), world.connected("p", sender)
    subscriber.subscribe(topic_filter, qos)
    publisher.publish("t")
    assert subscriber.payloads() == [b"x"]
    return subscriber, publisher


def acknowledged(publisher: Client, packet_id: int) -> bool:
    return publisher.take() == [PubAck(packet_id)]


@EVERY_VERSION
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_it_arrives_and_is_acknowledged(version: Version, qos: int) -> None:
    subscriber, publisher = pair(version, qos=qos)
    vitals = publisher.world.broker.vitals
    before = vitals.messages_in, vitals.messages_out
    assert takes(publisher, Publish("t", b"alone", 1, packet_id=7))
    assert acknowledged(publisher, 7)
    came = subscriber.take()
    assert came == [Publish("t", b"alone", min(qos, 1), packet_id=1 if qos else 0)]
    assert (vitals.messages_in, vitals.messages_out) == (before[0] + 1, before[1] + 1)


def test_a_connection_sends_what_comes_alone_down_this_road() -> None:
    subscriber, publisher = pair(V311)
    publisher.connection._moves.legal = {}  # and no other
    publisher.connection._moves.lanes = {}
    for packet_id in (1, 2):
        publisher.publish("t", b"alone", 1, packet_id=packet_id)
        assert acknowledged(publisher, packet_id)
    assert subscriber.payloads() == [b"alone"] * 2


def test_what_nobody_hears_is_acknowledged_and_counted() -> None:
    world = World()
    publisher = world.connected("p", V311)
    publisher.publish("t")
    assert takes(publisher, Publish("t", b"alone", 1, packet_id=7))
    assert acknowledged(publisher, 7)
    assert world.broker.vitals.messages_in == 2
    assert world.broker.vitals.messages_out == 0


def test_a_5_0_client_is_told_that_nobody_hears_it() -> None:
    world = World()
    publisher = world.connected("p", V5)
    for packet_id in (1, 2):
        publisher.publish("t", b"alone", 1, packet_id=packet_id)
        assert publisher.take() == [PubAck(packet_id, Reason.NO_MATCHING_SUBSCRIBERS)]


@pytest.mark.parametrize("special", [{"content_type": "text"}, {"message_expiry_interval_s": 9}])
def test_what_has_properties_takes_another_road(special: dict[str, object]) -> None:
    subscriber, publisher = pair(V5)
    told = Properties(**special)  # type: ignore[arg-type]
    assert not takes(publisher, Publish("t", b"x", 1, False, False, 7, told))
    publisher.send(Publish("t", b"alone", 1, False, False, 8, told))
    assert subscriber.payloads() == [b"alone"]


@EVERY_VERSION
def test_its_topic_must_end_within_it(version: Version) -> None:
    subscriber, publisher = pair(version)
    publisher.send_bytes(b"\x32\x04\x00\x09t\x00")
    assert publisher.closed
    assert subscriber.take() == []


@EVERY_VERSION
@pytest.mark.parametrize("packet_id", [b"", b"\x07", b"\x00\x00"])
def test_its_packet_id_must_be_whole_and_not_0(version: Version, packet_id: bytes) -> None:
    subscriber, publisher = pair(version, "#")
    publisher.publish("topic")
    assert subscriber.payloads() == [b"x"]
    body = b"\x00\x05topic" + packet_id
    publisher.send_bytes(b"\x32" + bytes((len(body),)) + body)
    assert publisher.closed
    assert subscriber.take() == []


def test_a_packet_that_has_not_come_whole_waits_for_its_rest() -> None:
    subscriber, publisher = pair(V311)
    whole = encode(Publish("t", b"x" * 126, 1, packet_id=7), V311)  # a length of two bytes
    for cut in (6, 1 + whole[1], len(whole) - 1):
        publisher.send_bytes(whole[:cut])
        assert publisher.take() == []
        publisher.send_bytes(whole[cut:])
        assert acknowledged(publisher, 7)
        assert subscriber.payloads() == [b"x" * 126]


def test_a_length_of_two_bytes_is_not_taken_for_one() -> None:
    subscriber, publisher = pair(V311)
    # read as one byte, its length is that of this read
    part = encode(Publish("t", bytes(3 * 128), 1, packet_id=7), V311)
    publisher.send_bytes(part[: 2 + part[1]])
    assert publisher.take() == []
    assert subscriber.take() == []


def test_the_barrier_holds_it() -> None:
    subscriber, publisher = pair(V311)
    world = publisher.world
    world.broker.hold()
    publisher.publish("t", b"alone", 1, packet_id=7)
    assert publisher.take() == []
    world.broker.unhold(world.now)
    assert acknowledged(publisher, 7)
    assert subscriber.payloads() == [b"alone"]


def test_it_is_not_acknowledged_before_what_waits() -> None:
    subscriber, publisher = pair(V311)
    ticket = publisher.connection.ticket()
    ticket.hold()
    publisher.publish("t", b"first", 1, packet_id=1)
    publisher.publish("t", b"second", 1, packet_id=2)
    assert publisher.take() == []
    ticket.release()
    assert publisher.take() == [PubAck(1), PubAck(2)]
    assert subscriber.payloads() == [b"first", b"second"]


def test_what_must_reach_the_disk_takes_another_road() -> None:
    subscriber, publisher = pair(V311)
    session = subscriber.connection.session
    assert session is not None
    session.number = 1
    publisher.world.broker.state.routes.cache.clear()
    publisher.publish("t")
    assert not takes(publisher, Publish("t", b"x", 1, packet_id=7))


def test_a_5_0_client_with_unreleased_messages_is_counted_on_another_road() -> None:
    _, publisher = pair(V5)
    publisher.publish("t", b"x", 2, packet_id=7)
    assert publisher.take() == [PubRec(7)]
    assert not takes(publisher, Publish("t", b"x", 1, packet_id=8))


def test_each_of_several_subscribers_gets_what_it_asked_for() -> None:
    subscriber, publisher = pair(V311)
    world = publisher.world
    own = world.connected("v", V5)
    own.send(Subscribe(9, (Subscription("t", 1),), Properties(subscription_identifiers=(3,))))
    own.take()
    publisher.send(Subscribe(9, (Subscription("t", 1),)))
    publisher.publish("t")
    publisher.take(), own.take(), subscriber.take()
    assert takes(publisher, Publish("t", b"alone", 1, packet_id=7))
    assert publisher.take() == [Publish("t", b"alone", 1, packet_id=1), PubAck(7)]
    assert subscriber.payloads() == [b"alone"]
    identified = Properties(subscription_identifiers=(3,))
    assert own.take() == [Publish("t", b"alone", 1, False, False, 1, identified)]
