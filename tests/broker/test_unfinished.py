"""Bytes of packets that are not whole, of all connections (gateway/broker/unfinished.py)."""

from gateway.broker.broker import Broker
from gateway.broker.logins import User
from gateway.config import MqttSection
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Disconnect, PingReq, Publish, Version
from gateway.mqtt.reasons import Reason
from tests.broker.world import V311, Client, World

MIB = 1_048_576
LARGE = encode(Publish("t", bytes(MIB - 100), 1, packet_id=1), Version.MQTT5)


def world(**more: object) -> World:
    return World(MqttSection(unfinished_bytes_max=4 * MIB, **more))  # type: ignore[arg-type]


def begun(world: World, name: str, size: int = MIB - 1_000) -> Client:
    """A client that has sent the begin of a large message."""
    client = world.connected(name)
    client.send_bytes(LARGE[:size])
    return client


def used(world: World) -> int:
    return world.broker.state.unfinished.used


def test_large_packets_of_many_clients_are_bounded_together_and_who_stalled_longest_goes() -> None:
    here = world()
    clients = [begun(here, f"c{number}") for number in range(10)]
    assert [client.closed for client in clients] == [True] * 6 + [False] * 4
    assert clients[0].take() == [Disconnect(Reason.QUOTA_EXCEEDED)]
    assert clients[0].told == ["its packet is not whole, and others need the room"]
    assert used(here) <= 4 * MIB
    assert here.broker.vitals.closed_unfinished == 6


def test_who_goes_on_stays_however_slow() -> None:
    here = world()
    slow = begun(here, "slow", 500_000)
    for number in range(10):
        begun(here, f"c{number}")
        slow.send_bytes(LARGE[500_000 + number : 500_001 + number])
    assert not slow.closed
    slow.send_bytes(LARGE[500_010:])
    assert len(slow.take()) == 1 and not slow.closed


def test_a_packet_that_is_whole_frees_its_room_and_so_does_a_client_that_goes() -> None:
    here = world()
    whole, gone = begun(here, "whole"), begun(here, "gone")
    whole.send_bytes(LARGE[MIB - 1_000 :])
    gone.lose()
    assert used(here) == 0


def test_pieces_cost_more_than_their_bytes() -> None:
    here = world()
    client = begun(here, "c", 100)
    for byte in range(400):
        client.send_bytes(LARGE[100 + byte : 101 + byte])
    assert used(here) > 400 * 50


def test_connects_that_are_not_whole_count_and_are_closed_without_a_word() -> None:
    here = world(packet_bytes_max=MIB)
    strangers = [here.client(f"s{number}") for number in range(20)]
    for stranger in strangers:
        stranger.send_bytes(b"\x10\xf0\xff\x0f" + bytes(250_000))
    assert [stranger.closed for stranger in strangers] == [True] * 4 + [False] * 16
    assert strangers[0].take() == []


def test_who_is_not_read_is_not_closed_for_it() -> None:
    here = world(publish_rate_max=1, publish_burst_max=1)
    paused = here.connected("paused")
    paused.send_bytes(encode(Publish("t", b""), Version.MQTT5) * 5 + LARGE[: MIB - 1_000])
    assert not paused.connection.reading
    others = [begun(here, f"c{number}") for number in range(6)]
    assert not paused.closed and others[0].closed


def test_what_is_sent_ahead_behind_the_boot_barrier_gets_half() -> None:
    here = world()
    clients = [here.connected(f"c{number}", V311) for number in range(60)]
    here.broker.hold()
    for client in clients:
        if client.connection.reading:
            client.send_bytes(encode(Publish("t", bytes(60_000)), V311))
    held = [client for client in clients if client.connection._chunks]
    assert 30 < len(held) < 40 and used(here) <= 2 * MIB + 61_000
    assert not any(client.connection.reading for client in clients)
    here.broker.unhold(here.now)
    assert used(here) == 0
    assert all(client.connection.reading and client.connection.outbox.look for client in clients)


def test_who_sent_much_while_its_password_was_checked_is_read_again() -> None:
    here = world(allow_anonymous="everywhere")
    broker: Broker = here.broker
    broker.admission.users_changed({"u": User("stored")}, here.now)
    client = here.client("c", V311, trusted=False)
    client.connect(username="u", password=b"p")
    client.send_bytes(encode(Publish("t", bytes(70_000)), V311) + encode(PingReq(), V311))
    assert not client.connection.reading
    client.connection.outbox.look = False
    broker.checked(1, True, here.now)
    assert client.connection.reading and client.connection.outbox.look
    assert len(client.take()) == 2  # CONNACK, PINGRESP
