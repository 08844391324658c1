"""SUBSCRIBE, UNSUBSCRIBE and retained messages (sections 3.3.1.3, 3.8 to 3.11, 4.7)."""

from time import process_time

import pytest

from gateway.config import MqttSection
from gateway.mqtt.packets import (
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V5, V311, World


# [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
# [MQTT-3.9.3-2] [MQTT-2.2.1-6]
def test_suback_answers_each_filter_in_order() -> None:
    client = World().connected("c")
    filters = (
        Subscription("a", 0),
        Subscription("b/#", 2),
        Subscription("$share/g/a", 1),
        Subscription("+", 1),
    )
    client.send(Subscribe(3, filters))
    granted = (0, 2, 1, 1)
    assert client.take() == [SubAck(3, tuple(map(Reason, granted)))]


def test_the_largest_subscribe_does_not_stop_the_others() -> None:
    client = World().connected("c")
    for first in ("a", "$share/g/a"):
        filters = [Subscription(f"{first}/{number}", 1) for number in range(4_000)]
        begin = process_time()
        client.send(Subscribe(1, tuple(filters)))
        assert process_time() - begin < 1.0  # it takes 0.1, and took seconds
        assert len(client.take()) == 1


def test_3_1_1_is_told_of_a_refusal_by_0x80() -> None:
    client = World(MqttSection(subscriptions_per_client_max=1)).connected("c", V311)
    client.send(Subscribe(3, (Subscription("a", 1), Subscription("b", 1))))
    assert client.take() == [SubAck(3, (Reason.GRANTED_QOS_1, Reason.UNSPECIFIED_ERROR))]


@EVERY_VERSION
@pytest.mark.parametrize("topic_filter", ["a/#/b", "a#", "+a", "#/"])
def test_a_filter_that_cannot_be_ends_the_connection(version: Version, topic_filter: str) -> None:
    client = World().connected("c", version)
    client.send(Subscribe(3, (Subscription(topic_filter, 1),)))
    assert client.closed
    assert client.take() == ([Disconnect(Reason.TOPIC_FILTER_INVALID)] if version is V5 else [])


# [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2]
# [MQTT-2.2.1-6]
def test_unsubscribe_ends_what_there_was_and_says_what_was_not() -> None:
    world = World()
    client = world.connected("c")
    publisher = world.connected("p")
    client.subscribe("a")
    publisher.publish("a", b"before")
    client.send(Unsubscribe(9, ("a", "b", "a")))
    none = Reason.NO_SUBSCRIPTION_EXISTED
    before, answer = client.take()
    assert isinstance(before, Publish)
    assert answer == UnsubAck(9, (Reason.SUCCESS, none, none))
    for qos in (0, 1, 2):
        publisher.publish("a", b"after", qos)
    assert client.take() == []
    assert world.broker.filters() == []


# [MQTT-3.8.4-3]
def test_an_equal_filter_replaces_the_subscription() -> None:
    world = World()
    client = world.connected("c")
    client.subscribe("a", 2)
    client.subscribe("a", 0)
    world.broker.publish("a", b"x", 2, False, world.now)
    assert client.messages() == [Publish("a", b"x")]


@EVERY_VERSION
# [MQTT-3.3.4-2]
def test_overlapping_filters_give_one_copy_at_the_highest_qos(version: Version) -> None:
    world = World()
    client = world.connected("c", version)
    for topic_filter, qos in (("a/#", 0), ("a/b", 2), ("+/b", 1)):
        client.subscribe(topic_filter, qos)
    world.broker.publish("a/b", b"x", 2, False, world.now)
    (message,) = client.messages()
    assert message.qos == 2


# [MQTT-3.8.3-3]
def test_no_local_spares_the_publisher_its_own() -> None:
    world = World()
    client, other = world.connected("c"), world.connected("d")
    client.subscribe("a", 1, no_local=True)
    other.subscribe("a", 1, no_local=True)
    for qos in (0, 1):
        client.publish("a", b"mine", qos)
        other.publish("a", b"yours", qos)
    assert [each.payload for each in client.take() if isinstance(each, Publish)] == [b"yours"] * 2
    assert [each.payload for each in other.take() if isinstance(each, Publish)] == [b"mine"] * 2
    client.subscribe("#")  # another filter of the same session wants it
    client.take()
    client.publish("a", b"mine", 0)
    assert client.payloads() == [b"mine"]


def test_subscriptions_of_a_session_are_bounded() -> None:
    world = World()
    client = world.connected("c")
    for part in range(0, 10_000 + 1_000, 1_000):
        filters = tuple(Subscription(f"t/{part + each}", 0) for each in range(1_000))
        client.send(Subscribe(1, filters))
    last = client.take()[-1]
    assert isinstance(last, SubAck)
    assert set(last.reasons) == {Reason.QUOTA_EXCEEDED}
    assert len(world.broker.filters()) == 10_000
    client.send(Subscribe(1, (Subscription("t/5", 2),)))
    assert client.take() == [SubAck(1, (Reason.GRANTED_QOS_2,))]
    client.lose()
    assert world.broker.filters() == []


# -- Retained --------------------------------------------------------------------------------------


@EVERY_VERSION
# [MQTT-3.3.1-5] [MQTT-3.3.1-8] [MQTT-3.3.1-8 of 3.1.1] [MQTT-3.3.1-9]
def test_the_last_retained_message_of_a_topic_greets_a_new_subscriber(version: Version) -> None:
    world = World()
    watcher, publisher = world.connected("w", version), world.connected("p", version)
    watcher.subscribe("a/b", 1)
    publisher.publish("a/b", b"first", 1, retain=True)
    publisher.publish("a/b", b"second", 1, retain=True)
    publisher.publish("a/b", b"in passing", 1)
    assert [message.retain for message in watcher.messages()] == [False] * 3
    late = world.connected("l", version)
    late.subscribe("a/#", 2)
    (message,) = late.messages()
    assert (message.payload, message.qos, message.retain) == (b"second", 1, True)


# [MQTT-3.3.1-6] [MQTT-3.3.1-7]
def test_an_empty_retained_message_deletes_and_is_delivered() -> None:
    world = World()
    watcher, publisher = world.connected("w"), world.connected("p")
    watcher.subscribe("a", 1)
    publisher.publish("a", b"x", retain=True)
    publisher.publish("a", b"", retain=True)
    assert watcher.payloads() == [b"x", b""]
    assert len(world.broker.retained) == 0
    late = world.connected("l")
    late.subscribe("a")
    assert late.take() == []


@pytest.mark.parametrize(
    ("handling", "first", "again"),
    [(0, [b"kept"], [b"kept"]), (1, [b"kept"], []), (2, [], [])],
)
# [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
def test_retain_handling(handling: int, first: list[bytes], again: list[bytes]) -> None:
    world = World()
    world.connected("p").publish("a", b"kept", retain=True)
    client = world.connected("c")
    client.subscribe("a", 0, retain_handling=handling)
    assert client.payloads() == first
    client.subscribe("a", 1, retain_handling=handling)
    assert client.payloads() == again


@pytest.mark.parametrize("as_published", [True, False])
# [MQTT-3.3.1-12] [MQTT-3.3.1-13]
def test_retain_as_published(as_published: bool) -> None:
    world = World()
    client = world.connected("c")
    client.subscribe("a", 0, retain_as_published=as_published)
    publisher = world.connected("p")
    publisher.publish("a", b"x", retain=True)
    publisher.publish("a", b"x")
    assert [message.retain for message in client.messages()] == [as_published, False]


def test_a_full_store_refuses_new_topics_and_says_so() -> None:
    world = World(MqttSection(retained_messages_max=1))
    publisher = world.connected("p")
    watcher = world.connected("w")
    watcher.subscribe("#")
    publisher.publish("a", b"1", retain=True)
    publisher.publish("b", b"2", 1, retain=True, packet_id=5)
    publisher.publish("a", b"3", retain=True)
    assert publisher.take() == [PubAck(5, Reason.QUOTA_EXCEEDED)]
    assert watcher.payloads() == [b"1", b"3"]
    assert world.broker.vitals.refused_retained_full == 1


@pytest.mark.parametrize("qos", [1, 2])
def test_a_full_store_acknowledges_nothing_that_it_does_not_take(qos: int) -> None:
    world = World(MqttSection(retained_messages_max=1))
    watcher = world.connected("w")
    watcher.subscribe("#", 2)
    world.connected("p").publish("a", b"1", retain=True)
    new, old = world.connected("new"), world.connected("old", V311)
    for client in (new, old):
        client.publish("b", b"2", qos, retain=True, packet_id=5)
    answer = PubAck if qos == 1 else PubRec
    assert new.take() == [answer(5, Reason.QUOTA_EXCEEDED)]
    assert old.take() == [] and old.closed, "3.1.1 has no word for it"
    assert watcher.payloads() == [b"1"]
    assert world.broker.vitals.refused_retained_full == 2
    new.publish("a", b"3", qos, retain=True, packet_id=6)
    assert new.take() == [answer(6)], "a topic that is there takes no more room"


def test_what_was_taken_before_the_store_was_full_reaches_who_is_there() -> None:
    """QoS 2 was acknowledged by PUBREC, and a will has nobody to refuse it to."""
    world = World(MqttSection(retained_messages_max=1))
    watcher, publisher = world.connected("w"), world.connected("p")
    watcher.subscribe("#", 2)
    publisher.publish("b", b"2", 2, retain=True, packet_id=5)
    dying = world.client("d")
    dying.connect(will=Will("c", b"gone", 1, retain=True))
    world.connected("other").publish("a", b"1", retain=True)
    publisher.send(PubRel(5))
    assert publisher.take() == [PubRec(5), PubComp(5)]
    dying.lose()
    assert watcher.payloads() == [b"1", b"2", b"gone"]
    assert len(world.broker.retained) == 1


def test_retained_messages_that_have_expired_make_room() -> None:
    world = World(MqttSection(retained_messages_max=1))
    publisher = world.connected("p")
    publisher.publish("a", b"1", retain=True, message_expiry_interval_s=10)
    world.pass_s(200)
    publisher.publish("b", b"2", 1, retain=True)
    late = world.connected("l")
    late.subscribe("#")
    assert late.payloads() == [b"2"]


def test_many_retained_messages_reach_a_subscriber_with_a_small_window() -> None:
    world = World()
    for number in range(500):
        world.broker.publish(f"t/{number}", b"%d" % number, 1, True, world.now)
    client = world.connected("c", receive_maximum=3)
    client.subscribe("t/+", 1)
    assert client.acknowledge() == [b"%d" % number for number in range(500)]
