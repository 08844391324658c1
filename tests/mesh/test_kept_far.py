"""A message for a session that another gateway keeps: acknowledged when it is on that one's disk."""

import pytest

from gateway.limits import PARKED_BYTES_MAX
from gateway.mesh.frames import Entries
from gateway.mesh.life import Life
from gateway.mqtt.packets import PubComp, Publish, PubRec, PubRel, Version
from tests.broker.kept import Card
from tests.mesh.room import Client, Gate, Line, Room, between


class Kept:
    """The gateways a and b; b keeps the session `s`, subscribed to k/#, whose client is away."""

    def __init__(self) -> None:
        self.room = Room()
        self.a, self.b = self.room.gate("a"), self.room.gate("b", Card())
        self.room.line(self.a, self.b)
        self.room.settle()
        client = self.back()
        client.subscribe("k/#", 2)
        self.sync()
        client.connection.lost(self.room.now)
        self.writer = self.a.client("writer")

    def back(self) -> Client:
        """The client of the session is here."""
        client = self.b.client("s", clean=False)
        if self.b.node.broker.journal.deadline() <= self.room.now:
            self.sync()
        return client

    def sync(self) -> None:
        """The disk of b is idle, and has all that somebody waits for."""
        for _ in range(5):
            self.room.now += 0.03
            if self.b.node.broker.journal.deadline() <= self.room.now:
                self.b.sync()

    def publish(self, payload: bytes, qos: int = 1, topic: str = "k/1") -> None:
        self.writer.publish(topic, payload, qos)
        self.room.settle()

    def relink(self) -> None:
        self.room.line(self.a, self.b)
        self.room.settle()

    def got(self) -> list[bytes]:
        """What the session has when its client is back, QoS 2 to its end."""
        client = self.back()
        payloads = []
        for packet in [*client.welcome, *client.got()]:
            if isinstance(packet, Publish):
                payloads.append(packet.payload)
                if packet.qos == 2:
                    client.send(PubRec(packet.packet_id))
                    self.sync()
                    assert [type(each) for each in client.got()] == [PubRel]
                    client.send(PubComp(packet.packet_id))
        self.sync()
        client.connection.lost(self.room.now)
        return payloads

    @property
    def line(self) -> Line:
        return between(self.room, "a", "b")


def entries_from_a(room: Room) -> list[bytes]:
    return [
        entry.payload
        for source, _, frame in room.frames
        if source == "a" and isinstance(frame, Entries)
        for entry in frame.entries
    ]


def test_the_acknowledgement_waits_for_the_disk_of_the_gateway_that_keeps_the_session() -> None:
    world = Kept()
    world.publish(b"1")
    assert world.writer.kinds() == []
    world.room.wait(1)
    assert world.writer.kinds() == []
    world.sync()
    assert world.writer.kinds() == ["PubAck"]
    assert world.got() == [b"1"]


def test_what_needs_no_disk_there_does_not_wait_behind_what_does() -> None:
    world = Kept()
    world.b.client("reader").subscribe("live", 1)
    world.room.settle()
    other = world.a.client("other")
    world.writer.publish("k/1", b"kept")
    other.publish("live", b"1")
    world.room.settle()
    assert other.kinds() == ["PubAck"]
    assert world.writer.kinds() == []
    world.sync()
    assert world.writer.kinds() == ["PubAck"]


def test_qos_2_is_complete_when_it_is_on_that_disk() -> None:
    world = Kept()
    world.publish(b"1", 2)
    assert world.writer.kinds() == ["PubRec"]
    world.writer.send(PubRel(1))
    world.room.settle()
    assert world.writer.kinds() == []
    world.sync()
    assert world.writer.kinds() == ["PubComp"]
    assert world.got() == [b"1"]


@pytest.mark.parametrize("said", [False, True])
def test_a_link_that_breaks_meanwhile_changes_nothing(said: bool) -> None:
    world = Kept()
    world.publish(b"1")
    if said:
        world.line.muted = {1}  # b says that it is on disk, and a does not hear it
        world.sync()
    world.line.cut()
    if not said:
        world.sync()
    world.relink()
    assert world.writer.kinds() == ["PubAck"]
    assert world.got() == [b"1"]
    assert world.a.peer("b").outgoing.full() is False


def test_what_was_not_on_disk_when_the_gateway_fell_is_offered_again() -> None:
    world = Kept()
    world.publish(b"1")
    world.sync()
    world.publish(b"2")
    world.publish(b"3")
    world.b.restart()
    world.room.frames.clear()
    world.relink()
    assert entries_from_a(world.room) == [b"2", b"3"]
    assert world.writer.kinds() == ["PubAck"]
    world.sync()
    assert world.writer.kinds() == ["PubAck"] * 2
    world.publish(b"4")
    world.sync()
    assert world.got() == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_on_disk_is_not_offered_again_though_nobody_was_told(qos: int) -> None:
    world = Kept()
    for number in range(2):
        world.publish(b"%d" % number, qos)
    if qos == 2:
        assert world.writer.kinds() == ["PubRec"] * 2
        for packet_id in (1, 2):
            world.writer.send(PubRel(packet_id))
        world.room.settle()
    world.line.muted = {1}
    world.sync()
    world.b.restart()
    world.relink()
    world.sync()
    assert world.writer.kinds() == ["PubAck" if qos == 1 else "PubComp"] * 2
    assert world.got() == [b"0", b"1"]


def test_what_a_dead_gateway_did_not_have_is_offered_when_it_is_back() -> None:
    world = Kept()
    world.publish(b"1")
    world.b.restart()
    world.room.wait(4)
    assert world.a.peer("b").life is Life.DEAD
    assert world.writer.kinds() == ["PubAck"], "nobody waits for the dead"
    world.relink()
    world.sync()
    assert world.got() == [b"1"]


def test_after_a_cut_that_was_longer_than_a_death_nothing_comes_twice() -> None:
    world = Kept()
    world.publish(b"1")
    world.line.muted = {1}
    world.sync()
    world.line.muted = {0, 1}
    world.publish(b"2")
    world.line.cut()
    world.room.wait(4)
    world.relink()
    world.sync()
    assert world.got() == [b"1", b"2"]


def test_it_is_for_kept_sessions_only() -> None:
    world = Kept()
    world.publish(b"1")
    world.b.restart()
    new = world.b.client("new")
    new.subscribe("k/#", 1)
    world.relink()
    world.sync()
    assert new.payloads() == []
    assert world.got() == [b"1"]


def test_what_was_retained_meanwhile_is_not_overtaken_by_what_is_offered_again() -> None:
    world = Kept()
    reader = world.b.client("reader")
    reader.subscribe("k/#", 1)
    world.line.muted = {0, 1}
    world.writer.publish("k/1", b"old", 1, retain=True)
    world.room.wait(4)
    world.b.client("other").publish("k/1", b"new", 1, retain=True)
    world.line.cut()
    world.relink()
    world.sync()
    assert reader.payloads() == [b"new"]
    assert world.got() == [b"new", b"old"], "it is promised every one"


def test_a_disk_that_fails_there_is_told_to_the_publisher_here() -> None:
    world = Kept()
    writer = world.writer = world.a.client("new", Version.MQTT5)
    world.publish(b"1")
    world.b.sync(fails="it is full; make room")
    (told,) = writer.got()
    assert type(told).__name__ == "Disconnect", told
    reader = world.b.client("reader")
    reader.subscribe("k/#", 1)
    world.room.settle()
    reader.got()
    again = world.a.client("again", Version.MQTT5)
    again.publish("k/1", b"2")
    world.room.settle()
    assert [type(each).__name__ for each in again.got()] == ["Disconnect"]
    assert reader.payloads() == [b"2"], "it needs no disk"
    world.room.wait(2)
    world.sync()
    assert world.got() == [b"1"], "taken all the same, when there was room again"
    last = world.a.client("last")
    last.publish("k/1", b"3")
    world.room.settle()
    world.sync()
    assert last.kinds() == ["PubAck"]
    assert world.got() == [b"3"]


def test_a_message_that_expires_while_its_gateway_is_away_is_not_offered() -> None:
    world = Kept()
    writer = world.a.client("new", Version.MQTT5)
    for seconds in (2, 60):
        writer.publish("k/1", b"%d" % seconds, expires_s=seconds)
    world.room.settle()
    world.b.restart()
    world.room.wait(5)
    world.relink()
    world.sync()
    assert world.got() == [b"60"]


def test_what_waits_for_a_gateway_that_is_gone_is_bounded_and_counted() -> None:
    world = Kept()
    size = 100_000
    for number in range(PARKED_BYTES_MAX // size + 10):
        world.publish(number.to_bytes(4, "big") + bytes(size))
    world.b.restart()
    world.room.wait(4)
    outgoing = world.a.peer("b").outgoing
    assert 5 < outgoing.dropped < 15
    assert world.writer.connection.reading
    world.relink()
    world.sync()
    got = world.got()
    assert [int.from_bytes(each[:4], "big") for each in got] == list(range(len(got)))
    assert len(got) * size < PARKED_BYTES_MAX


def test_many_turns_of_many_things_lose_and_double_nothing() -> None:
    """Syncs, cuts and crashes of the keeping gateway in every order of three."""
    steps = ("sync", "cut", "crash", "mute")
    for order in [(x, y, z) for x in steps for y in steps for z in steps]:
        world = Kept()
        sent = []
        for number, step in enumerate(order):
            sent.append(b"%d" % number)
            world.publish(sent[-1])
            _do(world, step)
        sent.append(b"end")
        world.publish(sent[-1])
        world.sync()
        assert world.got() == sent, order
        assert len(world.writer.kinds()) == len(sent), order


def _do(world: Kept, step: str) -> None:
    gates: tuple[Gate, Gate] = (world.a, world.b)
    match step:
        case "sync":
            world.sync()
        case "cut":
            world.line.cut()
            world.room.line(*gates)
        case "crash":
            world.b.restart()
            world.room.line(*gates)
        case "mute":  # a hears nothing of it before the link breaks
            world.line.muted = {1}
            world.sync()
            world.line.cut()
            world.room.line(*gates)
    world.room.settle()
