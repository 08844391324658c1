"""What the answer to a message waits for, by its topic: memory, a disk, two disks."""

from dataclasses import replace

import pytest

from gateway.mesh.copier import Standing
from gateway.mesh.frames import Entries
from gateway.mqtt.packets import PubComp, Publish, PubRec, PubRel, Version
from tests.mesh.room import CLUSTER, Client, Gate, Room, between

SHORT = replace(CLUSTER, copy_after_s=5.0)
MEETING_S = CLUSTER.dead_s + 1.0
RULES = (
    ("m/#", "memory"),
    ("l/#", "local"),
    ("c/#", "mesh"),
    ("m/c/#", "mesh"),
    ("+/l/#", "local"),
)


def rooms(
    *names: str, default: str = "mesh", **rules: tuple[tuple[str, str], ...]
) -> tuple[Room, list[Gate]]:
    """Gateways each of which has a copy at the next one; `rules` are those of a gateway, by its name."""
    room = Room()
    cluster = replace(SHORT, durability=default)
    gates = [
        room.gate(name, disk=True, cluster=cluster, rules=rules.get(name, ())) for name in names
    ]
    for number, gate in enumerate(gates):
        for other in gates[number + 1 :]:
            room.line(gate, other)
    room.wait(MEETING_S)
    assert [gate.mesh.copier.standing for gate in gates] == [Standing.TOGETHER] * len(gates)
    return room, gates


def sleeper(gate: Gate, name: str = "sleeper", topic_filter: str = "#") -> None:
    """A session that is kept, and away."""
    client = gate.client(name, clean=False)
    gate.room.wait(0.1)
    client.subscribe(topic_filter, 2)
    gate.room.wait(0.1)
    assert client.kinds()[-1] == "SubAck"
    client.leave()
    gate.room.wait(0.2)


def said(writer: Client, topic: str, qos: int = 1, retain: bool = False) -> list[str]:
    """What the publisher of one message is told at once; the disks have rested."""
    writer.gate.room.wait(0.1)
    writer.got()
    writer.publish(topic, b"x", qos, retain)
    writer.gate.room.settle()
    return writer.kinds()


@pytest.mark.parametrize(
    ("topic", "own_disk", "copy"),
    [
        ("m/1", False, False),
        ("l/1", True, False),
        ("c/1", True, True),
        ("other", True, True),  # as the gateway says: mesh
        ("m/c/1", True, True),  # two filters, the strictest counts
        ("m/l/1", True, False),
        ("c/l/1", True, True),
    ],
)
@pytest.mark.parametrize("retain", [False, True])
def test_each_topic_waits_for_what_its_strictest_filter_says(
    topic: str, own_disk: bool, copy: bool, retain: bool
) -> None:
    room, (a, b) = rooms("a", "b", a=RULES)
    sleeper(a)
    writer = a.client("writer")
    room.wait(0.1)
    a.disk_works = b.copies_work = b.disk_works = False
    # what is retained goes to b, too, which keeps it for its own session only: it has none
    assert said(writer, topic, retain=retain) == ([] if own_disk else ["PubAck"])
    a.disk_works = True
    room.settle()
    assert writer.kinds() == (["PubAck"] if own_disk and not copy else [])
    b.copies_work = True
    room.settle()
    assert writer.kinds() == (["PubAck"] if copy else [])


@pytest.mark.parametrize("default", ["local", "memory"])
def test_a_filter_may_be_stricter_than_its_gateway(default: str) -> None:
    room, (a, b) = rooms("a", "b", default=default, a=(("c/#", "mesh"),))
    sleeper(a)
    writer = a.client("writer")
    b.copies_work = False
    assert said(writer, "other") == ["PubAck"]
    assert said(writer, "c/1") == []
    b.copies_work = True
    room.settle()
    assert writer.kinds() == ["PubAck"]


@pytest.mark.parametrize(
    ("topic", "their_disk", "copy"),
    [("m/1", False, False), ("l/1", True, False), ("c/1", True, True)],
)
def test_the_gateway_of_the_publisher_decides_for_sessions_of_another_one(
    topic: str, their_disk: bool, copy: bool
) -> None:
    theirs = (("m/#", "mesh"), ("l/#", "memory"), ("c/#", "memory"))
    room, (a, b, c) = rooms("a", "b", "c", a=RULES, b=theirs)
    sleeper(b)
    writer = a.client("writer")
    room.wait(0.1)
    b.disk_works = c.copies_work = False
    assert said(writer, topic) == ([] if their_disk else ["PubAck"])
    b.disk_works = True
    room.settle()
    assert writer.kinds() == (["PubAck"] if their_disk and not copy else [])
    c.copies_work = True
    room.settle()
    assert writer.kinds() == (["PubAck"] if copy else [])


def test_memory_waits_until_other_gateways_have_taken_it() -> None:
    room, (a, b) = rooms("a", "b", a=RULES)
    reader = b.client("reader")
    reader.subscribe("#")
    room.wait(0.1)
    writer = a.client("writer")
    room.wait(0.1)
    line = between(room, "a", "b")
    line.muted.add(1)
    assert said(writer, "m/1") == []
    line.muted.clear()
    room.settle()
    assert writer.kinds() == ["PubAck"]
    assert reader.payloads() == [b"x"]


def test_the_level_goes_with_a_message_for_a_member_of_a_shared_subscription() -> None:
    room, (a, b) = rooms("a", "b", a=RULES)
    sleeper(b, topic_filter="$share/g/#")
    writer = a.client("writer")
    room.wait(0.1)
    b.disk_works = False
    assert said(writer, "m/1") == ["PubAck"]
    assert said(writer, "l/1") == []
    b.disk_works, a.copies_work = True, False
    room.wait(0.2)
    assert writer.kinds() == ["PubAck"]


def test_qos_2_in_memory_is_received_at_once_and_completed_when_it_is_over_on_disk() -> None:
    """Else the packet id would, after a crash, still stand for the message that is over."""
    room, (a, b) = rooms("a", "b", a=RULES)
    sleeper(a)
    writer = a.client("writer", clean=False)
    room.wait(0.3)
    a.disk_works = b.copies_work = False
    assert said(writer, "m/1", qos=2) == ["PubRec"]
    writer.send(PubRel(1))
    room.settle()
    assert writer.kinds() == []
    a.disk_works = True
    room.wait(0.2)
    assert writer.kinds() == ["PubComp"]


def test_qos_2_that_is_sent_again_waits_for_what_the_first_waits_for() -> None:
    room, (a, b) = rooms("a", "b", default="memory", a=RULES)
    sleeper(a)
    writer = a.client("writer", clean=False)
    room.wait(0.3)
    a.disk_works = False
    assert said(writer, "c/1", qos=2) == []
    writer.leave()
    writer = a.client("writer", clean=False)
    writer.send(Publish("c/1", b"x", 2, packet_id=1, dup=True))
    room.settle()
    assert writer.kinds() == []
    a.disk_works = b.copies_work = True
    room.wait(0.2)
    assert writer.kinds() == ["PubRec"]


def test_qos_2_in_memory_comes_once_though_its_owner_began_anew_before_it_said_so() -> None:
    room, (a, b) = rooms("a", "b", a=RULES)
    sleeper(b)
    writer = a.client("writer")
    room.wait(0.1)
    line = between(room, "a", "b")
    line.muted.add(1)  # b hears, and is not heard
    assert said(writer, "m/1", qos=2) == ["PubRec"]
    writer.send(PubRel(1))
    room.wait(0.3)  # the disk of b has it
    assert a.peer("b").outgoing.untaken()
    b.restart()
    room.line(a, b)
    room.wait(1)
    reader = b.client("sleeper", version=Version.MQTT311, clean=False)
    room.wait(0.5)
    came = [packet for packet in [*reader.welcome, *reader.got()] if isinstance(packet, Publish)]
    assert [packet.payload for packet in came] == [b"x"]
    for packet in came:
        reader.send(PubRec(packet.packet_id))
        room.wait(0.5)
        reader.send(PubComp(packet.packet_id))
    room.wait(0.5)
    assert not [packet for packet in reader.got() if isinstance(packet, Publish)]


@pytest.mark.parametrize(
    ("topic", "level"), [("c/1", "mesh"), ("other", "mesh"), ("m/c/1", "mesh")]
)
def test_when_the_last_peer_goes_mesh_is_local_and_there_is_one_copy_until_one_is_back(
    topic: str, level: str
) -> None:
    room, (a, b) = rooms("a", "b", a=RULES)
    sleeper(a)
    writer = a.client("writer")
    room.wait(0.1)
    room.kill(b)
    room.wait(CLUSTER.dead_s + 1)
    assert not a.mesh.copier.two_copies
    a.disk_works = False
    assert said(writer, topic) == [], "it waits for the disk here"
    a.disk_works = True
    room.settle()
    assert writer.kinds() == ["PubAck"], "and for nobody else"
    room.gates.append(b)
    b.restart()
    room.line(a, b)
    room.wait(1)
    assert a.mesh.copier.two_copies
    b.copies_work = False
    assert said(writer, topic) == [], "now it waits for the second copy again"
    b.copies_work = True
    room.settle()
    assert writer.kinds() == ["PubAck"]


def test_a_gateway_without_rules_says_its_own_level_to_others() -> None:
    room, (a, b) = rooms("a", "b", default="local")
    sleeper(b)
    writer = a.client("writer")
    room.wait(0.1)
    room.frames.clear()
    said(writer, "t")
    entries = [entry for _, _, f in room.frames if isinstance(f, Entries) for entry in f.entries]
    assert [entry.level.name for entry in entries] == ["LOCAL"]
