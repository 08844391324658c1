"""The bound over all sessions together (gateway/broker/room.py)."""

import pytest

from gateway.arrival import Arrival
from gateway.broker.room import PLACE_BYTES, Room
from gateway.broker.session import LARGE_IN_WINDOW_BYTES_MAX
from gateway.config import MqttSection
from gateway.mqtt.message import Message
from gateway.mqtt.packets import ConnAck, Disconnect, PubAck, Publish, PubRec, Will
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket
from tests.broker.kept import KeptWorld, persistent, subscribed
from tests.broker.world import V5, V311, Client, World

STAYS = {"session_expiry_interval_s": 600}
ROOM = 1_000_000
SIZE = 1_000


def small(**more: object) -> World:
    return World(MqttSection(waiting_bytes_max=ROOM, **more))  # type: ignore[arg-type]


def small_kept() -> KeptWorld:
    return KeptWorld(MqttSection(waiting_bytes_max=ROOM))


def away(world: World, client_id: str, topic_filter: str = "") -> None:
    """A session whose client is gone, subscribed at QoS 1 to the topic of its name."""
    if isinstance(world, KeptWorld):
        client = persistent(world, client_id)
        subscribed(world, client, topic_filter or client_id, 1)
    else:
        client = world.connected(client_id, clean=False, **STAYS)
        client.subscribe(topic_filter or client_id, 1)
    client.lose()


def fill(world: World, topic: str, count: int = 2_000, qos: int = 1) -> None:
    for _ in range(count):
        world.broker.publish(topic, bytes(SIZE), qos, False, world.now)


def waiting(world: World, client_id: str) -> int:
    return len(world.broker.state.sessions[client_id].backlog)


def full(world: World) -> Client:
    """So many sessions are away that publishers are refused."""
    for number in range(12):
        away(world, f"a{number}")
        fill(world, f"a{number}", 600)
    assert world.broker.state.refusing()
    return world.connected("p")


def test_one_session_gets_half_and_the_next_half_of_the_rest() -> None:
    world = small()
    for name in ("a", "b"):
        away(world, name)
        fill(world, name)
    cost = SIZE + 203 + PLACE_BYTES
    assert 0.5 < waiting(world, "a") * cost / ROOM < 0.6
    assert 0.2 < waiting(world, "b") * cost / ROOM < 0.3
    assert world.broker.vitals.dropped_room_full == 4_000 - world.broker.waiting()
    assert world.broker.vitals.dropped_queue_full == 0
    assert world.broker.state.room.used == world.held_bytes() < ROOM


def test_who_has_little_waiting_gets_its_messages_beside_those_who_have_much() -> None:
    world = small()
    for name in ("a", "b", "c", "d"):
        away(world, name)
        fill(world, name)
    away(world, "quiet")
    fill(world, "quiet", 10)
    assert waiting(world, "quiet") == 10


def test_the_body_of_a_message_for_many_counts_once() -> None:
    world = World()
    for number in range(20):
        away(world, f"a{number}", "all")
    fill(world, "all", 100)
    assert world.broker.waiting() == 2_000
    assert world.broker.state.room.used == 100 * (SIZE + 205) + 2_000 * PLACE_BYTES


def test_a_publisher_is_told_that_nothing_more_can_be_kept_until_a_quarter_is_free() -> None:
    world = small_kept()
    publisher = full(world)
    publisher.publish("a0", b"more", 1)
    publisher.publish("a0", b"more", 2)
    assert publisher.take() == [
        PubAck(1, Reason.QUOTA_EXCEEDED),
        PubRec(2, Reason.QUOTA_EXCEEDED),
    ]
    assert "messages that wait take" in publisher.told[0]
    assert world.broker.vitals.refused_room_full == 2
    for number in range(5):
        persistent(world, f"a{number}").acknowledge()
        world.settle()
    publisher.publish("a11", b"more", 1)
    world.settle()
    assert publisher.take() == [PubAck(3)]


def test_an_older_client_is_cut_off_without_an_answer() -> None:
    world = small_kept()
    full(world)
    publisher = world.connected("old", V311)
    publisher.publish("a0", b"more", 1)
    assert publisher.closed and publisher.take() == []


def test_who_is_here_and_takes_what_it_gets_is_served_while_nothing_more_is_kept() -> None:
    world = small()
    publisher = full(world)
    reader = world.connected("reader")
    reader.subscribe("live", 1)
    for number in range(200):
        publisher.publish("live", b"%d" % number, 1)
        assert reader.acknowledge() == [b"%d" % number]
    publisher.publish("a0", b"", 0)
    assert all(packet.reason is Reason.SUCCESS for packet in publisher.take())  # type: ignore


def test_who_takes_what_it_gets_is_served_beside_many_who_acknowledge_nothing() -> None:
    world = small()
    good, publisher = world.connected("good"), world.connected("p")
    for client in (good, *[world.connected(f"deaf-{number}") for number in range(80)]):
        client.subscribe("t", 1)
    room = world.broker.state.room
    for number in range(100):
        late = number % 3 == 1  # for a moment it does not read
        world.broker.congested(good.connection, late, world.now)
        publisher.publish("t", b"%d" % number, 1)
        world.broker.congested(good.connection, False, world.now)
        assert good.acknowledge() == [b"%d" % number]
        assert room.used < room.bytes_max
    assert room.left() <= 2 * PLACE_BYTES, "the deaf have all that they can get"


def test_the_last_room_is_not_for_a_large_body_that_nobody_acknowledges() -> None:
    room = Room(ROOM)
    small, large = (Message("t", b"\0\1t", bytes(size), 1) for size in (10, 50_000))
    room.used = ROOM - 40_000  # more than queues may fill
    assert room.takes(1, small) and not room.takes(1, large)
    assert room.takes(0, large), "who has acknowledged all gets it, and gives it back"
    assert not room.takes(11, small)
    room.used = ROOM
    assert not room.takes(0, small)


def test_what_comes_from_another_gateway_is_refused_and_counted_for_want_of_room() -> None:
    world, why = small_kept(), []
    full(world)
    message = Message("a0", b"\0\2a0", b"x", 1, publisher="far")
    ticket = Ticket(lambda: None, why.append)
    world.broker.arrived([message], Arrival(ticket=lambda: ticket), world.now)
    vitals = world.broker.vitals
    assert (vitals.refused_room_full, vitals.refused_disk) == (1, 0)
    assert why == [world.broker.state.refusing()] != [""]


def test_it_is_noted_once_an_episode() -> None:
    world = small()
    full(world)
    world.pass_s(5)
    assert sum("messages that wait take" in note for note in world.notes()) == 1


@pytest.mark.parametrize("qos", [1, 2])
def test_with_drop_oldest_a_queue_gives_up_as_much_as_it_takes(qos: int) -> None:
    world = small(queue_full="drop-oldest")
    for number in range(12):
        client = world.connected(f"a{number}", clean=False, **STAYS)
        client.subscribe(f"a{number}", qos)
        client.lose()
        fill(world, f"a{number}", 600, qos)
    assert not world.broker.state.refusing()
    before = waiting(world, "a3")
    publisher = world.connected("p")
    publisher.publish("a3", b"newest", 1)
    assert publisher.take() == [PubAck(1)]
    assert before - 1 <= waiting(world, "a3") <= before + 1
    assert world.broker.state.sessions["a3"].backlog.line[-1][0].payload == b"newest"
    assert world.broker.state.room.used == world.held_bytes() < ROOM


def test_qos_0_gets_half_of_the_room() -> None:
    world = small(queue_full="drop-qos0-first")
    for number in range(12):
        away(world, f"a{number}")
        fill(world, f"a{number}", 600, 0)
    assert world.broker.state.room.used == pytest.approx(ROOM / 2, rel=0.01)
    fill(world, "a11", 10)
    assert sum(entry[1] for entry in world.broker.state.sessions["a11"].backlog) == 10


def test_qos_2_that_is_not_released_counts_too() -> None:
    world = small(queue_bytes_max=400_000, packet_bytes_max=10_000)
    refused = 0
    for number in range(10):
        publisher = world.connected(f"p{number}")
        for _ in range(300):
            publisher.publish("t", bytes(SIZE), 2)
        refused += publisher.take().count(PubRec(300, Reason.QUOTA_EXCEEDED))
    assert refused > 0
    assert world.broker.state.room.used == world.held_bytes() < ROOM
    assert world.broker.vitals.refused_room_full > 0


def test_large_messages_to_a_client_that_does_not_acknowledge_wait_in_its_queue() -> None:
    world = World(MqttSection(queue_bytes_max=20_000_000))
    client = world.connected("c")
    client.subscribe("t", 1)
    for _ in range(10):
        world.broker.publish("t", bytes(1_000_000), 1, False, world.now)
    assert len(client.messages()) == LARGE_IN_WINDOW_BYTES_MAX // 1_000_000
    assert world.broker.waiting() == 10
    client.send(*(PubAck(packet_id) for packet_id in (1, 2)))
    assert len(client.messages()) == 2


def test_a_message_larger_than_that_is_sent_alone() -> None:
    world = World(MqttSection(packet_bytes_max=9_000_000))
    client = world.connected("c")
    client.subscribe("t", 1)
    for _ in range(2):
        world.broker.publish("t", bytes(5_000_000), 1, False, world.now)
    assert len(client.acknowledge()) == 2


def test_wills_count_and_a_client_whose_will_has_no_room_is_told() -> None:
    world = World(MqttSection(waiting_bytes_max=1_000_000))
    will = Will("w", bytes(60_000), 1)
    clients = [world.client(f"c{number}") for number in range(40)]
    for client in clients:
        client.connect(will=will)
    reasons = [client.take()[0].reason for client in clients]  # type: ignore[union-attr]
    let_in = reasons.count(Reason.SUCCESS)
    assert let_in == 15 and reasons[let_in:] == [Reason.QUOTA_EXCEEDED] * (40 - let_in)
    for client in clients[:let_in]:
        client.disconnect()
    assert world.broker.state.room.used == 0


def test_a_client_with_a_small_will_may_come_for_what_waits_however_full_it_is() -> None:
    world = small()
    full(world)
    world.broker.state.room.free(-10_000)
    will = Will("gone/a0", b"offline", 1)
    client = world.connected("a0", clean=False, will=will, **STAYS)
    assert client.acknowledge()


def test_a_replay_waits_while_nothing_may_be_added_and_then_goes_on() -> None:
    world = small()
    for number in range(5):
        world.broker.publish(f"t/{number}", b"x", 1, True, world.now)
    room = world.broker.state.room
    room.free(-2_000)
    client = world.connected("c")
    client.subscribe("t/+", 1)
    assert client.take() == [] and world.broker.vitals.dropped() == 0
    room.free(2_000)
    world.pass_s(1.1)
    assert len(client.acknowledge()) == 5


def test_delayed_wills_count_until_they_are_sent() -> None:
    world = World()
    will = Will("w", bytes(1_000), 1)
    client = world.connected("c", will=will, **STAYS)
    alone = world.broker.state.room.used
    assert alone == world.held_bytes() > 1_000
    client.lose()
    assert world.broker.state.room.used == 0


def test_what_the_disk_had_is_kept_even_if_it_is_more_than_the_room() -> None:
    world = KeptWorld()
    client = persistent(world, "s")
    subscribed(world, client, "#", 1)
    client.lose()
    fill(world, "t", 200)
    world.settle()
    world._settings = MqttSection(waiting_bytes_max=100_000)
    world.power_cut()
    assert world.broker.state.room.used == world.held_bytes() > 100_000
    publisher = world.connected("p")
    publisher.publish("t", b"more", 1)
    assert publisher.take() == [PubAck(1, Reason.QUOTA_EXCEEDED)]
    client = persistent(world, "s")
    assert len(client.acknowledge()) == 200
    world.settle()
    assert world.broker.state.room.used == 0


def test_a_disk_that_hangs_costs_nothing_for_what_is_acknowledged_meanwhile() -> None:
    world = KeptWorld()
    reader = persistent(world, "s")
    subscribed(world, reader, "#", 1)
    world.connected("stuck").publish("t", b"x", 1)
    world.now += 1
    assert world.take() is not None
    publisher = world.connected("p")
    reader.acknowledge()
    for _ in range(5_000):
        publisher.publish("t", bytes(100), 1, packet_id=7)
        reader.acknowledge()
    assert publisher.take().count(PubAck(7)) > 4_900
    assert len(world.broker.journal._entries) < 10
    world.sync()
    assert world.broker.state.room.used == 0


def test_properties_are_no_way_around_it() -> None:
    world = small()
    away(world, "a")
    publisher = world.connected("p")
    for _ in range(40):
        properties = {"user_properties": (("k", "v"),) * 500}
        publisher.publish("a", b"", 1, **properties)
    assert waiting(world, "a") < 10


@pytest.mark.parametrize("version", [V311, V5])
def test_a_new_client_is_welcome_while_the_room_is_full(version: object) -> None:
    world = small()
    full(world)
    client = world.client("new", version)  # type: ignore[arg-type]
    client.connect()
    (connack,) = client.take()
    assert isinstance(connack, ConnAck) and connack.reason is Reason.SUCCESS
    assert not any(isinstance(packet, Disconnect | Publish) for packet in client.take())
