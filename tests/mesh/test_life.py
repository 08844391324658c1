"""Who lives, and what is done about it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.mesh.frames import Bye
from gateway.mesh.life import Life
from gateway.mesh.link import LinkState
from gateway.mqtt.packets import Will
from tests.mesh.room import CLUSTER, Room, between

LIVES = [Life.ALIVE, Life.SUSPECT, Life.DEAD]


def test_a_silent_gateway_is_suspect_then_dead() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    room.wait(10)
    assert a.peer("b").life is Life.ALIVE
    between(room, "a", "b").muted = {1}
    seen = []
    for _ in range(40):
        room.wait(0.1)
        seen.append(a.peer("b").life)
    assert seen == sorted(seen, key=LIVES.index)
    assert 9 <= seen.index(Life.SUSPECT) <= 15  # it was heard up to half a second before
    assert 24 <= seen.index(Life.DEAD) <= 30


def test_a_lost_link_makes_suspect_at_once_and_dead_in_time() -> None:
    room = Room()
    a, _ = room.linked("a", "b")
    between(room, "a", "b").cut()
    assert a.peer("b").life is Life.SUSPECT
    room.wait(3.1)
    assert a.peer("b").life is Life.DEAD


def test_dead_on_one_link_is_not_dead() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    between(room, "a", "b").muted = {0, 1}
    room.wait(3.2)
    assert a.peer("b").life is not Life.DEAD and b.peer("a").life is not Life.DEAD
    assert between(room, "a", "b").links[0].closed, "the link is over: both must dial again"
    room.wait(20)
    assert a.peer("b").life is b.peer("a").life is Life.ALIVE, "there is a road over c"
    assert c.peer("a").life is c.peer("b").life is Life.ALIVE
    between(room, "b", "c").cut()
    room.wait(4)
    assert a.peer("b").life is Life.DEAD


def test_a_gateway_that_does_not_hear_this_one_is_suspect() -> None:
    room = Room()
    a, _b, _c = room.linked("a", "b", "c")
    between(room, "a", "b").muted = {0}  # a hears b, b does not hear a
    room.wait(2.2)
    assert between(room, "a", "b").links[0].state is LinkState.UP
    assert a.peer("b").life is Life.SUSPECT


def test_an_acknowledgement_does_not_wait_for_a_gateway_that_hears_nothing() -> None:
    room = Room()
    a, b, _c = room.linked("a", "b", "c")
    b.client("reader").subscribe("t")
    room.settle()
    between(room, "a", "b").muted = {0}
    writer = a.client("writer")
    writer.publish("t", b"1")
    room.settle()
    assert writer.kinds() == []
    room.wait(2.2)
    assert writer.kinds() == ["PubAck"]
    writer.publish("t", b"2")
    assert writer.kinds() == ["PubAck"]


def test_a_gateway_that_stopped_on_purpose_dies_although_others_may_hear_it() -> None:
    room = Room()
    a, b, _c = room.linked("a", "b", "c")
    b.mesh.stop(room.now)
    room.settle()
    assert any(isinstance(frame, Bye) for _, _, frame in room.frames)
    assert a.peer("b").stopping
    between(room, "a", "b").cut()
    room.wait(3.1)
    assert a.peer("b").life is Life.DEAD


def test_a_dead_gateway_that_comes_back_without_a_restart_has_all_it_should() -> None:
    """The cut was longer than a death: each forgot the other's interest and dropped its stream."""
    room = Room()
    a, b = room.linked("a", "b")
    reader, writer = b.client("reader"), a.client("writer")
    reader.subscribe("t/#")
    room.settle()
    reader.got()
    writer.publish("t/1", b"before")
    room.settle()
    between(room, "a", "b").cut()
    writer.publish("t/1", b"lost", qos=1)
    writer.publish("t/kept", b"kept", qos=1, retain=True)
    room.wait(4)
    assert a.peer("b").life is b.peer("a").life is Life.DEAD
    assert writer.kinds() == ["PubAck"] * 3, "nobody waits for the dead"
    room.line(b, a)
    room.settle()
    assert a.peer("b").life is b.peer("a").life is Life.ALIVE
    writer.publish("t/1", b"after")
    room.settle()
    assert reader.payloads() == [b"before", b"kept", b"after"]
    assert writer.kinds() == ["PubAck"]
    assert a.peer("b").outgoing.untaken() == 0


@pytest.mark.parametrize("dead_for", ["a", "b"])
def test_one_side_that_thought_the_other_dead_does_not_matter(dead_for: str) -> None:
    """Asymmetry: one closed the link after a death, the other only saw it close."""
    room = Room()
    a, b = room.linked("a", "b")
    readers = [a.client("reader-a"), b.client("reader-b")]
    for reader in readers:
        reader.subscribe("t/#")
    room.settle()
    for reader in readers:
        reader.got()
    line = between(room, "a", "b")
    line.muted = {1 if dead_for == "a" else 0}
    room.wait(3.2)
    lives = {"a": a.peer("b").life, "b": b.peer("a").life}
    assert lives.pop(dead_for) is Life.DEAD
    assert list(lives.values()) == [Life.SUSPECT]
    line.cut()
    room.line(a, b)
    room.settle()
    a.client("writer-a").publish("t/a", b"from a")
    b.client("writer-b").publish("t/b", b"from b")
    room.settle()
    for reader in readers:
        assert sorted(reader.payloads()) == [b"from a", b"from b"]


def test_a_gateway_that_slept_does_not_call_the_others_dead() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    room.wait(1)
    room.now += 8  # a was stopped; b's heartbeats stand in its socket
    a.node.wake(room.now)
    assert a.peer("b").life is Life.ALIVE


def test_a_will_between_hello_and_sync_reaches_the_other_side() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    between(room, "a", "b").cut()
    room.wait(4)
    line = room.line(b, a)
    line.carry()  # hellos only
    line.carry()  # and what each has of the other's stream, with digests
    a.node.broker.publish("gone", b"offline", 1, True, room.now)
    room.settle()
    reader = b.client("reader")
    reader.subscribe("gone")
    room.settle()
    assert b"offline" in reader.payloads()


SLOW = 1_250_000  # bytes in a second: 10 Mbit/s


def slow(room: Room) -> None:
    """Every line is."""
    room.cut_up = True
    for line in room.lines:
        line.bytes_s = SLOW


def lives(room: Room, seconds: float, during: Callable[[], None] = lambda: None) -> set[Life]:
    """How the gateways saw each other in this time."""
    seen = set()
    for _ in range(round(seconds / 0.1)):
        during()
        room.wait(0.1)
        seen |= {peer.life for gate in room.gates for peer in gate.mesh.state.peers.values()}
    return seen


def test_heartbeats_behind_ten_megabytes_of_retained_messages_are_no_silence() -> None:
    """Whatever comes before them is heard, and they are behind little."""
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    for number in range(1000):
        topic = f"kept/{number}"
        a.node.broker.publish(topic, bytes(10_000), 0, True, room.now)
    line = room.line(a, b)
    slow(room)
    room.settle()
    room.wait(0.5)
    seen = 0

    def look() -> None:
        nonlocal seen
        assert len(line.waiting[0]) < 800_000, "two frames of retained messages, and what is said"
        seen += bool(line.waiting[0])

    assert lives(room, 7, look) == {Life.ALIVE}
    assert seen > 65, "it is under way all that time"
    reader = b.client("reader")
    reader.subscribe("t")
    room.wait(1.0)
    assert "SubAck" in reader.kinds() and not b.mesh.state.barriers.timeouts
    assert lives(room, 5) == {Life.ALIVE}
    assert b.node.broker.retained.digest() == a.node.broker.retained.digest()


def test_heartbeats_behind_a_full_copy_and_all_the_messages_that_fit_are_no_silence() -> None:
    room = Room()
    a, b = room.linked("a", "b", disk=True, cluster=replace(CLUSTER, copy_after_s=1.0))
    a.client("sleeper", clean=False).subscribe("q")
    room.settle()
    writer = a.client("writer")
    for _ in range(100):
        writer.publish("q", bytes(100_000))
        room.settle()
    between(room, "a", "b").cut()
    b.shelves.copies.clear()  # the copy is made anew
    b.client("reader").subscribe("t")
    room.settle()
    room.line(a, b)
    slow(room)
    room.settle()
    assert a.peer("b").life is Life.ALIVE

    def publish() -> None:
        if writer.connection.reading:
            writer.publish("t", bytes(100_000), qos=0)

    made = a.mesh.copier.made
    assert lives(room, 15, publish) == {Life.ALIVE}
    assert a.mesh.copier.made == made + 1


def test_a_loop_that_stands_for_six_seconds_loses_nothing_that_is_under_way_and_no_will() -> None:
    """It is dead to the others after three, for it serves nobody, and theirs again at once."""
    room = Room(disks=True)
    a, b, _c = room.linked("a", "b", "c")
    reader = b.client("reader", clean=False, will=Will("gone", b"reader", 1))
    reader.subscribe("t/#")
    watcher, writer = a.client("watcher"), a.client("writer")
    watcher.subscribe("gone")
    room.settle()
    for client in (reader, watcher, writer):
        client.got()
    room.gates.remove(b)
    stood = [line for line in room.lines if b in line.gates]
    for line in stood:
        line.muted = {0, 1}
    for number in range(60):
        writer.publish("t/1", b"%d" % number, qos=1)
        room.wait(0.1)
    assert a.peer("b").life is Life.DEAD
    room.gates.append(b)
    for line in stood:
        line.muted = set()
    b.node.wake(room.now)
    room.settle()
    for line in list(room.lines):
        if b in line.gates:
            line.cut()
    for gate in ("a", "c"):
        room.line(b, next(each for each in room.gates if each.name == gate))
    room.settle()
    assert a.peer("b").life is b.peer("a").life is Life.ALIVE
    room.wait(20)
    came = reader.payloads()
    assert came == [b"%d" % number for number in range(len(came))]
    assert len(came) >= 30, "all that was published before it was dead"
    assert writer.kinds() == ["PubAck"] * 60 and watcher.payloads() == []


def test_a_link_that_is_silent_is_dialled_anew_before_the_other_side_is_dead() -> None:
    """TCP's own retransmissions come four seconds after the beginning of an outage of two."""
    room = Room()
    a, b = room.linked("a", "b")
    room.wait(1)
    old = between(room, "a", "b")
    old.muted = {0, 1}
    a.dials.clear()
    b.dials.clear()
    room.wait(CLUSTER.suspect_s)
    assert [dial.address for dial in a.dials + b.dials] == ["b", "a"]
    room.line(b, a)
    room.settle()
    assert a.peer("b").life is b.peer("a").life is Life.ALIVE
    assert all(link.closed for link in old.links)
    assert not [note for note in a.notes + b.notes if "dead" in note]
