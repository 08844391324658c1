"""What was promised survives a power cut, and nothing is said before it does."""

import pytest

from gateway.arrival import Arrival
from gateway.broker.journal import ASK_AGAIN_S, LAZY_S
from gateway.broker.records import Done, Enqueued, Received, Row, Wish
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import (
    ConnAck,
    Disconnect,
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
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from gateway.timers import FOREVER
from tests.broker.kept import KeptWorld
from tests.broker.world import V5, V311, Client

WEEK_S = 604_800


def persistent(world: KeptWorld, client_id: str, clean: bool = False) -> Client:
    """A client with a session that the disk keeps; it has its CONNACK."""
    client = world.client(client_id)
    client.connect(clean, session_expiry_interval_s=WEEK_S)
    world.settle()
    answers = client.take()
    assert isinstance(answers[0], ConnAck)
    assert answers[0].reason is Reason.SUCCESS
    client.connack = answers[0]
    client.box = answers[1:]
    return client


def subscribed(world: KeptWorld, client: Client, topic_filter: str, qos: int) -> None:
    client.send(Subscribe(client.packet_id(), (Subscription(topic_filter, qos),)))
    world.settle()
    assert isinstance(client.take()[-1], SubAck)


def away(world: KeptWorld, qos: int = 1) -> None:
    """A persistent subscriber to everything that has gone."""
    client = persistent(world, "s")
    subscribed(world, client, "#", qos)
    client.lose()


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


def test_qos_2_is_sent_when_its_packet_id_is_on_disk() -> None:
    world = KeptWorld()
    subscriber = persistent(world, "s")
    subscribed(world, subscriber, "t", 2)
    publisher = world.connected("p")
    publisher.publish("t", b"1", 2)
    world.settle()
    assert isinstance(publisher.take()[0], PubRec)
    publisher.send(PubRel(1))
    assert subscriber.take() == []
    world.sync()
    assert [packet.payload for packet in subscriber.messages()] == [b"1"]


def test_qos_2_that_was_sent_keeps_its_packet_id_over_a_power_cut() -> None:
    world = KeptWorld()
    away(world, 2)
    publisher = world.connected("p")
    publisher.publish("t", b"1", 2)
    world.settle()
    publisher.send(PubRel(1))
    world.settle()
    sent = persistent(world, "s").messages()[0]
    world.power_cut()
    again = persistent(world, "s").messages()[0]
    assert (again.packet_id, again.dup, again.payload) == (sent.packet_id, True, b"1")


def with_a_message_of_qos_2(world: KeptWorld) -> tuple[Client, Publish]:
    """A persistent subscriber, and what it has just been sent."""
    subscriber = persistent(world, "s")
    subscribed(world, subscriber, "t", 2)
    publisher = world.connected("p")
    publisher.publish("t", b"1", 2)
    world.settle()
    publisher.send(PubRel(1))
    world.settle()
    (message,) = subscriber.messages()
    return subscriber, message


def test_pubrel_waits_until_the_disk_knows_of_pubrec() -> None:
    world = KeptWorld()
    subscriber, message = with_a_message_of_qos_2(world)
    subscriber.send(PubRec(message.packet_id))
    assert subscriber.take() == []
    world.now += 1
    assert [each for each in world.sync() if isinstance(each, Received)]
    assert subscriber.take() == [PubRel(message.packet_id)]
    world.power_cut()
    again = persistent(world, "s")
    assert again.take() == [PubRel(message.packet_id)]  # never the message a second time


def test_a_stored_qos_2_message_is_released_once_over_a_power_cut() -> None:
    world = KeptWorld()
    away(world, 2)
    publisher = persistent(world, "p")
    publisher.publish("t", b"1", 2, packet_id=7)
    assert publisher.take() == []
    world.settle()
    assert publisher.take() == [PubRec(7)]
    world.power_cut()
    publisher = persistent(world, "p")
    publisher.publish("t", b"1", 2, packet_id=7, dup=True)
    world.settle()
    assert publisher.take() == [PubRec(7)]
    publisher.send(PubRel(7))
    assert publisher.take() == []
    world.settle()
    assert publisher.take() == [PubComp(7)]
    world.power_cut()
    publisher = persistent(world, "p")
    publisher.send(PubRel(7))
    world.settle()
    assert persistent(world, "s").acknowledge() == [b"1"]


def test_what_a_clean_client_handed_over_at_qos_2_is_released_at_the_start() -> None:
    world = KeptWorld()
    away(world, 2)
    publisher = world.connected("p")
    publisher.publish("t", b"1", 2)
    world.settle()
    assert isinstance(publisher.take()[0], PubRec)
    world.power_cut()
    world.settle()
    world.power_cut()
    assert persistent(world, "s").acknowledge() == [b"1"]


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


def test_a_delayed_will_survives_and_is_sent_once() -> None:
    world = KeptWorld()
    away(world)
    client = world.client("w")
    will = Will("t", b"will", 1, False, Properties(will_delay_interval_s=60))
    client.connect(True, will=will, session_expiry_interval_s=WEEK_S)
    world.settle()
    client.lose()
    world.now += 11
    world.settle()
    world.power_cut()
    world.pass_s(61)
    world.settle()
    world.power_cut()
    world.pass_s(120)
    assert persistent(world, "s").acknowledge() == [b"will"]


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5.0"])
# [MQTT-4.8.0-2 of 3.1.1]
def test_a_full_disk_refuses_what_must_be_kept_and_goes_on_with_the_rest(version: Version) -> None:
    world = KeptWorld()
    away(world)
    live = world.connected("l")
    live.subscribe("live", 1)
    publisher = world.connected("p", version)
    publisher.publish("t", b"lost", 1)
    world.fail()
    assert publisher.closed  # not answered: it is to come again
    publisher = world.connected("q", version)  # the first has to wait before it is back
    publisher.publish("t", b"refused", 1)
    if version is V5:
        assert publisher.take() == [PubAck(1, Reason.QUOTA_EXCEEDED)]
    else:
        assert publisher.closed
        publisher = world.connected("r", version)
    publisher.publish("u", b"also", 0)
    live.take()
    world.now += 2
    world.settle()  # there is room again
    publisher.publish("t", b"kept", 1)
    world.settle()
    assert isinstance(publisher.take()[-1], PubAck)
    world.power_cut()
    assert persistent(world, "s").acknowledge() == [b"lost", b"kept"]


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


# [MQTT-3.3.4-9] [MQTT-4.6.0-1]
@pytest.mark.parametrize("on_disk", [True, False])
def test_a_smaller_window_holds_also_for_what_waited_for_the_disk(on_disk: bool) -> None:
    world = KeptWorld()
    subscriber = persistent(world, "s")
    subscribed(world, subscriber, "#", 2)
    publisher = world.connected("p")

    def publishes(numbers: range) -> None:
        ids = [publisher.publish("t", b"%d" % number, 2) for number in numbers]
        world.settle()
        publisher.send(*map(PubRel, ids))

    publishes(range(3))
    world.settle()
    assert [packet.payload for packet in subscriber.messages()] == [b"0", b"1", b"2"]
    publishes(range(3, 6))  # the disk has their packet ids soon
    subscriber.lose()
    if on_disk:
        world.settle()
    back = world.client("s")
    back.connect(False, session_expiry_interval_s=WEEK_S, receive_maximum=2)
    came: list[bytes] = []
    for _ in range(30):
        world.now += 0.03
        world.sync()
        packets = back.take()
        fresh = [packet for packet in packets if isinstance(packet, Publish)]
        assert len(fresh) <= 2
        came += [packet.payload for packet in fresh]
        for packet in packets:
            if isinstance(packet, Publish):
                assert packet.dup == (packet.payload in (b"0", b"1", b"2"))
                back.send(PubRec(packet.packet_id))
            elif isinstance(packet, PubRel):
                back.send(PubComp(packet.packet_id))
    assert came == [b"%d" % number for number in range(6)]


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


def test_who_comes_while_the_disk_fails_again_and_again_is_told_too() -> None:
    world = KeptWorld()
    away(world)
    client, publisher = persistent(world, "c"), world.connected("p", V5)
    publisher.publish("t", b"1", 1)
    world.take()  # it is being written
    publisher.publish("t", b"2", 1)
    client.send(Subscribe(9, (Subscription("more", 1),)))
    world.fail()
    for each in (publisher, client):
        (told,) = each.take()
        assert isinstance(told, Disconnect) and told.reason is Reason.QUOTA_EXCEEDED
    world.settle()
    assert persistent(world, "s").acknowledge() == [b"1", b"2"], "both were kept in the end"


def test_the_log_says_once_that_the_disk_is_full_and_once_that_it_takes_messages_again() -> None:
    world = KeptWorld()
    away(world)
    publisher = world.connected("p")
    publisher.publish("t", b"before", 1)
    full, failed = "less than 64 MB are free; make room", "the disk refused a write; make room"
    world.sync(refusing=full)
    for _ in range(5):
        world.now += ASK_AGAIN_S
        assert world.take() is not None, "nobody asks whether there is room"
        world.fail(failed)
        world.now += ASK_AGAIN_S
        world.sync(refusing=full)
    assert world.notes() == [full, failed]
    world.now += ASK_AGAIN_S
    world.sync()
    assert world.notes()[2:] == ["the disk takes new messages again"]
    packet_id = publisher.publish("t", b"behind", 1)
    world.settle()
    assert publisher.take()[-1] == PubAck(packet_id, Reason.SUCCESS)


# [MQTT-4.3.3-9]
def test_after_a_pubrec_that_refused_the_packet_id_means_a_new_message() -> None:
    world = KeptWorld()
    away(world, 2)
    publisher = world.connected("p")
    world.connected("q").publish("t", b"lost", 1)
    world.fail()
    publisher.publish("t", b"refused", 2, packet_id=5)
    assert publisher.take() == [PubRec(5, Reason.QUOTA_EXCEEDED)]
    world.pass_s(60)
    world.settle()
    publisher.publish("t", b"new", 2, packet_id=5)
    world.settle()
    publisher.send(PubRel(5))
    world.settle()
    assert publisher.take() == [PubRec(5), PubComp(5)]
    came = persistent(world, "s")
    payloads = []
    for _ in range(3):
        world.settle()
        payloads += came.acknowledge()
    assert payloads == [b"lost", b"new"]  # and nothing that was refused


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


def with_will(world: KeptWorld) -> Client:
    """A client with a persistent session and a will without a delay."""
    client = world.client("w")
    client.connect(False, will=Will("t", b"will", 1), session_expiry_interval_s=WEEK_S)
    world.settle()
    world.now += 11
    world.settle()
    return client


def test_after_a_crash_a_will_waits_for_its_client_and_is_sent() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    world.pass_s(9.9)
    world.settle()
    assert world.broker.waiting() == 0
    world.pass_s(1)
    assert world.broker.waiting() == 1


def test_a_client_that_comes_back_after_a_crash_cancels_its_will() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    with_will(world)
    world.pass_s(60)
    assert world.broker.waiting() == 0


def test_a_will_that_was_sent_after_a_crash_is_not_sent_after_the_next() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    world.pass_s(11)
    world.settle()
    world.power_cut()
    world.pass_s(60)
    assert persistent(world, "s").acknowledge() == [b"will"]


def test_a_client_that_comes_back_without_its_will_has_none_after_the_next_crash() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    persistent(world, "w")
    world.now += 11
    world.settle()
    world.power_cut()
    world.pass_s(60)
    assert world.broker.waiting() == 0


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


def test_after_a_planned_stop_no_will_is_sent() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.broker.stop(world.now)
    last = world.broker.journal.last()
    for record in last:
        if isinstance(record, Row) and record.value is not None:
            world.card.rows[record.kind, record.key] = record.value
    world.power_cut()
    world.pass_s(60)
    assert world.broker.waiting() == 0
