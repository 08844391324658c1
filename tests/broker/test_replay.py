"""Retained messages for new subscriptions, at the client's pace (gateway/broker/replay.py)."""

import tracemalloc
from random import Random
from typing import Any

import msgspec
import pytest

from gateway.broker import retained
from gateway.broker.records import Row
from gateway.broker.replay import LEVEL_BYTES
from gateway.broker.slices import SLICE_BYTES, TURN_BYTES
from gateway.config import MqttSection
from gateway.ids import Stamp
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import (
    PubAck,
    Publish,
    PubRec,
    SubAck,
    Subscribe,
    Subscription,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from gateway.mqtt.topics import matches
from tests.broker.kept import KeptWorld, persistent
from tests.broker.world import Client, World

MANY = 1_000
STAYS = {"session_expiry_interval_s": 600}


def stored(world: World, count: int = MANY, qos: int = 1, payload: bytes = b"") -> None:
    for number in range(count):
        world.broker.publish(f"t/{number}", payload or b"%d" % number, qos, True, world.now)


def numbers(count: int = MANY, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, count)]


def acknowledge_one(client: Client) -> bytes:
    (message,) = client.messages()
    client.send(PubAck(message.packet_id))
    return message.payload


def test_a_wildcard_over_a_large_store_fills_no_queue() -> None:
    world = World(MqttSection(queue_messages_max=10))
    stored(world)
    client = world.connected("c", receive_maximum=20)
    client.subscribe("#", 1)
    assert world.broker.waiting() == 20
    assert client.acknowledge() == numbers()
    assert world.broker.vitals.dropped_queue_full == 0
    assert world.broker.waiting() == 0


def test_qos_0_leaves_in_slices_and_waits_for_a_client_that_does_not_read() -> None:
    world = World()
    stored(world, qos=0, payload=bytes(1_000))
    client = world.connected("c")
    client.subscribe("#")
    slice_count = len(client.take())
    assert 0 < slice_count <= SLICE_BYTES // 1_000
    assert world.broker.deadline() <= world.now  # the rest follows in the next turns
    client.subscribe("another")  # not for the asking
    assert client.take() == []
    world.broker.congested(client.connection, True, world.now)
    world.pass_s(1)
    assert client.take() == []
    world.broker.congested(client.connection, False, world.now)
    turn = client.take()
    while world.broker.deadline() <= world.now:
        assert len(turn) <= SLICE_BYTES // 1_000
        slice_count += len(turn)
        world.broker.wake(world.now)
        turn = client.take()
    assert slice_count + len(turn) == MANY
    assert world.broker.vitals.dropped_congested == 0
    assert world.broker.state.sessions["c"].replay is None


def test_one_session_gets_a_slice_in_a_turn_and_all_together_some() -> None:
    world = World()
    stored(world, qos=0, payload=bytes(1_000))
    clients = [world.connected(f"c{number}") for number in range(20)]
    for client in clients:
        client.subscribe("#")
    came = [len(client.take()) for client in clients]
    turns = 1
    while world.broker.deadline() <= world.now:
        world.broker.wake(world.now)
        turn = [len(client.take()) for client in clients]
        assert max(turn) <= SLICE_BYTES // 1_000
        assert sum(turn) <= (TURN_BYTES + SLICE_BYTES) // 1_000
        came = [before + now for before, now in zip(came, turn, strict=True)]
        turns += 1
    assert came == [MANY] * 20
    assert turns >= 20 * MANY * 1_000 // TURN_BYTES
    assert all(session.replay is None for session in world.broker.state.sessions.values())


def test_a_filter_for_which_nothing_is_retained_stops_nobody() -> None:
    world = World()
    stored(world, 5_000)
    world.broker.publish("t/last/2/no", b"found", 0, True, world.now)
    client = world.connected("c")
    filters = [Subscription(f"+/+/+/{name}", 1) for name in ("no", *range(100))]
    client.send(Subscribe(1, tuple(filters)))
    assert [type(packet) for packet in client.take()] == [SubAck]
    came, turns = [], 0
    while world.broker.deadline() <= world.now:
        world.broker.wake(world.now)
        came += client.payloads()
        turns += 1
    assert came == [b"found"]
    assert turns > 100 * 5_000 * LEVEL_BYTES // SLICE_BYTES
    assert world.broker.state.sessions["c"].replay is None


def test_with_qos_0_in_the_queue_what_is_retained_comes_first_too() -> None:
    world = World(MqttSection(queue_full="drop-qos0-first"))
    stored(world, qos=0, payload=bytes(1_000))
    client = world.connected("c", clean=False, **STAYS)
    client.subscribe("#")
    client.take()
    world.broker.congested(client.connection, True, world.now)
    world.broker.publish("t/999", b"event", 0, False, world.now)
    world.broker.publish("t/998", b"new", 0, True, world.now)
    world.broker.congested(client.connection, False, world.now)
    while world.broker.deadline() <= world.now:
        world.broker.wake(world.now)
    came = [message for message in client.messages() if message.topic in ("t/998", "t/999")]
    assert [message.payload for message in came] == [bytes(1_000), b"event", b"new"]


def test_suback_comes_first() -> None:
    world = World()
    stored(world, 2)
    client = world.connected("c")
    client.send(Subscribe(1, (Subscription("t/0", 1), Subscription("#", 1))))
    suback, *rest = client.take()
    assert suback == SubAck(1, (Reason.GRANTED_QOS_1, Reason.GRANTED_QOS_1))
    assert [packet.payload for packet in rest if isinstance(packet, Publish)] == [b"0", b"0", b"1"]


def test_what_is_published_meanwhile_does_not_wait_and_comes_once() -> None:
    world = World()
    stored(world, 4)
    client = world.connected("c", receive_maximum=1)
    client.subscribe("t/+", 1)
    assert acknowledge_one(client) == b"0"
    world.broker.publish("t/3", b"new", 1, True, world.now)  # its place was not reached
    world.broker.publish("t/0", b"again", 1, True, world.now)  # its place was
    world.broker.publish("t/9", b"first", 1, True, world.now)  # it had none
    came = client.acknowledge()
    assert came == [b"1", b"new", b"again", b"first", b"2"]


def test_what_is_retained_comes_before_what_is_published_after_it() -> None:
    world = World()
    stored(world, 4)
    client = world.connected("c", receive_maximum=1)
    client.subscribe("t/+", 1)
    world.connected("p").send(*(Publish("t/3", b"event", 1, packet_id=n) for n in (1, 2)))
    assert client.acknowledge() == [b"0", b"3", b"event", b"event", b"1", b"2"]


def test_at_qos_0_too_on_the_short_road() -> None:
    world = World()
    stored(world, payload=bytes(1_000))
    client = world.connected("c")
    client.subscribe("t/+")
    before = len(client.take())
    publisher = world.connected("p")
    publisher.send(Publish("t/999", b"event"), Publish("t/999", b"event"))
    assert [m.retain for m in client.messages()] == [True, False, False]
    while world.broker.deadline() <= world.now:
        world.broker.wake(world.now)
    assert before + 1 + len(client.take()) == MANY
    publisher.send(Publish("t/999", b"event"))
    assert client.payloads() == [b"event"]


def test_what_was_shown_is_not_shown_again_when_something_is_published_there() -> None:
    world = World()
    topics = ["a/b/c", "a/b", "a/d", "e", "a", "a/b/f", "g/h"]
    for topic in topics:
        world.broker.publish(topic, topic.encode(), 1, True, world.now)
    client = world.connected("c", receive_maximum=1)
    client.subscribe("#", 1)
    in_order, rounds = [], 0
    while came := client.messages():
        for message in came:
            in_order.append(message.payload)
            client.send(PubAck(message.packet_id))
        rounds += 1
        if rounds <= 3:
            for topic in topics[:5]:
                world.broker.publish(topic, b"live", 0, False, world.now)
    assert sorted(each for each in in_order if each != b"live") == sorted(map(str.encode, topics))
    assert in_order.count(b"live") == 15
    assert in_order[0] == b"a"


def test_what_a_deaf_client_lost_is_still_shown_to_it() -> None:
    world = World()
    stored(world, payload=bytes(1_000))
    client = world.connected("c")
    client.subscribe("t/+")
    client.take()
    world.broker.congested(client.connection, True, world.now)
    world.broker.publish("t/999", b"new", 0, True, world.now)
    world.broker.congested(client.connection, False, world.now)
    while world.broker.deadline() <= world.now:
        world.broker.wake(world.now)
    assert [m.payload for m in client.messages() if m.topic == "t/999"] == [b"new"]


def test_what_is_deleted_meanwhile_is_not_shown() -> None:
    world = World()
    stored(world, 4)
    client = world.connected("c", receive_maximum=1)
    client.subscribe("t/#", 1)
    for topic in ("t/1", "t/2"):
        world.broker.publish(topic, b"", 1, True, world.now)
    assert client.acknowledge() == [b"0", b"", b"", b"3"]


def test_unsubscribing_ends_it_and_subscribing_again_begins_anew() -> None:
    world = World()
    stored(world, 5)
    client = world.connected("c", receive_maximum=1)
    client.subscribe("t/+", 1)
    assert acknowledge_one(client) == b"0"
    client.unsubscribe("t/+")
    (message, _) = client.take()
    assert isinstance(message, Publish)
    client.send(PubAck(message.packet_id))
    assert client.take() == []
    assert world.broker.state.sessions["c"].replay is None
    client.subscribe("t/+", 1)
    assert acknowledge_one(client) == b"0"
    client.subscribe("t/+", 1)
    assert client.acknowledge() == [b"1", *numbers(5)]


def test_a_subscription_that_is_replaced_meanwhile_goes_on_on_its_new_terms() -> None:
    world = World()
    stored(world, 4)
    client = world.connected("c", receive_maximum=1)
    client.subscribe("t/+", 1)
    for handling in (1, 2):
        given = Properties(subscription_identifiers=(handling,))
        client.send(
            Subscribe(1, (Subscription("t/+", 1, retain_handling=handling),), given),
        )
        message, _ = client.take()
        assert isinstance(message, Publish)
        client.send(PubAck(message.packet_id))
    came = client.messages()
    client.send(PubAck(came[0].packet_id))
    came += client.messages()
    assert [(m.payload, m.properties.subscription_identifiers) for m in came] == [
        (b"2", (2,)),
        (b"3", (2,)),
    ]
    client.send(PubAck(came[1].packet_id))
    assert client.take() == []
    assert world.broker.state.sessions["c"].replay is None


# [MQTT-3.3.1-10]
def test_a_filter_that_comes_twice_in_one_subscribe_shows_what_is_retained_once() -> None:
    world = World()
    stored(world, 2)
    client = world.connected("c")
    client.send(Subscribe(1, tuple(Subscription("t/+", q, retain_handling=1) for q in (0, 1))))
    suback, *came = client.take()
    assert isinstance(suback, SubAck)
    assert [(m.payload, m.qos) for m in came if isinstance(m, Publish)] == [(b"0", 1), (b"1", 1)]


def test_a_client_that_comes_back_gets_the_rest() -> None:
    world = World()
    stored(world, 10)
    client = world.connected("c", clean=False, receive_maximum=2, **STAYS)
    client.subscribe("t/+", 1)
    assert client.payloads() == [b"0", b"1"]
    client.lose()
    world.broker.publish("t/7", b"event", 1, False, world.now)
    again = world.connected("c", clean=False, receive_maximum=2, **STAYS)
    expected = [b"0", b"1", b"7", b"event", *numbers(7, 2), b"8", b"9"]
    assert again.acknowledge() == expected


def test_a_session_that_ends_takes_its_replay_along() -> None:
    world = World()
    stored(world, payload=bytes(1_000))
    client = world.connected("c")
    client.subscribe("#")
    client.lose()
    world.pass_s(1)
    assert world.broker.state.sessions == {}


def test_no_local_is_for_retained_messages_too() -> None:
    # [MQTT-3.8.3-3]
    world = World()
    client = world.connected("c")
    client.publish("t", b"mine", retain=True)
    client.subscribe("t", no_local=True)
    assert client.take() == []


def test_what_was_shown_to_a_kept_session_survives_as_other_messages_do() -> None:
    world = KeptWorld()
    stored(world, 3)
    client = persistent(world, "s")
    client.send(Subscribe(1, (Subscription("t/+", 2),)))
    world.settle()
    assert len(client.take()) == 4
    world.power_cut()
    assert persistent(world, "s").acknowledge() == numbers(3)


def subscribes(client: Client, world: KeptWorld, qos: int = 1, topic_filter: str = "t/+") -> None:
    """A subscriber with a window of two; what it got stays in its box."""
    client.send(Subscribe(client.packet_id(), (Subscription(topic_filter, qos),)))
    world.settle()
    answers = client.take()
    assert isinstance(answers[0], SubAck)
    client.box = answers[1:]


def narrow(world: KeptWorld, client_id: str = "s") -> Client:
    """A client with a session on disk that takes two messages at once."""
    client = world.client(client_id)
    client.connect(False, session_expiry_interval_s=600, receive_maximum=2)
    world.settle()
    client.box = client.take()[1:]
    return client


def all_of(world: KeptWorld, client: Client) -> list[bytes]:
    """What comes, each acknowledged, the disk keeping up."""
    session = world.broker.state.sessions[client.client_id]
    came = client.acknowledge()
    for _ in range(100):
        world.settle()
        came += client.acknowledge()
        if not session.waiting() and session.replay is None:
            return came
    raise AssertionError(f"it never ends: {came}")


def rows_of(data: bytes) -> list[Any]:
    """The rows of a batch as they stand on disk."""
    return [each for each in msgspec.msgpack.decode(data) if each[0] == "row"]


def kept_store(world: KeptWorld, count: int = 9, qos: int = 1) -> None:
    stored(world, count, qos)
    world.pass_s(10.1)
    world.settle()


def test_a_power_cut_in_the_middle_loses_nothing_of_a_kept_session() -> None:
    world = KeptWorld()
    kept_store(world)
    client = narrow(world)
    subscribes(client, world)
    (first, second) = client.messages()
    client.send(PubAck(first.packet_id))
    assert isinstance(first, Publish) and isinstance(second, Publish)
    world.settle()
    world.power_cut()
    again = narrow(world)
    came = all_of(world, again)
    assert set(came) >= set(numbers(9, 1))
    assert len(came) <= 10  # what it acknowledged may come again, what waited comes once


def test_a_client_that_is_away_at_the_restart_gets_it_when_it_is_back() -> None:
    world = KeptWorld()
    kept_store(world)
    client = narrow(world)
    subscribes(client, world)
    client.lose()
    world.power_cut()
    world.power_cut()
    world.broker.publish("t/5", b"newer", 1, True, world.now)
    came = all_of(world, narrow(world))
    assert set(came) >= {*numbers(9)} - {b"5"} and b"newer" in came


def test_qos_2_that_waits_or_is_half_done_is_not_shown_twice() -> None:
    world = KeptWorld()
    kept_store(world, 6, 2)
    client = narrow(world)
    subscribes(client, world, 2)
    world.settle()
    for message in client.messages():
        client.send(PubRec(message.packet_id))
    world.settle()
    world.power_cut()
    came = all_of(world, narrow(world))
    assert sorted(came) == numbers(6, 2)


def test_what_was_shown_to_the_end_is_not_shown_again() -> None:
    world = KeptWorld()
    kept_store(world)
    client = narrow(world)
    subscribes(client, world)
    assert all_of(world, client) == numbers(9)
    world.pass_s(10.1)
    world.settle()
    world.power_cut()
    assert all_of(world, narrow(world)) == []


def test_the_disk_is_told_nothing_where_nothing_is_retained() -> None:
    world = KeptWorld()
    kept_store(world)
    client = narrow(world)
    subscribes(client, world, topic_filter="elsewhere/#")
    rows = dict(world.card.rows)
    world.pass_s(30)
    world.settle()
    assert world.card.rows == rows


def test_one_row_more_tells_the_disk_that_it_is_done() -> None:
    world = KeptWorld()
    kept_store(world)
    client = narrow(world)
    begin = len(world.card.log)
    subscribes(client, world)
    all_of(world, client)
    world.pass_s(10.1)
    world.settle()
    written = [Row(*each[1:]) for data in world.card.log[begin:] for each in rows_of(data)]
    assert [row.kind for row in written if row.kind == "subscription"] == ["subscription"] * 2


def test_a_store_of_the_version_before_has_nothing_to_show() -> None:
    world = KeptWorld()
    kept_store(world)
    client = narrow(world)
    subscribes(client, world)
    client.lose()
    (key,) = [key for key in world.card.rows if key[0] == "subscription"]
    world.card.rows[key] = msgspec.msgpack.encode(msgspec.msgpack.decode(world.card.rows[key])[:5])
    world.card.log.clear()
    world.power_cut()
    assert all_of(world, narrow(world)) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_walk_that_rests_goes_on_where_it_was(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "SLICE", 3)
    random, store = Random(seed), retained.Retained(1_000, 1_000_000)
    names = ["a", "b", "c", "d", "e", "$f", ""]
    topics = {"/".join(random.choices(names, k=random.randint(1, 4))) for _ in range(80)}
    for number, topic in enumerate(sorted(topics, key=lambda _: random.random())):
        message = Message(topic, topic_field(topic), b"x", 0, True)
        store.put(topic, message, Stamp(number, 0, "g"))
    for topic_filter in ("#", "+/#", "a/+/#", "+/+", "a/b/c", "+/b/#", "b"):
        at_once = list(store.walk(topic_filter))
        assert sorted(at_once) == sorted(t for t in topics if matches(topic_filter, t))
        walk, rested = store.walk(topic_filter), []
        while (topic := next(walk, "end")) != "end":
            rested.append(topic)
            if random.random() < 0.5:
                walk.rest()
        assert rested == at_once


def test_sessions_that_are_away_hold_little_of_a_replay_however_large_the_store() -> None:
    world = World()
    stored(world, 20_000, payload=b"x")
    clients = [
        world.connected(f"c{number}", clean=False, receive_maximum=1, **STAYS)
        for number in range(100)
    ]
    tracemalloc.start()
    for client in clients:
        client.subscribe("t/+", 1)
        client.lose()
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown / len(clients) < 12_000  # a pointer for each topic would be 160,000


def test_what_overtook_counts_as_waiting_and_is_forgotten_with_the_session() -> None:
    world = World()
    stored(world, 200)
    client = world.connected("c", clean=False, receive_maximum=1, **STAYS)
    client.subscribe("t/+", 1)
    for number in range(100, 200):
        world.broker.publish(f"t/{number}", b"", 1, False, world.now)
    assert world.broker.state.room.used == world.held_bytes() > 300 * 500
    client.lose()
    world.pass_s(601)
    assert world.broker.state.room.used == 0
