"""Retained messages for new subscriptions, at the client's pace (gateway/broker/replay.py)."""

from gateway.broker.replay import LEVEL_BYTES
from gateway.broker.slices import SLICE_BYTES, TURN_BYTES
from gateway.config import MqttSection
from gateway.mqtt.packets import (
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld
from tests.broker.test_kept import persistent
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
