"""A client's window, while the packet ids of QoS 2 are on their way to the disk."""

from gateway.mqtt.packets import Publish
from tests.broker.kept import KeptWorld
from tests.broker.test_kept import WEEK_S, subscribed
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


def _all(world: KeptWorld, client: Client) -> list[bytes]:
    came: list[bytes] = []
    for _ in range(50):
        world.settle()
        came += client.acknowledge()
    assert not any(isinstance(each, Publish) for each in client.take())
    return came
