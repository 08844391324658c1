"""What moves from one member of a shared subscription to another, and the disk in between."""

import pytest

from gateway.broker.journal import LAZY_S
from gateway.broker.shared import AWAY_S
from gateway.config import MqttSection
from gateway.mqtt.packets import Packet, PubAck, PubComp, Publish, PubRec, PubRel
from tests.broker.kept import WEEK_S, KeptWorld, persistent, subscribed
from tests.broker.world import Client

GROUP = "$share/g/t/+"


def members(world: KeptWorld, *names: str, qos: int) -> list[Client]:
    clients = [persistent(world, name) for name in names]
    for client in clients:
        subscribed(world, client, GROUP, qos)
    return clients


def gone(world: KeptWorld, *clients: Client) -> None:
    for client in clients:
        client.lose()
    world.pass_s(AWAY_S + 1)
    world.settle()


def back(world: KeptWorld, name: str) -> Client:
    """A client whose session the disk knows: its CONNACK does not wait."""
    client = world.client(name)
    client.connect(False, session_expiry_interval_s=WEEK_S)
    client.take()
    return client


def everything(world: KeptWorld, *clients: Client) -> list[bytes]:
    came: list[bytes] = []
    for _ in range(10):
        for client in clients:
            came += client.acknowledge()
        world.settle()
    return came


def one_waits(world: KeptWorld) -> Client:
    """One message of QoS 2 waits for a kept member that is gone; another is here, and not kept."""
    gone(world, *members(world, "kept", qos=2))
    world.broker.publish("t/x", b"1", 2, False, world.now)
    world.settle()
    clean = world.connected("clean")
    clean.subscribe(GROUP, 2)
    return clean


def answers(client: Client) -> list[type[Packet]]:
    return [type(packet) for packet in client.take()]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_moves_before_the_disk_has_it_is_acknowledged_when_the_disk_has_it_there(
    qos: int,
) -> None:
    world = KeptWorld()
    gone(world, *members(world, "a", "b", qos=qos))
    sender = world.connected("s")
    sender.publish("t/x", b"1", qos)
    if qos == 2:
        world.settle()
        assert answers(sender) == [PubRec]
        sender.send(PubRel(1))
    assert len(world.broker.state.sessions["a"].backlog) == 1
    back(world, "b")
    assert len(world.broker.state.sessions["a"].backlog) == 0
    assert answers(sender) == []
    world.settle()
    assert answers(sender) == [PubAck if qos == 1 else PubComp]
    world.power_cut()
    assert everything(world, persistent(world, "b"), persistent(world, "a")) == [b"1"]


@pytest.mark.parametrize("moment", ["before the disk", "while it writes", "after the disk"])
def test_qos_2_that_moves_between_kept_members_comes_once(moment: str) -> None:
    world = KeptWorld()
    gone(world, *members(world, "a", "b", qos=2))
    world.broker.publish("t/x", b"1", 2, False, world.now)
    world.settle()
    b = back(world, "b")
    assert b.take() == []  # its packet id is on its way to the disk
    if moment == "while it writes":
        world.take()
    came: list[bytes] = []
    if moment == "after the disk":
        world.settle()
        came = [packet.payload for packet in b.take() if isinstance(packet, Publish)]
        assert came == [b"1"]
        b.send(PubRec(1))
    world.power_cut()
    clients = [persistent(world, "a"), persistent(world, "b")]
    if moment == "after the disk":  # PUBREC was not on disk: the message comes again, under its id
        assert [(p.packet_id, p.dup) for p in clients[1].take() if isinstance(p, Publish)] == [
            (1, True)
        ]
        clients[1].send(PubRec(1))
    assert came + everything(world, *clients) == [b"1"]


def test_qos_2_of_a_kept_member_goes_to_one_that_is_not_when_the_disk_knows() -> None:
    world = KeptWorld()
    clean = one_waits(world)
    assert clean.take() == []
    world.power_cut()  # nobody had it
    clean = world.connected("clean")
    clean.subscribe(GROUP, 2)
    world.pass_s(AWAY_S + 1)
    assert clean.take() == []
    world.settle()
    assert clean.acknowledge() == [b"1"]
    world.power_cut()
    assert everything(world, persistent(world, "kept")) == []


def test_qos_2_that_moves_to_a_member_that_leaves_meanwhile_goes_to_the_next() -> None:
    world = KeptWorld()
    clean = one_waits(world)
    clean.lose()
    world.settle()
    assert everything(world, persistent(world, "kept")) == [b"1"]


def test_qos_2_moves_all_the_same_if_the_disk_fails() -> None:
    world = KeptWorld()
    clean = one_waits(world)
    world.now += 1
    world.fail()
    assert clean.acknowledge() == [b"1"]


def test_qos_2_of_a_session_that_ends_moves_when_the_disk_has_forgotten_the_session() -> None:
    world = KeptWorld()
    (kept,) = members(world, "kept", qos=2)
    kept.lose()
    world.broker.publish("t/x", b"1", 2, False, world.now)
    world.settle()
    clean = world.connected("clean")
    clean.subscribe(GROUP, 2)
    ending = world.client("kept")
    ending.connect(True)
    assert clean.take() == []
    world.settle()
    assert clean.acknowledge() == [b"1"]


def test_what_expired_while_its_member_was_away_is_counted_and_forgotten() -> None:
    world = KeptWorld()
    gone(world, *members(world, "a", "b", qos=1))
    world.connected("s").publish("t/x", b"1", 1, message_expiry_interval_s=3)
    world.settle()
    world.pass_s(5)
    b = back(world, "b")
    assert b.take() == []
    assert world.broker.waiting() == 0
    assert world.broker.vitals.dropped_expired == 1
    world.pass_s(LAZY_S + 1)
    world.settle()
    world.power_cut()
    assert world.broker.waiting() == 0


def test_what_was_sent_and_has_expired_since_stays_with_its_member() -> None:
    # [MQTT-4.4.0-1]
    world = KeptWorld()
    a, b = members(world, "a", "b", qos=1)
    world.connected("s").publish("t/x", b"1", 1, message_expiry_interval_s=3)
    world.settle()
    (message,) = a.messages()
    gone(world, a)
    assert b.take() == []
    again = back(world, "a")
    assert [(m.payload, m.dup) for m in again.messages()] == []  # back() has read it
    assert world.broker.state.sessions["a"].inflight[message.packet_id] is not None


@pytest.mark.parametrize("qos", [1, 2])
def test_a_full_group_loses_what_the_policy_says(qos: int) -> None:
    world = KeptWorld(MqttSection(queue_full="drop-oldest", queue_messages_max=2))
    gone(world, *members(world, "a", "b", qos=qos))
    for number in range(6):
        world.broker.publish("t/x", b"%d" % number, qos, False, world.now)
    world.settle()
    world.power_cut()
    came = everything(world, persistent(world, "a"), persistent(world, "b"))
    assert sorted(came) == [b"2", b"3", b"4", b"5"]
