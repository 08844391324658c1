"""QoS 2 is exactly once over power cuts, in both directions."""

import pytest

from gateway.broker.records import Received
from gateway.mqtt.packets import (
    PubComp,
    Publish,
    PubRec,
    PubRel,
)
from gateway.mqtt.reasons import Reason
from tests.broker.kept import WEEK_S, KeptWorld, away, persistent, subscribed
from tests.broker.world import Client


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
