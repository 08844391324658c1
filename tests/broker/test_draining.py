"""A gateway that goes out of service: nobody comes in, and who is here is sent to the others, slowly."""

import msgspec

from gateway.broker.draining import CLIENTS_A_STEP, STEP_S
from gateway.broker.parcel import Label, Packer
from gateway.broker.rows import living_rows
from gateway.limits import RETURN_S
from gateway.mqtt.packets import ConnAck, Disconnect, Version, Will
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V5, V311, Client, World

OTHERS = ["192.0.2.12", "192.0.2.13:1884"]


def drain(world: World, others: list[str]) -> None:
    world.broker.drain_clients(lambda: others, world.now)


def disconnect(client: Client) -> Disconnect:
    (packet,) = client.take()
    assert isinstance(packet, Disconnect)
    return packet


def test_clients_are_told_where_to_go() -> None:
    world = World()
    clients = [world.connected(f"c{n}") for n in range(3)]
    drain(world, OTHERS)
    world.pass_s(STEP_S)
    told = [disconnect(client) for client in clients]
    assert {packet.reason for packet in told} == {Reason.USE_ANOTHER_SERVER}
    references = [packet.properties.server_reference for packet in told]
    there, back = " ".join(OTHERS), " ".join(reversed(OTHERS))
    assert references == [there, back, there]
    assert all(client.closed for client in clients) and world.broker.clients() == 0


def test_without_another_gateway_no_place_is_named() -> None:
    world = World()
    client = world.connected("c")
    drain(world, [])
    world.pass_s(STEP_S)
    assert disconnect(client).properties.server_reference is None


def test_an_older_client_is_disconnected_without_a_word() -> None:
    world = World()
    client = world.connected("c", V311)
    drain(world, OTHERS)
    world.pass_s(STEP_S)
    assert client.closed and client.take() == []


@EVERY_VERSION
def test_nobody_comes_in(version: Version) -> None:
    world = World()
    drain(world, OTHERS)
    client = world.client("c", version)
    client.connect()
    (answer,) = client.take()
    assert isinstance(answer, ConnAck) and client.closed
    if version is V5:
        assert answer.reason is Reason.USE_ANOTHER_SERVER
        assert answer.properties.server_reference == " ".join(OTHERS)


def test_they_are_sent_away_at_a_bounded_rate() -> None:
    world = World()
    for n in range(3 * CLIENTS_A_STEP):
        world.connected(f"c{n}")
    drain(world, OTHERS)
    world.pass_s(STEP_S / 2)
    left = [world.broker.clients()]
    for _ in range(2):
        world.pass_s(STEP_S)
        left.append(world.broker.clients())
    assert left == [2 * CLIENTS_A_STEP, CLIENTS_A_STEP, 0]


def test_no_will_is_sent_and_what_waits_stays() -> None:
    world = World()
    kept = world.connected("kept", clean=False, session_expiry_interval_s=100)
    kept.subscribe("t", 1)
    world.connected("c", will=Will("wills/c", b"gone", 1, True))
    drain(world, OTHERS)
    world.pass_s(1)
    assert len(world.broker.retained) == 0
    assert world.broker.state.sessions.keys() == {"kept"}


def test_the_will_of_one_that_is_nowhere_after_ten_seconds_is_sent() -> None:
    world = World()
    used = world.broker.state.room.used
    for name in ("back", "lost"):
        world.connected(name, will=Will(f"wills/{name}", name.encode(), 0, True))
    drain(world, OTHERS)
    world.pass_s(STEP_S)
    world.broker.came_elsewhere("back", True, world.now)
    world.pass_s(RETURN_S)
    assert [kept.topic for kept in world.broker.retained.matching("wills/#")] == ["wills/lost"]
    state = world.broker.state
    assert not state.wills and not state.sent_away and state.room.used == used


def test_a_copy_has_no_will_that_is_in_memory_only() -> None:
    world = World()
    world.connected("c", will=Will("wills/c", b"gone"))
    drain(world, OTHERS)
    world.pass_s(STEP_S)
    assert world.broker.state.wills and not list(living_rows(world.broker.state, {}))


def test_nor_has_a_session_that_moves() -> None:
    world = World()
    world.connected("c", clean=False, session_expiry_interval_s=100, will=Will("wills/c", b"gone"))
    session = world.broker.state.sessions["c"]
    drain(world, OTHERS)
    world.pass_s(STEP_S)
    assert world.broker.state.wills
    label = msgspec.msgpack.decode(Packer(world.broker.state, session).label(), type=Label)
    assert label.session.client_id == "c" and label.will is None


def test_in_service_again_it_takes_clients_and_keeps_them() -> None:
    world = World()
    world.connected("c")
    drain(world, OTHERS)
    world.pass_s(1)
    assert world.broker.drained()
    world.broker.undrain_clients()
    assert not world.broker.drained()
    client = world.connected("c")
    world.pass_s(5)
    assert not client.closed
