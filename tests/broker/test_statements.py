"""Statements of the specification that no other test of the broker shows."""

import pytest

from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    PingReq,
    PingResp,
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
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from gateway.mqtt.topics import matches
from tests.broker.world import EVERY_VERSION, V5, V311, World

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# [MQTT-3.1.4-6]
def test_what_stands_behind_a_refused_connect_is_not_worked_off() -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("t")
    client = world.client("", V311)
    client.send(Connect(V311, "", False, 0), Publish("t", b"smuggled"))
    assert client.take() == [ConnAck(False, Reason.CLIENT_IDENTIFIER_NOT_VALID)]
    assert client.closed
    assert watcher.take() == []


# [MQTT-3.1.3-5]
@EVERY_VERSION
@pytest.mark.parametrize("client_id", ["a", LETTERS[:23], LETTERS[23:46], LETTERS[46:]])
def test_letters_and_digits_make_a_client_id(version: Version, client_id: str) -> None:
    assert not World().connected(client_id, version).closed


# [MQTT-3.1.3-10]
def test_the_user_properties_of_a_will_keep_their_order() -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("will")
    given = Properties(user_properties=(("b", "1"), ("a", "2"), ("b", "0")))
    world.connected("c", will=Will("will", b"", properties=given)).lose()
    (message,) = watcher.messages()
    assert message.properties == given


# [MQTT-3.1.2-12 of 3.1.1]
@EVERY_VERSION
def test_a_client_without_a_will_leaves_none(version: Version) -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("#")
    world.connected("c", version).lose()
    assert watcher.take() == []


# [MQTT-3.1.2-7 of 3.1.1]
@EVERY_VERSION
def test_a_retained_message_outlives_the_session_of_its_publisher(version: Version) -> None:
    world = World()
    publisher = world.connected("p", version)
    publisher.publish("t", b"stays", 1, retain=True)
    publisher.lose()
    assert world.broker.state.sessions == {}
    late = world.connected("l", version)
    late.subscribe("t")
    assert late.payloads() == [b"stays"]


# [MQTT-4.1.0-1]
def test_a_session_does_not_expire_while_its_client_is_connected() -> None:
    world = World()
    client = world.connected("c", session_expiry_interval_s=10)
    client.subscribe("t", 1)
    world.pass_s(1_000)
    world.connected("p").publish("t", b"still", 1)
    assert client.payloads() == [b"still"]


# [MQTT-3.3.1-3]
@pytest.mark.parametrize("qos", [1, 2])
def test_dup_ends_at_the_broker(qos: int) -> None:
    world = World()
    subscriber, publisher = world.connected("s"), world.connected("p")
    subscriber.subscribe("t", qos)
    publisher.publish("t", b"x", qos, dup=True, packet_id=5)
    publisher.send(PubRel(5))
    (message,) = subscriber.messages()
    assert not message.dup


# [MQTT-4.3.2-5]
@EVERY_VERSION
def test_after_puback_the_packet_id_means_a_new_message(version: Version) -> None:
    world = World()
    subscriber, publisher = world.connected("s"), world.connected("p", version)
    subscriber.subscribe("t")
    publisher.publish("t", b"1", 1, packet_id=5)
    publisher.publish("t", b"2", 1, dup=True, packet_id=5)
    assert publisher.take() == [PubAck(5), PubAck(5)]
    assert subscriber.payloads() == [b"1", b"2"]


# [MQTT-3.3.4-10] [MQTT-4.9.0-3]
def test_a_full_window_holds_back_nothing_but_messages() -> None:
    world = World()
    client = world.connected("c", receive_maximum=1)
    client.subscribe("t", 1)
    for _ in range(2):
        world.broker.publish("t", b"x", 1, False, world.now)
    assert len(client.messages()) == 1
    client.send(PingReq(), Subscribe(8, (Subscription("u", 0),)), Unsubscribe(9, ("u",)))
    assert sorted(client.take(), key=repr) == sorted(
        [
            PingResp(),
            SubAck(8, (Reason.GRANTED_QOS_0,)),
            UnsubAck(9, (Reason.SUCCESS,)),
        ],
        key=repr,
    )


# [MQTT-3.8.4-4]
def test_a_subscription_that_is_replaced_loses_nothing_that_waits() -> None:
    world = World()
    client = world.connected("c", receive_maximum=1)
    client.subscribe("t", 1)
    for payload in (b"1", b"2", b"3"):
        world.broker.publish("t", payload, 1, False, world.now)
    client.subscribe("t", 0)
    assert client.acknowledge() == [b"1", b"2", b"3"]


# [MQTT-3.10.4-1]
def test_unsubscribe_ends_the_equal_filter_and_not_what_it_matches() -> None:
    world = World()
    client = world.connected("c")
    client.subscribe("a/+")
    client.send(Unsubscribe(9, ("a/b", "a/#", "A/+")))
    assert client.take() == [UnsubAck(9, (Reason.NO_SUBSCRIPTION_EXISTED,) * 3)]
    world.broker.publish("a/b", b"x", 0, False, world.now)
    assert client.payloads() == [b"x"]


# [MQTT-3.10.4-3]
def test_what_was_begun_before_unsubscribe_is_finished() -> None:
    world = World()
    client = world.connected("c")
    client.subscribe("t", 2)
    world.broker.publish("t", b"begun", 2, False, world.now)
    (message,) = client.messages()
    client.unsubscribe("t")
    client.take()
    client.send(PubRec(message.packet_id))
    assert client.take() == [PubRel(message.packet_id)]
    client.send(PubComp(message.packet_id))
    assert world.broker.waiting() == 0


# [MQTT-4.3.3-7]
def test_what_was_sent_does_not_expire() -> None:
    world = World()
    client = world.connected("c", session_expiry_interval_s=600)
    client.subscribe("t", 2)
    world.connected("p").publish("t", b"x", 1, message_expiry_interval_s=10)
    (sent,) = client.messages()
    client.lose()
    world.pass_s(60)
    again = world.connected("c", clean=False, session_expiry_interval_s=600)
    (came,) = again.messages()
    assert (came.payload, came.dup, came.packet_id) == (b"x", True, sent.packet_id)


# [MQTT-4.4.0-2]
@pytest.mark.parametrize("qos", [1, 2])
def test_what_the_client_refused_does_not_come_again(qos: int) -> None:
    world = World()
    client = world.connected("c", session_expiry_interval_s=600)
    client.subscribe("t", qos)
    world.broker.publish("t", b"x", qos, False, world.now)
    (sent,) = client.messages()
    answer = PubAck if qos == 1 else PubRec
    client.send(answer(sent.packet_id, Reason.IMPLEMENTATION_SPECIFIC_ERROR))
    client.lose()
    assert world.connected("c", clean=False, session_expiry_interval_s=600).take() == []


# [MQTT-4.7.3-4]
def test_topics_are_compared_as_they_are() -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    assert matches(composed, composed) and not matches(composed, apart)
    world = World()
    client = world.connected("c", V5)
    client.subscribe(composed)
    world.broker.publish(apart, b"x", 0, False, world.now)
    world.broker.publish("Caf\u00e9", b"x", 0, False, world.now)
    world.broker.publish(composed + " ", b"x", 0, False, world.now)
    assert client.take() == []
