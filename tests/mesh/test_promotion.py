"""A session whose gateway is gone is served from the copy of its store, wherever its client connects."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.broker.shades import IDLE_S
from gateway.mesh.copier import Standing
from gateway.moves import Claim
from gateway.mqtt.packets import PubComp, Publish, PubRec, PubRel
from tests.broker.kept import Card
from tests.mesh.roamer import Roamer, talk
from tests.mesh.room import CLUSTER, Gate, Room, between, chain
from tests.mesh.sessions import at_rest, numbers, owners, publish, said
from tests.mesh.transcript import check

SHORT = replace(CLUSTER, copy_after_s=5.0)


def gates(*names: str) -> tuple[Room, list[Gate]]:
    """Each has a copy at the next one; the last one's is at the first."""
    room = Room()
    linked = room.linked(*names, disk=True, cluster=SHORT)
    room.wait(CLUSTER.dead_s + 1.0)
    assert [each.mesh.copier.standing for each in linked] == [Standing.TOGETHER] * len(names)
    return room, linked


def go_on(roamer: Roamer, seconds: float = 1.0) -> None:
    """Time passes; the client answers meanwhile."""
    assert roamer.gate is not None
    for _ in range(round(seconds / 0.1)):
        roamer.gate.room.wait(0.1)
        talk(roamer)


def subscribed(gate: Gate, *filters: str, qos: int = 2) -> Roamer:
    roamer = Roamer("c")
    roamer.connect(gate)
    go_on(roamer)
    roamer.subscribe(*filters, qos=qos)
    go_on(roamer)
    return roamer


def sleeping(gate: Gate, *payloads: bytes, qos: int = 2) -> Roamer:
    """A client that is away, and what waits for it."""
    roamer = subscribed(gate, "t", qos=qos)
    roamer.leave()
    publish(gate.client("p"), "t", *payloads, qos=qos)
    gate.room.wait(1)
    return roamer


def back(room: Room, gate: Gate) -> None:
    """It was killed, and starts with the disk that it had."""
    room.gates.append(gate)
    gate.restart()
    for other in room.gates:
        if other is not gate:
            room.line(gate, other)
    room.wait(CLUSTER.dead_s + 2)


def home(room: Room) -> str:
    """The one gateway that serves the session."""
    (found,) = [
        gate.name
        for gate in room.gates
        if (session := gate.node.broker.state.sessions.get("c")) is not None
        and (session.passage is None or session.passage.own)
    ]
    return found


@pytest.mark.parametrize("where", ["b", "c"])
def test_a_long_queue_is_there_at_the_stand_in_and_at_a_third_gateway(where: str) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 10_000), qos=1)
    room.kill(a)
    gate = {"b": b, "c": c}[where]
    roamer.connect(gate)
    go_on(roamer, 2)
    assert roamer.connacks[-1].session_present
    assert roamer.got == numbers(0, 10_000)
    assert home(room) == where and owners(room) == [where] * 2 and at_rest(room)
    assert gate.node.broker.vitals.sessions_bare == 0
    publish(b.client("q"), "t", b"new")
    go_on(roamer)
    assert roamer.got[-1] == b"new"


def test_it_moves_on_like_any_other() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 500))
    roamer.deaf = True
    room.kill(a)
    for gate in (c, b, c):
        roamer.connect(gate)
        go_on(roamer)
        assert roamer.connacks[-1].session_present
    roamer.deaf = False
    roamer.connect(b)
    go_on(roamer)
    assert roamer.got == numbers(0, 500) and home(room) == "b" and at_rest(room)


def test_two_gateways_are_enough() -> None:
    room, (a, b) = gates("a", "b")
    roamer = sleeping(a, *numbers(0, 100))
    room.kill(a)
    roamer.connect(b)
    go_on(roamer)
    assert roamer.got == numbers(0, 100) and roamer.connacks[-1].session_present


STATES = ["sent", "received", "released"]


@pytest.mark.parametrize("state", STATES)
def test_an_exchange_to_the_client_goes_on_where_it_was(state: str) -> None:
    room, (a, _, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    publish(a.client("p"), "t", b"x", qos=2)
    room.wait(0.5)
    (packet,) = [each for each in _heard(roamer) if isinstance(each, Publish)]
    roamer.got.append(packet.payload)
    roamer._held[packet.packet_id] = None
    if state != "sent":
        roamer.say(PubRec(packet.packet_id))
        room.wait(0.5)
        assert any(isinstance(each, PubRel) for each in _heard(roamer))
    if state == "released":
        roamer._held.clear()
        roamer.say(PubComp(packet.packet_id))
    room.kill(a)
    roamer.connect(c)
    go_on(roamer)
    assert roamer.got == [b"x"], "once"
    session = c.node.broker.state.sessions["c"]
    assert not session.inflight and not roamer._held


def _heard(roamer: Roamer) -> list[Any]:
    roamer.deaf = True
    heard = roamer.listen()
    roamer.deaf = False
    return heard


@pytest.mark.parametrize("back_again", [False, True])
def test_what_the_client_had_handed_over_is_released_once(back_again: bool) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    reader = Roamer("reader")
    reader.connect(b)
    go_on(reader)
    reader.subscribe("w")
    roamer = subscribed(a, "t")
    roamer._packet_id = 1
    roamer._open[1] = Publish("w", b"y", 2, packet_id=1)
    roamer.say(roamer._open[1])
    room.wait(0.5)
    assert any(isinstance(each, PubRec) for each in _quiet(roamer))
    room.kill(a)
    roamer.connect(c)
    go_on(roamer)
    go_on(reader)
    assert reader.got == [b"y"] and not roamer._open
    if back_again:
        back(room, a)
        go_on(reader, 2)
        assert reader.got == [b"y"]


def _quiet(roamer: Roamer) -> list[Any]:
    """What it was told, unanswered."""
    say, heard = roamer.say, []
    roamer.say = lambda *packets: None  # type: ignore[method-assign]
    heard = roamer.listen()
    roamer.say = say  # type: ignore[method-assign]
    return heard


def test_the_conversation() -> None:
    room, (a, _, c) = gates("a", "b", "c")
    roamer = sleeping(a, b"x")
    room.kill(a)
    room.frames.clear()
    roamer.connect(c)
    go_on(roamer)
    back(room, a)
    kinds = ("said", "rows")
    check("promotion", [line for line in room.talk if line.split("  ")[1].startswith(kinds)])


@pytest.mark.parametrize("onward", [False, True])
def test_a_gateway_that_is_back_offers_nothing_of_what_the_copy_had(onward: bool) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 300))
    room.kill(a)
    roamer.connect(c)
    go_on(roamer)
    if onward:
        roamer.connect(b)
        go_on(roamer)
    assert roamer.got == numbers(0, 300)
    back(room, a)
    go_on(roamer, 3)
    assert roamer.got == numbers(0, 300), "nothing twice"
    assert home(room) == ("b" if onward else "c") and at_rest(room)
    assert a.node.broker.waiting() == 0 and "c" not in a.node.broker.state.sessions


@pytest.mark.parametrize("onward", [False, True])
def test_what_only_the_gateway_that_is_back_has_is_not_lost(onward: bool) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 50))
    between(room, "a", "b").cut()
    publish(a.client("p2"), "t", *numbers(50, 80), qos=1)
    room.wait(1)  # one copy only
    room.kill(a)
    roamer.connect(c)
    go_on(roamer)
    assert roamer.got == numbers(0, 50)
    room.wait(
        CLUSTER.dead_s
    )  # until then c keeps for a what is published, as for one that is silent
    publish(c.client("p3"), "t", *numbers(100, 110), qos=1)
    go_on(roamer)
    if onward:
        roamer.connect(b)
        go_on(roamer)
    back(room, a)
    go_on(roamer, 3)
    assert sorted(roamer.got, key=int) == [*numbers(0, 80), *numbers(100, 110)]
    assert at_rest(room) and a.node.broker.waiting() == 0


def test_what_was_sent_beyond_the_copy_comes_once_under_its_packet_id() -> None:
    room, (a, _, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    between(room, "a", "b").cut()
    room.wait(0.5)
    publish(a.client("p"), "t", *numbers(0, 5), qos=2)
    room.wait(0.5)
    for packet in _heard(roamer):
        if isinstance(packet, Publish):  # it has them, and its answers are lost
            roamer.got.append(packet.payload)
            roamer._held[packet.packet_id] = None
    assert roamer.got == numbers(0, 5)
    room.kill(a)
    roamer.connect(c)
    go_on(roamer)
    room.wait(CLUSTER.dead_s)
    publish(c.client("q"), "t", *numbers(5, 10), qos=2)
    go_on(roamer)
    back(room, a)
    go_on(roamer, 3)
    assert sorted(roamer.got) == numbers(0, 10)


def test_a_stand_in_that_dies_in_the_midst_leaves_nothing_lost() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *(b"%0500d" % number for number in range(3_000)))
    roamer.deaf = True
    room.kill(a)
    roamer.connect(c)
    for _ in range(600):
        _one_turn(room)
        if roamer.is_connected:
            break
        room.now += 0.001
        roamer.listen()
    session = c.node.broker.state.sessions["c"]
    assert 0 < session.waiting() < 3_000
    room.kill(b)
    room.wait(1)
    roamer.deaf = False
    roamer.connect(c)
    go_on(roamer)
    assert 0 < len(roamer.got) < 3_000
    back(room, b)
    go_on(roamer, 2)
    assert [int(each) for each in roamer.got] == list(range(3_000))
    back(room, a)
    go_on(roamer, 2)
    assert len(roamer.got) == 3_000 and at_rest(room)


def _one_turn(room: Room) -> None:
    for gate in room.gates:
        if gate.node.deadline() <= room.now:
            gate.node.wake(room.now)
        gate.do(room.drain(gate))
        gate.work()
    for line in list(room.lines):
        line.carry()


@pytest.mark.parametrize("where", ["b", "c"])
def test_a_taker_that_restarts_in_the_midst_asks_for_the_rest(where: str) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    gate = {"b": b, "c": c}[where]
    roamer = sleeping(a, *(b"%0500d" % number for number in range(3_000)))
    room.kill(a)
    roamer.deaf = True
    roamer.connect(gate)
    for _ in range(600):
        _one_turn(room)
        if roamer.is_connected:
            break
        room.now += 0.001
        roamer.listen()
    assert 0 < gate.node.broker.state.sessions["c"].waiting() < 3_000
    gate.restart()
    room.line(b, c)
    room.wait(CLUSTER.dead_s + 1)
    roamer.deaf = False
    roamer.connect(gate)
    go_on(roamer, 2)
    assert roamer.connacks[-1].session_present
    assert [int(each) for each in roamer.got] == list(range(3_000))
    back(room, a)
    go_on(roamer, 2)
    assert len(roamer.got) == 3_000 and at_rest(room)


def test_a_session_is_not_given_twice_though_the_stand_in_restarts() -> None:
    room, (a, b, c, d) = gates("a", "b", "c", "d")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    between(room, "c", "d").cut()
    roamer.connect(c)
    room.wait(1)
    assert roamer.is_connected
    # c dies, and its copy at d is not to be had
    d.shelves.copies.pop("c")
    room.kill(c)
    registry = b.node.broker.state.registry
    assert registry is not None
    row = registry.table.get("c")
    assert row is not None
    b.restart()
    room.line(b, d)
    room.wait(CLUSTER.dead_s + 1)
    roamer.connect(d)
    talk(roamer)
    room.wait(3)
    talk(roamer)
    assert roamer.is_connected
    back(room, c)
    go_on(roamer, 4)
    assert sorted(roamer.got, key=int) == numbers(0, 20), "once, from c"


def test_without_a_whole_copy_it_begins_with_its_subscriptions_as_before() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    copy = b.shelves.whole("a")
    assert copy is not None
    copy.place = copy.place.but(whole=False)
    room.kill(a)
    roamer.connect(c)
    go_on(roamer)
    assert roamer.connacks[-1].session_present and roamer.got == []
    assert c.node.broker.vitals.sessions_bare == 1
    room.wait(CLUSTER.dead_s)
    publish(b.client("q"), "t", b"new")
    go_on(roamer)
    assert roamer.got == [b"new"]
    back(room, a)
    go_on(roamer, 2)
    assert sorted(roamer.got[1:], key=int) == numbers(0, 20)


def test_a_copy_that_is_older_than_the_session_there_is_not_used() -> None:
    """The session was at a, went to c, and is back at a, whose copy was not gone on with."""
    room, (a, b, c, _d) = gates("a", "b", "c", "d")
    roamer = sleeping(a, *numbers(0, 20))
    for line in chain(room):
        line.cut()
    for gate in (c, a):
        roamer.connect(gate)
        go_on(roamer, 5)  # b does not hear a, and cannot say that it knows
        assert home(room) == gate.name
    assert roamer.got == numbers(0, 20)
    room.kill(a)
    roamer.connect(b)
    go_on(roamer)
    assert roamer.got == numbers(0, 20) and b.node.broker.vitals.sessions_bare == 1


def test_a_gateway_that_falls_silent_is_not_waited_for_longer_than_it_is_heard() -> None:
    room, (a, _, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    for line in list(room.lines):
        if a in line.gates:
            line.muted = {0, 1}
    roamer.connect(c)
    room.wait(CLUSTER.suspect_s + 0.7)
    talk(roamer)
    assert roamer.got == numbers(0, 20) and roamer.connacks[-1].session_present


@pytest.mark.parametrize("where", ["b", "c"])
def test_a_copy_that_takes_long_to_be_read_is_waited_for_whoever_connects_meanwhile(
    where: str,
) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    gate = {"b": b, "c": c}[where]
    room.kill(a)
    b.copies_work = False
    roamer.connect(gate)
    room.wait(3)
    assert not roamer.is_connected
    for other in (b, c, gate):
        roamer.connect(other)
        room.wait(0.5)
    b.copies_work = True
    go_on(roamer, 2)
    assert roamer.got == numbers(0, 20) and home(room) == where and at_rest(room)


def test_a_stand_in_that_falls_silent_while_it_reads_is_not_waited_for() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    b.copies_work = False
    roamer.connect(c)
    room.wait(0.5)
    between(room, "b", "c").muted = {0, 1}
    room.wait(CLUSTER.suspect_s + 1.5)  # and a second until b is not asked whether it knows
    assert roamer.is_connected
    talk(roamer)
    assert roamer.connacks[-1].session_present and roamer.got == []


def test_a_session_that_has_expired_is_not_served() -> None:
    room, (a, b, _) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    copy = b.shelves.whole("a")
    assert copy is not None
    room.kill(a)
    state = b.node.broker.state
    read = state.elsewhere.read_copy

    def later(owner: str, lost: bool, make: Any, then: Any) -> None:
        def made(rows: Any, batches: Any) -> Any:
            found, end = make(rows, batches)
            found.away["c"] = room.now - 604_801
            return found, end

        read(owner, lost, made, then)

    b.mesh.others.read_copy = later  # type: ignore[method-assign]
    roamer.connect(b)
    go_on(roamer)
    assert not roamer.connacks[-1].session_present and roamer.got == []


@pytest.mark.parametrize("where", ["a", "b", "c"])
@pytest.mark.parametrize("copied_again", [False, True])
def test_a_gateway_that_is_back_with_an_empty_disk_has_its_sessions_in_the_copy(
    where: str, copied_again: bool
) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 50))
    room.kill(a)
    a.card, a.said["store"] = Card(), "store-a-2"
    b.copies_work = copied_again
    back(room, a)
    b.copies_work = True
    gate = {"a": a, "b": b, "c": c}[where]
    roamer.connect(gate)
    go_on(roamer, 2)
    assert roamer.connacks[-1].session_present
    assert roamer.got == numbers(0, 50) and home(room) == where and at_rest(room)
    publish(c.client("q"), "t", b"new")
    go_on(roamer)
    assert roamer.got[-1] == b"new"
    for other in (c, a, b):
        roamer.connect(other)
        go_on(roamer)
        assert roamer.connacks[-1].session_present
    assert len(roamer.got) == 51 and home(room) == "b" and at_rest(room)


def test_a_clean_start_needs_no_copy() -> None:
    room, (a, _, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    room.frames.clear()
    roamer.connect(c, clean=True)
    go_on(roamer)
    assert not roamer.connacks[-1].session_present and roamer.got == []
    assert not [move for move in said(room) if isinstance(move, Claim)]
    back(room, a)
    go_on(roamer)
    assert roamer.got == [] and "c" not in a.node.broker.state.sessions


def test_a_shade_is_dropped_when_nobody_asks() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    other = Roamer("other")
    other.connect(a)
    go_on(other)
    other.leave()
    room.wait(1)
    room.kill(a)
    roamer.connect(c)
    go_on(roamer)
    moving: Any = b.node.broker.moving
    (shade,) = moving._shades._shades.values()
    assert set(shade.broker.sessions) == {"other"}
    room.wait(IDLE_S + 2)
    assert not moving._shades._shades
    other.connect(c)
    go_on(other)
    assert other.connacks[-1].session_present
