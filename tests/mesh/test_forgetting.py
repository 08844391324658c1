"""A gateway that is gone for good is not waited for, and brings nothing if it comes back."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.broker.logins import User
from gateway.broker.people import user_row
from gateway.config import ClusterSection
from gateway.control import Severity
from gateway.effects import Dial
from gateway.ids import Stamp
from gateway.limits import FORGOTTEN_MAX
from gateway.mesh.forgetting import COUNTED_S_MAX, DAY_S
from gateway.mesh.frames import Member, Refuse
from gateway.mesh.life import Life
from gateway.mesh.problems import problems
from gateway.table import Row
from tests.mesh.room import CLUSTER, Gate, Room


def cut_off(room: Room, gate: Gate) -> None:
    for line in list(room.lines):
        if gate in line.gates:
            line.cut()
    room.wait(5)


def forget(gate: Gate, name: str) -> None:
    gate.mesh.operating.forget(name, gate.room.now)
    gate.room.settle()


def relink(room: Room, one: Gate, other: Gate) -> None:
    room.line(one, other)
    room.settle()


def told(gate: Gate) -> str:
    found = problems(gate.mesh.state, gate.name, gate.room.now)
    return "\n".join(f"{each.severity}: {each.text}; {each.remedy}" for each in found)


def peers(gate: Gate) -> set[str]:
    return set(gate.mesh.state.peers)


def test_a_dead_gateway_is_forgotten_by_all_and_nothing_is_said_of_it() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    cut_off(room, c)
    assert "c is dead" in told(b)
    for gate in (a, b):
        gate.dials.clear()
    forget(a, "c")
    for gate in (a, b):
        assert peers(gate) == {"a", "b"} - {gate.name}
        assert set(gate.members) == peers(gate)
        assert "c" not in told(gate)
    room.wait(1)
    for gate in (a, b):
        assert (
            gate.mesh.operating.unconfirmed("people")
            == gate.mesh.operating.unconfirmed("forgotten")
            == []
        )
    room.wait(20)
    assert not [dial for gate in (a, b) for dial in gate.dials if dial.address == "c"]


def test_it_is_forgotten_after_a_restart_too_and_by_one_that_was_away_then() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    cut_off(room, c)
    cut_off(room, b)
    forget(a, "c")
    a.restart()
    assert peers(a) == {"b"}
    relink(room, a, b)
    assert peers(b) == {"a"}
    b.restart()
    assert peers(b) == {"a"}


def test_a_member_that_a_crash_left_on_disk_is_none_after_the_start() -> None:
    room = Room()
    a, _, c = room.linked("a", "b", "c")
    cut_off(room, c)
    member = a.members["c"]
    forget(a, "c")
    a.members["c"] = member
    a.restart()
    assert peers(a) == {"b"}
    room.settle()
    assert set(a.members) == {"b"}


def test_others_words_for_where_it_is_are_not_followed() -> None:
    room = Room()
    a, b, c, d = (room.gate(name) for name in "abcd")
    for one, other in ((a, b), (a, c), (b, c), (d, c)):
        room.line(one, other)
    room.settle()
    cut_off(room, c)
    forget(a, "c")
    a.dials.clear()
    relink(room, a, d)  # which has not heard of it, and knows where c is
    room.wait(10)
    assert not [dial for dial in a.dials if dial.address == "c"]
    assert peers(d) >= {"a"} and "c" not in peers(d)


def test_one_that_comes_back_brings_nothing_and_both_are_told() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    writer = c.client("writer")
    writer.publish("plant/old", b"1", retain=True)
    c.node.broker.admission.change(dict([user_row("ann", User("hash"))]), lambda _: None, room.now)
    room.settle()
    cut_off(room, c)
    a.client("cleaner").publish("plant/old", b"", retain=True)
    a.node.broker.admission.change(dict([user_row("ann", None)]), lambda _: None, room.now)
    room.settle()
    forget(a, "c")
    writer.publish("plant/new", b"2", retain=True)
    for gate in (a, b):
        relink(room, c, gate)
        assert peers(gate) == {"a", "b"} - {gate.name}
        assert not gate.node.broker.people.users
        assert not list(gate.node.broker.retained.matching("#"))
        assert "c (c) was forgotten by this mesh" in told(gate)
        assert "gwctl cluster rejoin" in told(gate) and "gwctl cluster rejoin" in told(c)
    assert "it refuses this gateway: c (c) was forgotten by this mesh" in told(c)
    for _ in range(3):
        room.wait(1)
        relink(room, c, a)
    assert {c.peer(name).life for name in ("a", "b")} == {Life.DEAD} and "ALONE" in told(c)
    alone = c.client("alone")
    alone.publish("plant/alone", b"3")
    room.settle()
    assert "PubAck" in alone.kinds()


def test_it_is_a_member_again_with_a_new_store() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    before = c.client("before")
    before.subscribe("t")
    room.settle()
    writer = a.client("writer")
    writer.publish("t", b"0")
    room.settle()
    assert before.payloads() == [b"0"]
    cut_off(room, c)
    forget(a, "c")
    writer.kinds()
    c.said["store"], c.members = "another store", {}
    c.restart()
    for gate in (a, b):
        relink(room, c, gate)
    for gate in (a, b):
        assert gate.peer("c").life is Life.ALIVE
    reader = c.client("reader")
    reader.subscribe("t")
    room.settle()
    writer.publish("t", b"1")
    room.settle()
    assert reader.payloads() == [b"1"] and "PubAck" in writer.kinds()


def test_one_that_lives_is_let_go_by_all_and_hears_why() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    reader = c.client("reader")
    reader.subscribe("t")
    room.settle()
    room.frames.clear()
    forget(a, "c")
    assert [line.gates for line in room.lines] == [(a, b)]
    refused = [(who, to) for who, to, frame in room.frames if isinstance(frame, Refuse)]
    assert ("a", "c") in refused
    assert "was forgotten by this mesh" in told(c)
    a.client("writer").publish("t", b"1")
    room.settle()
    assert reader.payloads() == []


def test_who_publishes_meanwhile_is_answered() -> None:
    room = Room()
    a, _, c = room.linked("a", "b", "c")
    c.client("reader").subscribe("t")
    room.settle()
    for line in room.lines:
        if c in line.gates:
            line.muted = {0, 1}
    writer = a.client("writer")
    writer.publish("t", b"1")
    room.settle()
    assert "PubAck" not in writer.kinds()
    forget(a, "c")
    assert "PubAck" in writer.kinds()


def test_a_store_that_nobody_knew_is_forgotten_when_it_comes() -> None:
    room = Room()
    a = room.gate("a")
    a.members = {"c": Member("c", "c", "c", 7883)}  # as an earlier version kept it
    a.restart()
    room.wait(4)
    forget(a, "c")
    c = room.gate("c")
    relink(room, c, a)
    assert peers(a) == set() and "was forgotten" in told(a)
    c.said["store"] = "another store"
    c.restart()
    relink(room, c, a)
    assert peers(a) == {"c"}


def test_no_more_are_forgotten_than_there_may_be() -> None:
    room = Room()
    a, _, c = room.linked("a", "b", "c")
    cut_off(room, c)
    table = a.mesh.state.own_tables["forgotten"]
    for n in range(FORGOTTEN_MAX):
        table.put(f"store {n}", Row(Stamp(1, n, "a"), Stamp(1, n, "a"), b""))
    assert not a.mesh.operating.forget("c", room.now)
    aged(room, 100, a)
    assert peers(a) == {"b", "c"}


def test_mdns_does_not_make_it_dial_one_that_is_forgotten() -> None:
    room = Room()
    a, _, c = room.linked("a", "b", "c")
    cut_off(room, c)
    forget(a, "c")
    a.dials.clear()
    a.mesh.seen("c", "store-c", "c", "c", 7883, room.now)
    room.wait(1)
    assert not a.dials and "c stays out: it was forgotten by this mesh, and is back" in told(a)
    a.mesh.seen("c", "another store", "c", "c", 7883, room.now)
    room.wait(1)
    assert a.dials == [Dial("c", 7883)]


def aged(room: Room, days: float, *gates: Gate) -> None:
    """Gateways look at each other all that time; nothing else happens in it."""
    for gate in gates:
        for peer in gate.mesh.state.peers.values():
            if peer.life is Life.DEAD:
                peer.dead_s += days * DAY_S
    room.wait(1)


def test_seven_days_dead_is_gone_for_good() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    cut_off(room, c)
    aged(room, 6.9, a)
    assert peers(a) == {"b", "c"}
    aged(room, 0.2, a)
    assert peers(a) == {"b"} and peers(b) == {"a"}


def test_how_long_it_has_been_dead_outlives_a_restart_and_ends_with_a_sign_of_life() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    cut_off(room, c)
    aged(room, 3, a)
    assert a.dead_s["c"] == pytest.approx(3 * DAY_S, abs=60)
    a.restart()
    relink(room, a, b)
    room.wait(5)
    assert a.peer("c").dead_s == pytest.approx(3 * DAY_S, abs=60)
    relink(room, a, c)
    room.wait(1)
    assert a.peer("c").dead_s == 0 and a.dead_s["c"] == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda gate: gate.mesh.state.clock.seen(10**12, gate.room.now),  # a clock that jumps
        lambda gate: setattr(gate.mesh.state, "aged_at", gate.room.now - 30 * DAY_S),  # it slept
    ],
)
def test_no_jump_of_a_clock_makes_days(spoil: Callable[[Gate], None]) -> None:
    room = Room()
    a, _, c = room.linked("a", "b", "c")
    cut_off(room, c)
    spoil(a)
    room.wait(2)
    assert a.peer("c").dead_s < 10 + COUNTED_S_MAX
    assert peers(a) == {"b", "c"}


def test_the_last_of_two_forgets_nobody() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    cut_off(room, b)
    aged(room, 100, a)
    assert peers(a) == {"b"}


def test_zero_days_is_never() -> None:
    room = Room()
    never = replace(CLUSTER, forget_after_days=0)
    gates = [room.gate(name, cluster=never) for name in "abc"]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        room.line(gates[one], gates[other])
    room.settle()
    cut_off(room, gates[2])
    aged(room, 1000, gates[0])
    assert peers(gates[0]) == {"b", "c"}


def test_a_gateway_that_hears_none_of_those_it_knows_says_so() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    room.wait(5)
    assert told(a) == ""
    cut_off(room, b)
    assert "error: ALONE since 5 s ago: no other gateway is heard" in told(a)
    relink(room, a, b)
    assert "ALONE" not in told(a)


@pytest.mark.parametrize(("expected", "alone"), [(0, False), (1, False), (2, True)])
def test_one_that_never_met_another_is_alone_if_others_are_expected(
    expected: int, alone: bool
) -> None:
    room = Room()
    a = room.gate("a", cluster=ClusterSection("room", "", 7883, expected_gateways=expected))
    room.wait(5)
    found = problems(a.mesh.state, "a", room.now)
    assert [each.severity for each in found] == ([Severity.ERROR] * 2 if alone else [])
    assert ("ALONE" in told(a)) == ("1 of 2 expected" in told(a)) == alone
