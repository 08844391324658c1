"""Sockets at the door, by address, and those that a proxy brings (gateway/broker/door.py)."""

from gateway.broker.connection import Connection, State
from gateway.broker.passage import Wish
from gateway.config import MqttSection
from tests.broker.world import World

FAR = "192.0.2.7"


def door(**settings: int) -> World:
    return World(MqttSection(**settings))  # type: ignore[arg-type]


def shares(world: World) -> dict[str, int]:
    return world.broker.state.door.by_address


def test_an_address_has_its_share_and_gets_it_back() -> None:
    world = door(connections_per_address_max=1)
    first = world.broker.entrance.admit(FAR, False, world.now)
    assert first is not None and world.broker.entrance.admit(FAR, False, world.now) is None
    assert world.broker.vitals.refused_per_address == 1
    assert world.broker.entrance.admit("127.0.0.1", True, world.now) is not None
    world.broker.entrance.left(first)
    assert shares(world) == {} and world.broker.entrance.admit(FAR, False, world.now) is not None


def test_the_oldest_that_did_not_say_who_it_is_makes_way() -> None:
    world = door(unauthenticated_max=2)
    admitted = [world.broker.entrance.admit(FAR, False, world.now) for _ in range(3)]
    states = [connection.state for connection in admitted if connection is not None]
    assert states == [State.CLOSED, State.WAITING, State.WAITING]


def test_a_proxys_socket_has_the_share_of_whom_it_is_named_for() -> None:
    world = door(connections_per_address_max=1)
    broker, now = world.broker, world.now
    sockets = [broker.entrance.admit_unnamed("127.0.0.1", now) for _ in range(3)]
    assert shares(world) == {}
    assert broker.entrance.named(sockets[0], FAR, False, now)
    assert not broker.entrance.named(sockets[1], FAR, False, now)
    assert broker.entrance.named(sockets[2], "192.0.2.8", False, now)
    assert shares(world) == {FAR: 1, "192.0.2.8": 1}
    assert (sockets[0].address, sockets[0].trusted) == (FAR, False)
    for socket in sockets:
        broker.entrance.left(socket)  # the second was never counted
    assert shares(world) == {}


def test_a_proxys_own_connection_may_count_as_local() -> None:
    world = door(connections_per_address_max=1)
    for _ in range(3):
        own = world.broker.entrance.admit_unnamed("127.0.0.1", world.now)
        assert world.broker.entrance.named(own, "127.0.0.1", True, world.now) and own.trusted
    assert shares(world) == {}


def test_a_socket_that_nobody_names_is_closed_like_any_other() -> None:
    world = door(unauthenticated_max=1)
    first: Connection = world.broker.entrance.admit_unnamed("127.0.0.1", world.now)
    second = world.broker.entrance.admit_unnamed("127.0.0.1", world.now)
    assert (first.state, second.state) == (State.CLOSED, State.WAITING)
    world.now += 10.1
    world.broker.wake(world.now)
    assert second.state is State.CLOSED


class Fetches:
    """Nothing is anywhere else."""

    def fetch(self, wish: Wish) -> bool:
        return False

    def due(self, client_id: str, now: float) -> float:
        return now


def test_connects_that_wait_until_it_is_known_whose_sessions_are_whose_are_bounded() -> None:
    world = door(connections_max=2)
    world.broker.state.fetching = Fetches()
    world.broker.meet()
    clients = [world.client(f"c{number}") for number in range(4)]
    for client in clients:
        client.connect()
    assert [client.take() for client in clients[:2]] == [[], []]
    assert all(client.closed for client in clients[2:])
    assert world.broker.vitals.refused_full == 2
    world.broker.met(world.now)
    assert [client.connection.state for client in clients[:2]] == [State.OPEN] * 2
