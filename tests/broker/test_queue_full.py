"""Which message a full queue loses (mqtt.queue_full)."""

import pytest

from gateway.broker.records import Wish
from gateway.config import MqttSection
from tests.broker.kept import KeptWorld, persistent, subscribed
from tests.broker.world import Client, World

STAYS = {"session_expiry_interval_s": 600}


def away(policy: str, messages_max: int = 3, **more: int) -> World:
    world = World(MqttSection(queue_full=policy, queue_messages_max=messages_max, **more))
    client = world.connected("s", clean=False, **STAYS)
    client.subscribe("#", 2)
    client.lose()
    return world


def publish(world: World, *payloads: str) -> None:
    """The first figure is the QoS."""
    for payload in payloads:
        world.broker.publish("t", payload.encode(), int(payload[0]), False, world.now)


def back(world: World, **properties: object) -> Client:
    return world.connected("s", clean=False, **STAYS, **properties)


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ("refuse-new", ["1a", "2b", "1c"]),
        ("drop-oldest", ["1c", "2d", "1e"]),
        ("drop-qos0-first", ["1a", "2b", "1c"]),
    ],
)
def test_what_is_left_of_qos_1_and_2(policy: str, left: list[str]) -> None:
    world = away(policy)
    publish(world, "1a", "2b", "0x", "1c", "2d", "1e")
    assert world.broker.waiting() == 3
    assert [payload.decode() for payload in back(world).acknowledge()] == left
    lost = 2 if policy != "drop-qos0-first" else 3
    assert world.broker.vitals.dropped_queue_full == lost


def test_qos_0_waits_where_it_goes_first() -> None:
    world = away("drop-qos0-first")
    publish(world, "0a", "1b", "0c", "0d")  # no room for the last
    assert [m.payload for m in back(world).messages()] == [b"0a", b"0c", b"1b"]
    assert world.broker.vitals.dropped_queue_full == 1


def test_qos_0_waits_for_a_client_that_does_not_read_and_keeps_its_order() -> None:
    world = World(MqttSection(queue_full="drop-qos0-first"))
    client = world.connected("s", receive_maximum=1)
    client.subscribe("#", 1)
    publish(world, "1a", "1b", "0c")
    world.broker.congested(client.connection, True, world.now)
    publish(world, "0d", "0e")
    sender = world.connected("p")
    sender.publish("t", b"0f")
    world.broker.congested(client.connection, False, world.now)
    sender.publish("t", b"0g")
    assert client.acknowledge() == [b"1a", b"0c", b"0d", b"0e", b"0f", b"0g", b"1b"]
    assert world.broker.vitals.dropped() == 0


def test_qos_0_that_has_expired_is_not_sent() -> None:
    world = away("drop-qos0-first")
    world.connected("p").publish("t", b"", message_expiry_interval_s=5)
    world.pass_s(6)
    assert back(world).take() == []
    assert world.broker.vitals.dropped_expired == 1


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-qos0-first"])
def test_a_large_message_makes_room_for_itself_unless_it_could_never_have_any(policy: str) -> None:
    world = away(policy, 100, queue_bytes_max=2_000, packet_bytes_max=4_000)
    qos = 1 if policy == "drop-oldest" else 0
    for number in range(9):
        world.broker.publish("t", b"%d" % number, qos, False, world.now)
    world.broker.publish("t", bytes(1_000), 1, False, world.now)
    world.broker.publish("t", bytes(3_000), 1, False, world.now)
    came = back(world).acknowledge()
    assert came[-1] == bytes(1_000)
    assert world.broker.vitals.dropped_queue_full + len(came) == 11


def test_what_was_sent_before_is_not_dropped() -> None:
    world = World(MqttSection(queue_full="drop-oldest", queue_messages_max=2))
    client = world.connected("s", clean=False, receive_maximum=5, **STAYS)
    client.subscribe("#", 1)
    publish(world, "1a", "1b", "1c")
    client.take()
    client.lose()
    client = back(world, receive_maximum=1)  # two go back to the queue, with their packet ids
    publish(world, "1d")
    assert client.acknowledge() == [b"1a", b"1b", b"1c"]
    assert world.broker.vitals.dropped_queue_full == 1


def test_what_was_dropped_is_gone_from_the_disk_too() -> None:
    world = KeptWorld(MqttSection(queue_full="drop-oldest", queue_messages_max=2))
    client = persistent(world, "s")
    subscribed(world, client, "#", 1)
    client.lose()
    publish(world, "1a", "1b")
    world.settle()
    publish(world, "1c", "0d")
    world.settle()
    world.power_cut()
    assert persistent(world, "s").acknowledge() == [b"1b", b"1c"]


def test_qos_0_that_waits_is_in_memory_only() -> None:
    world = KeptWorld(MqttSection(queue_full="drop-qos0-first"))
    client = persistent(world, "s")
    subscribed(world, client, "#", 1)
    client.lose()
    publish(world, "0a", "1b")
    world.sync(wish=Wish.NOW)
    world.settle()
    world.power_cut()
    assert persistent(world, "s").acknowledge() == [b"1b"]
