"""A disk that is full or fails: who is told what, and that the rest goes on."""

import pytest

from gateway.broker.journal import ASK_AGAIN_S
from gateway.mqtt.packets import (
    Disconnect,
    PubAck,
    Subscribe,
    Subscription,
    Version,
)
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld, away, persistent
from tests.broker.world import V5, V311


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
