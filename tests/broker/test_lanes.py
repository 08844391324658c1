"""The short roads give what the long way gives (gateway/broker/lanes.py)."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker import lanes
from gateway.broker.broker import Broker
from gateway.broker.connection import Lane
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Version,
)
from gateway.mqtt.properties import Properties
from tests.broker.test_any_bytes import connect, conversations, heard
from tests.broker.world import V5, V311, Client, World
from tests.mqtt.strategies import repeatable


def world_with(roads: Mapping[int, Lane]) -> World:
    """Without any roads there is none for a packet alone, either."""
    world = World()
    connection = world.broker.entrance.open("192.0.2.1", True, world.now)
    connection._moves.lanes = roads  # shared by every connection of this broker
    if not roads:
        connection._moves.alone = {}
    connection.lost(world.now)
    return world


def listeners(world: World) -> list[Client]:
    everything, old, narrow, mine = (
        world.connected("w"),
        world.connected("o", V311),
        world.connected("n", maximum_packet_size_bytes=130),
        world.connected("m", receive_maximum=2),
    )
    everything.subscribe("#", 2)
    old.subscribe("a/#", 1)
    narrow.subscribe("a", 1)
    mine.subscribe("a/b", 1, no_local=True)
    return [everything, old, narrow, mine]


@pytest.mark.slow
@repeatable
@given(data=st.data(), version=st.sampled_from(Version))
def test_the_same_traffic_with_and_without_the_short_roads(
    data: st.DataObject, version: Version
) -> None:
    runs = data.draw(st.lists(conversations(version), max_size=6))
    acked = data.draw(st.lists(st.integers(0, 3), max_size=6))
    answers = []
    for roads in (lanes.LANES, {}):
        world = world_with(roads)
        clients = [*listeners(world), world.client("c", version)]
        clients[-1].send(connect(version))
        said: list[list[list[Packet]]] = []
        for number, packets in enumerate(runs):
            # a second time, so that the routes of the first are known
            clients[-1].send(*packets)
            clients[-1].send(*packets)
            for packet in packets:
                clients[-1].send(packet)
            for index, client in enumerate(clients):
                answer = heard(client)
                said.append(answer)
                if number < len(acked) and acked[number] >= index:
                    messages = [each for each in answer[1] if isinstance(each, Publish)]
                    client.send(*(PubAck(each.packet_id) for each in messages if each.qos == 1))
                    said.append(heard(client))
                    twice = [each.packet_id for each in messages if each.qos == 2]
                    client.send(*map(PubRec, twice))
                    said.append(heard(client))
                    client.send(*map(PubComp, twice))
                    said.append(heard(client))
        answers.append((said, world.broker.vitals.counters(), world.broker.waiting()))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("sender", Version)
@pytest.mark.parametrize("receiver", Version)
def test_frames_of_several_topics_and_lengths_in_one_read(
    sender: Version, receiver: Version
) -> None:
    world = World()
    subscriber, publisher = world.connected("s", receiver), world.connected("p", sender)
    subscriber.send(Subscribe(1, (Subscription("#", 1),)))
    messages = [
        Publish(topic, payload, qos, packet_id=number + 1 if qos else 0)
        for number, (topic, payload, qos) in enumerate(
            (topic, payload, qos)
            for payload in (b"", b"1", b"2", bytes(120), bytes(130), bytes(70_000))
            for topic in ("a", "a", "b")
            for qos in (0, 0, 1, 1)
        )
    ]
    for _ in range(2):
        publisher.send(*messages)
        came = [packet for packet in subscriber.take() if isinstance(packet, Publish)]
        subscriber.send(*(PubAck(each.packet_id) for each in came if each.qos))
        given = [(each.topic, each.payload, each.qos) for each in came]
        assert given == [(each.topic, each.payload, each.qos) for each in messages]


def test_properties_among_plain_frames_do_not_become_payload() -> None:
    world = World()
    old, publisher = world.connected("o", V311), world.connected("p")
    old.subscribe("t", 1)
    told = Properties(content_type="text")
    for qos in (0, 1):
        packet_id = 7 if qos else 0
        plain = Publish("t", b"x", qos, packet_id=packet_id)
        special = Publish("t", b"x", qos, False, False, packet_id, told)
        publisher.send(plain)
        publisher.send(plain, special, plain, special)
        assert old.payloads() == [b"x"] * 5


def test_a_topic_that_reaches_beyond_its_frame_is_malformed() -> None:
    world = World()
    subscriber, publisher = world.connected("s", V311), world.connected("p", V311)
    subscriber.subscribe("#")
    topic = "a0 " + "x" * 6
    publisher.publish(topic, b"warm")
    assert subscriber.payloads() == [b"warm"]
    # a frame of three bytes whose topic claims nine: with the next frame's it would be the known one
    publisher.send_bytes(b"\x30\x03\x00\x09a" + b"0 " + b"x" * 32)
    assert publisher.closed
    assert subscriber.take() == []


def test_a_packet_id_of_0_is_no_acknowledged_message() -> None:
    for version in (V311, V5):
        world = World()
        subscriber, publisher = world.connected("s"), world.connected("p", version)
        subscriber.subscribe("t")
        good = encode(Publish("t", b"x", 1, packet_id=1), version)
        bad = good.replace(b"t\x00\x01", b"t\x00\x00")
        publisher.send_bytes(good)
        publisher.send_bytes(good + bad + good)
        assert publisher.closed
        assert subscriber.payloads() == [b"x", b"x"]


def test_a_broker_has_the_short_roads() -> None:
    world = World()
    assert isinstance(world.broker, Broker)
    connection = world.broker.entrance.open("", True, world.now)
    assert set(connection._moves.lanes) == {0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70}


@pytest.mark.slow
@repeatable
@given(data=st.data(), version=st.sampled_from(Version))
def test_messages_of_qos_2_with_and_without_the_short_roads(
    data: st.DataObject, version: Version
) -> None:
    """Of several topics, sent again, released in any order: what was said, and what is left."""
    topics = st.sampled_from(["a", "b"])
    payloads = st.sampled_from([b"1", b"2", bytes(130)])
    options = st.booleans() if version is V5 else st.just(False)
    publish = st.builds(
        lambda topic, payload, packet_id, retain, told: Publish(
            *(topic, payload, 2, retain, False, packet_id),
            Properties(content_type="text", message_expiry_interval_s=9) if told else Properties(),
        ),
        *(topics, payloads, st.integers(1, 9), st.sampled_from([False, False, True]), options),
    )
    plain = st.builds(lambda n: Publish("a", b"%d" % (n % 10), 2, packet_id=n), st.integers(1, 40))
    rel = st.builds(PubRel, st.integers(1, 40))
    reads = data.draw(
        st.lists(st.lists(st.one_of(plain, rel, rel, publish), max_size=30), max_size=6)
    )
    answers = []
    for roads in (lanes.LANES, {}):
        world = world_with(roads)
        publisher, hearers = world.connected("c", version), listeners(world)
        publisher.publish("a")
        publisher.publish("b")
        said = []
        for packets in reads:
            publisher.send(*packets)
            for client in (publisher, *hearers):
                answer = heard(client)
                said.append(answer)
                twice = [e.packet_id for e in answer[1] if isinstance(e, Publish) and e.qos == 2]
                client.send(*map(PubRec, [*twice, *twice[:1], 77]))
                said.append(heard(client))
                client.send(*map(PubComp, twice[::2]))
                said.append(heard(client))
        session = publisher.connection.session
        assert session is not None
        left = (list(session.unreleased), session.unreleased_bytes, world.broker.waiting())
        answers.append((said, left, world.broker.vitals.counters()))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("sender", Version)
@pytest.mark.parametrize("receiver", Version)
def test_a_window_of_qos_2_arrives_once_and_in_order(sender: Version, receiver: Version) -> None:
    world = World()
    subscriber, publisher = world.connected("s", receiver), world.connected("p", sender)
    subscriber.subscribe("t", 2)
    publisher.publish("t")
    assert subscriber.payloads() == [b"x"]
    ids = range(1, 101)
    publisher.send(*(Publish("t", b"%d" % each, 2, packet_id=each) for each in ids))
    assert publisher.take() == [PubRec(each) for each in ids]
    assert subscriber.take() == []  # it is released at PUBREL
    publisher.send(*map(PubRel, ids))
    assert publisher.take() == [PubComp(each) for each in ids]
    came = [each for each in subscriber.take() if isinstance(each, Publish)]
    assert [each.payload for each in came] == [b"%d" % each for each in ids]
    subscriber.send(*(PubRec(each.packet_id) for each in came))
    assert subscriber.take() == [PubRel(each.packet_id) for each in came]
    subscriber.send(*(PubComp(each.packet_id) for each in came))
    assert world.broker.waiting() == 0


@pytest.mark.parametrize("packet", [PubRec(7), PubRel(7), Publish("t", b"x", 2, packet_id=8)])
def test_what_the_disk_keeps_takes_the_long_road(packet: Packet) -> None:
    for number, taken in ((1, 0), (0, 1)):
        world = World()
        client = world.connected("c")
        client.subscribe("t", 2)
        client.publish("t", b"x", 2, packet_id=7)
        client.send(PubRel(7))
        client.publish("t", b"x", 2, packet_id=7)
        session = client.connection.session
        assert session is not None and session.inflight
        session.inflight[7] = session.inflight.pop(1)
        session.number = number
        said = encode(packet, V5)
        lane, frames = lanes.LANES[said[0]], split(said, 100)[0]
        assert lane(client.connection, said, frames, 0) == taken


def test_messages_that_must_reach_the_disk_take_the_long_road() -> None:
    world = World()
    away, publisher = world.connected("a"), world.connected("p")
    away.subscribe("t", 2)
    kept = away.connection.session
    assert kept is not None
    kept.number = 1
    publisher.publish("t")
    publisher.publish("t", b"x", 2, packet_id=7)
    publisher.take()
    for packet in (PubRel(7), Publish("t", b"x", 2, packet_id=8)):
        said = encode(packet, V5)
        lane, frames = lanes.LANES[said[0]], split(said, 100)[0]
        assert lane(publisher.connection, said, frames, 0) == 0


def test_qos_2_of_several_lengths_counts_by_each_length_when_it_is_released_together() -> None:
    world = World()
    watcher, client = world.connected("w", V311), world.connected("c")
    watcher.subscribe("t", 2)
    sizes = (3, 5_000, 70_000, 3, 3)
    for packet_id, size in enumerate(sizes, 1):
        client.send(Publish("t", bytes(size), 2, packet_id=packet_id))
    special = Properties(user_properties=(("a", "b" * 9_000),))
    client.send(Publish("t", bytes(3), 2, packet_id=6, properties=special))
    client.send(*(PubRel(packet_id) for packet_id in range(1, 7)))
    assert world.broker.state.room.used == world.held_bytes() > sum(sizes)
    assert [len(payload) for payload in watcher.acknowledge()] == [*sizes, 3]
    assert world.broker.state.room.used == 0
