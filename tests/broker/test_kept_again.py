"""Clients that come back while the disk is behind: a smaller window, PUBREC said and no PUBREL come."""

import pytest

from gateway.mqtt.packets import ConnAck, PubComp, Publish, PubRec, PubRel
from tests.broker.kept import WEEK_S, KeptWorld, subscribed
from tests.broker.world import Client


def come(world: KeptWorld, window: int, **properties: int) -> Client:
    client = world.client("s")
    client.connect(False, session_expiry_interval_s=WEEK_S, receive_maximum=window, **properties)
    return client


def waiting_for_the_disk(world: KeptWorld) -> Client:
    """A client with a window of 5 that five messages are for, none of which the disk knows of."""
    client = come(world, 5)
    world.settle()
    client.take()
    subscribed(world, client, "#", 2)
    for number in range(5):
        world.broker.publish("t", b"%d" % number, 2, False, world.now)
    assert client.take() == []
    return client


# [MQTT-3.3.4-9]
def test_a_smaller_window_holds_for_what_was_sent_to_nobody_yet() -> None:
    world = KeptWorld()
    waiting_for_the_disk(world).lose()
    world.settle()  # the disk has the packet ids, and nobody was there to be sent them
    client = come(world, 2)
    _, *came = client.take()
    assert [(each.payload, each.dup) for each in came] == [(b"0", False), (b"1", False)]  # type: ignore
    client.box = came
    assert _all(world, client) == [b"%d" % number for number in range(5)]


def test_a_smaller_window_holds_when_the_disk_is_done_later() -> None:
    world = KeptWorld()
    waiting_for_the_disk(world).lose()
    client = come(world, 2)
    assert len(client.take()) == 1
    world.settle()
    came = client.messages()
    assert [(each.payload, each.dup) for each in came] == [(b"0", False), (b"1", False)]
    client.box = list(came)
    assert _all(world, client) == [b"%d" % number for number in range(5)]


def test_what_is_too_large_for_its_client_does_not_stop_what_waits_behind_it() -> None:
    world = KeptWorld()
    client = come(world, 1, maximum_packet_size_bytes=200)
    world.settle()
    client.take()
    subscribed(world, client, "#", 2)
    world.broker.publish("t", bytes(300), 2, False, world.now)
    world.broker.publish("t", b"small", 2, False, world.now)
    assert _all(world, client) == [b"small"]
    assert world.broker.waiting() == 0
    assert world.broker.vitals.dropped_too_large == 1


# [MQTT-4.4.0-1] [MQTT-4.3.3-5]
@pytest.mark.parametrize("connections", [1, 2, 3])
def test_pubrel_waits_for_the_disk_on_the_next_connection_too(connections: int) -> None:
    world = KeptWorld()
    client = waiting_for_the_disk(world)
    world.settle()
    client.send(*(PubRec(message.packet_id) for message in client.messages()))
    for _ in range(connections):
        client.lose()
        client = come(world, 5)
        assert [type(packet) for packet in client.take()] == [ConnAck]  # it would forget the ids
    world.settle()
    assert client.take() == [PubRel(packet_id) for packet_id in range(1, 6)]
    world.power_cut()
    client = come(world, 5)
    assert client.take()[1:] == [PubRel(packet_id) for packet_id in range(1, 6)]
    client.send(*(PubComp(packet_id) for packet_id in range(1, 6)))
    assert world.broker.waiting() == 0


def test_a_pubrec_that_the_disk_never_knew_of_is_asked_for_again() -> None:
    world = KeptWorld()
    client = waiting_for_the_disk(world)
    world.settle()
    client.send(*(PubRec(message.packet_id) for message in client.messages()))
    client.lose()
    client = come(world, 5)
    world.power_cut()
    client = come(world, 5)
    again = [packet for packet in client.take() if isinstance(packet, Publish)]
    assert [(message.packet_id, message.dup) for message in again] == [
        (packet_id, True) for packet_id in range(1, 6)
    ]


def _all(world: KeptWorld, client: Client) -> list[bytes]:
    came: list[bytes] = []
    for _ in range(50):
        world.settle()
        came += client.acknowledge()
    assert not any(isinstance(each, Publish) for each in client.take())
    return came
