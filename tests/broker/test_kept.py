"""What was promised survives a power cut, and nothing is said before it does."""

from gateway.arrival import Arrival
from gateway.broker.journal import LAZY_S
from gateway.broker.records import Done, Enqueued, Row, Wish
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import (
    ConnAck,
    PubAck,
    Publish,
    PubRel,
)
from gateway.mqtt.properties import Properties
from gateway.timers import FOREVER
from tests.broker.kept import WEEK_S, KeptWorld, away, persistent, subscribed
from tests.broker.world import V311


def test_a_new_session_is_answered_when_the_disk_has_it() -> None:
    world = KeptWorld()
    client = world.client("s")
    client.connect(False, session_expiry_interval_s=WEEK_S)
    assert client.take() == []
    world.settle()
    assert isinstance(client.take()[0], ConnAck)


def test_what_is_said_before_connack_is_answered_behind_it() -> None:
    world = KeptWorld()
    client = world.client("s", V311)
    client.connect(False)
    client.send(Publish("t", b"x", 1, packet_id=1))
    world.settle()
    assert [type(packet) for packet in client.take()] == [ConnAck, PubAck]


def test_a_session_that_is_there_needs_no_disk() -> None:
    world = KeptWorld()
    persistent(world, "s").lose()
    client = world.client("s")
    client.connect(False, session_expiry_interval_s=WEEK_S)
    assert client.take()[0].session_present  # type: ignore[union-attr]


def test_suback_waits_for_the_disk_and_the_subscription_survives() -> None:
    world = KeptWorld()
    client = persistent(world, "s")
    subscribed(world, client, "a/+", 1)
    world.power_cut()
    world.connected("p").publish("a/b", b"1", 1)
    again = persistent(world, "s")
    assert again.connack is not None
    assert again.connack.session_present
    assert again.acknowledge() == [b"1"]


def test_a_subscription_that_ended_stays_ended() -> None:
    world = KeptWorld()
    client = persistent(world, "s")
    subscribed(world, client, "a", 1)
    client.unsubscribe("a")
    assert client.take() == []
    world.settle()
    assert len(client.take()) == 1
    world.power_cut()
    world.connected("p").publish("a", b"1", 1)
    assert persistent(world, "s").acknowledge() == []


def test_puback_leaves_when_the_message_is_on_disk_and_it_survives() -> None:
    world = KeptWorld()
    away(world)
    publisher = world.connected("p")
    publisher.publish("t", b"1", 1)
    assert publisher.take() == []
    world.settle()
    assert isinstance(publisher.take()[0], PubAck)
    world.power_cut()
    assert persistent(world, "s").acknowledge() == [b"1"]


def test_what_needs_no_disk_does_not_wait_for_it() -> None:
    world = KeptWorld()
    away(world)
    clean = world.connected("c")
    publisher = world.connected("p")
    subscriber = world.connected("d")
    subscriber.subscribe("$x", 0)
    publisher.publish("t", b"0", 0)
    assert clean.take() == []
    world.connected("q").publish("other", b"1", 0)
    assert not [each for each in world.sync() if isinstance(each, Enqueued)]


def test_a_message_that_all_acknowledged_before_its_batch_is_never_written() -> None:
    world = KeptWorld()
    subscriber = persistent(world, "s")
    subscribed(world, subscriber, "t", 1)
    publisher = world.connected("p")
    for number in range(5):
        publisher.publish("t", b"%d" % number, 1)
    assert publisher.take() == []
    assert subscriber.acknowledge() == [b"0", b"1", b"2", b"3", b"4"]
    assert len(publisher.take()) == 5
    world.now += 60
    records = world.sync()
    assert not [each for each in records if isinstance(each, Enqueued | Done)]
    assert world.broker.journal.never_written == 5


def test_of_a_run_only_what_is_not_acknowledged_is_written() -> None:
    world = KeptWorld()
    subscriber = persistent(world, "s")
    subscribed(world, subscriber, "t", 1)
    publisher = world.connected("p")
    publisher.send(*(Publish("t", b"%d" % n, 1, packet_id=n + 1) for n in range(4)))
    first = subscriber.take()[0]
    subscriber.send(PubAck(first.packet_id))  # type: ignore[union-attr]
    world.now += 1
    written = [each for each in world.sync() if isinstance(each, Enqueued)]
    assert [each.payloads for each in written] == [[b"1", b"2", b"3"]]
    world.power_cut()
    assert persistent(world, "s").acknowledge() == [b"1", b"2", b"3"]


def test_acknowledged_before_a_power_cut_is_not_sent_again() -> None:
    world = KeptWorld()
    away(world)
    publisher = world.connected("p")
    publisher.publish("t", b"1", 1)
    world.settle()
    subscriber = persistent(world, "s")
    assert subscriber.acknowledge() == [b"1"]
    world.now += 60  # acknowledgements ride, or are written after some seconds
    world.settle()
    world.power_cut()
    assert persistent(world, "s").acknowledge() == []


def test_retained_messages_and_deletions_survive() -> None:
    world = KeptWorld()
    publisher = world.connected("p")
    for topic in ("a", "b"):
        publisher.publish(topic, b"1", 1, retain=True)
    assert publisher.take() == []
    world.settle()
    assert len(publisher.take()) == 2
    publisher.publish("b", b"", 1, retain=True)
    world.settle()
    world.power_cut()
    subscriber = world.connected("s")
    subscriber.subscribe("#")
    assert [message.topic for message in subscriber.messages()] == ["a"]
    assert world.broker.retained.get("b") is not None  # as a tombstone, for other gateways


def test_a_retained_message_at_qos_0_is_written_within_seconds() -> None:
    world = KeptWorld()
    world.connected("p").publish("a", b"1", 0, retain=True)
    assert world.sync() == []
    world.now += 10.1
    assert [type(each) for each in world.sync()] == [Row]


def test_it_is_written_within_seconds_also_beside_messages_that_are_acknowledged_at_once() -> None:
    world = KeptWorld()
    reader = persistent(world, "s")
    subscribed(world, reader, "t", 1)
    publisher = world.connected("p")
    publisher.publish("a", b"1", 0, retain=True)
    written: list[type] = []
    for _ in range(12):
        world.now += 1
        publisher.publish("t", b"x", 1)
        assert reader.acknowledge() == [b"x"]
        written += [type(each) for each in world.sync()]
    assert Row in written


def test_what_expires_while_the_box_is_off_counts_mesh_time() -> None:
    world = KeptWorld()
    away(world)
    publisher = world.connected("p")
    publisher.publish("t", b"short", 1, message_expiry_interval_s=30)
    publisher.publish("t", b"long", 1, message_expiry_interval_s=3000)
    world.settle()
    world.now += 20
    world.power_cut()
    world.now += 20
    assert persistent(world, "s").acknowledge() == [b"long"]


def test_a_session_that_ended_is_gone_with_its_messages() -> None:
    world = KeptWorld()
    away(world)
    world.connected("p").publish("t", b"1", 1)
    world.settle()
    fresh = persistent(world, "s", clean=True)
    assert fresh.connack is not None
    assert not fresh.connack.session_present
    world.power_cut()
    assert persistent(world, "s").acknowledge() == []


def test_what_is_acknowledged_at_once_is_neither_written_nor_held_and_the_rest_is_not_delayed() -> (
    None
):
    world = KeptWorld()
    client = persistent(world, "s")
    subscribed(world, client, "#", 1)
    publisher = world.connected("p")
    journal = world.broker.journal
    world.now += LAZY_S
    world.settle()
    world.broker.state.at(world.now)
    journal.put("kind", "key", b"nobody waits for it")
    late = world.now + LAZY_S
    while world.now < late:
        publisher.publish("t", b"x" * 1000, 1)
        assert client.acknowledge() == [b"x" * 1000]
        assert isinstance(publisher.take()[-1], PubAck)
        assert not journal._entries
        assert journal.deadline() == late
        world.now += 0.1
    assert world.sync() == [Row("kind", "key", b"nobody waits for it")]
    assert journal.deadline() == FOREVER
    assert journal.never_written >= 100


def test_messages_of_another_gateway_keep_their_own_properties_over_a_power_cut() -> None:
    world = KeptWorld()
    away(world)
    kinds = [Properties(content_type=each) for each in ("a", "b", "b")]
    messages = [Message("t", topic_field("t"), b"same", 1, properties=kind) for kind in kinds]
    messages.append(Message("t", topic_field("t"), b"none", 1, expires_at=world.now + 90))
    messages.append(Message("t", topic_field("t"), b"more", 1))
    world.broker.arrived(messages, Arrival(), world.now)
    world.settle()
    world.power_cut()
    came = persistent(world, "s").messages()
    assert [packet.properties.content_type for packet in came] == ["a", "b", "b", None, None]
    world.power_cut()
    world.pass_s(100)
    assert persistent(world, "s").payloads() == [b"same", b"same", b"same", b"more"]


def test_all_that_lives_can_be_written_again_and_nothing_else_is_needed() -> None:
    world = KeptWorld()
    away(world, 2)
    publisher = persistent(world, "p")
    for number in range(300):
        publisher.publish("t", b"%d" % number * 200, 1)
        if number % 50 == 0:
            world.settle()
            publisher.take()
    publisher.publish("t", b"stored", 2, packet_id=999)
    world.settle()
    before = len(world.card.log)
    publisher.publish("t", b"last", 1)
    world.now += 1
    world.sync(wish=Wish.NOW)
    subscriber = persistent(world, "s")  # it takes some while all is written again
    taken = subscriber.take()[:10]
    for packet in taken:
        subscriber.send(PubAck(packet.packet_id))  # type: ignore[union-attr]
    world.settle()
    assert len(world.card.log) < before
    world.now += 60
    world.settle()
    world.power_cut()
    expected = [b"%d" % number * 200 for number in range(10, 300)] + [b"last"]
    assert persistent(world, "s").acknowledge() == expected
    publisher = persistent(world, "p")
    publisher.send(PubRel(999))
    world.settle()
    assert persistent(world, "s").acknowledge() == [b"stored"]


def test_a_start_writes_nothing_about_what_is_on_disk_already() -> None:
    world = KeptWorld()
    client = persistent(world, "s")
    subscribed(world, client, "a/+", 1)
    subscribed(world, client, "$share/g/b", 2)
    world.power_cut()
    world.pass_s(10)
    assert world.sync() == []
    publisher = world.connected("p")
    for topic in ("a/1", "b"):
        publisher.publish(topic, topic.encode(), 1)
    world.settle()
    assert persistent(world, "s").acknowledge() == [b"a/1", b"b"]
