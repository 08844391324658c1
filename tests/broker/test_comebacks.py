"""Clients that are cut off for want of room and come back at once (gateway/broker/comebacks.py)."""

import pytest

from gateway.broker import comebacks
from gateway.broker.comebacks import DELAY_MAX_S, FORGIVEN_S, Comebacks
from gateway.mqtt.packets import ConnAck, PingResp, PubAck, Version
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld, away
from tests.broker.world import V5, V311, Client


def full_disk() -> KeptWorld:
    world = KeptWorld()
    away(world)
    world.refuse("the disk is full; make room")
    return world


def tries(world: KeptWorld, client_id: str = "p", version: Version = V311) -> tuple[float, Client]:
    """The client connects and publishes at once; how long it waited for CONNACK."""
    client = world.client(client_id, version)
    client.connect()
    begin = world.now
    while not client.connection.session:
        world.pass_s(0.01)
        assert world.now - begin < 9, "it gives up"
    (connack,) = client.take()
    assert isinstance(connack, ConnAck) and connack.reason is Reason.SUCCESS
    client.publish("t", b"x", 1)
    return world.now - begin, client


def test_an_older_client_that_publishes_into_a_full_disk_has_to_wait_longer_each_time() -> None:
    world = full_disk()
    waits = []
    for _ in range(6):
        waited, client = tries(world)
        assert client.closed
        waits.append(round(waited, 1))
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0]
    assert world.broker.vitals.comebacks_slowed == 5


def test_others_of_its_address_and_clients_that_can_be_told_do_not_wait() -> None:
    world = full_disk()
    tries(world)
    assert tries(world, "another")[0] == 0
    for _ in range(3):
        waited, client = tries(world, "new", V5)
        assert waited == 0
        assert client.take() == [PubAck(1, Reason.QUOTA_EXCEEDED)]
        client.lose()


def test_who_comes_back_later_does_not_wait_and_after_a_minute_all_is_forgotten() -> None:
    world = full_disk()
    tries(world)
    tries(world)
    world.pass_s(1.5)
    assert tries(world)[0] == 0
    world.pass_s(FORGIVEN_S + 1)
    assert tries(world)[0] == 0
    assert round(tries(world)[0], 1) == 0.5


def test_what_could_not_be_written_counts_too() -> None:
    world = KeptWorld()
    away(world)
    client = world.connected("p")
    client.publish("t", b"x", 1)
    world.now += 1
    world.fail()
    assert client.closed
    world.broker.journal.refusing = ""
    assert round(tries(world, "p", V5)[0], 1) == 0.5


def test_what_is_said_while_it_waits_is_worked_off_behind_its_connack() -> None:
    world = full_disk()
    tries(world)
    client = world.client("p", V311)
    client.connect()
    client.publish("elsewhere", b"x", 0)
    client.send_bytes(b"\xc0\x00")
    assert client.take() == []
    world.pass_s(0.6)
    assert [type(packet) for packet in client.take()] == [ConnAck, PingResp]


def test_a_client_that_gives_up_waiting_leaves_nothing() -> None:
    world = full_disk()
    tries(world)
    client = world.client("p", V311)
    client.connect()
    client.lose()
    world.pass_s(1)
    assert client.take() == [] and world.broker.clients() == 0


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comebacks, "CLIENTS_MAX", 3)
    table = Comebacks()
    for number in range(5):
        table.cut_off(f"c{number}", "192.0.2.1", 0.0)
    late = [number for number in range(5) if table.due(f"c{number}", "192.0.2.1", 0.0) > 0.0]
    assert late == [2, 3, 4]
    for _ in range(50):
        table.cut_off("c4", "192.0.2.1", 0.0)
    assert table.due("c4", "192.0.2.1", 0.0) == DELAY_MAX_S
