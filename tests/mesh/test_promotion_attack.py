"""Schedules that would lose, double or strand a session when gateways die."""

import msgspec
import pytest

from gateway.broker.registry import Entry
from gateway.ids import Stamp
from gateway.moves import Claim
from gateway.table import Row
from tests.broker.kept import Card
from tests.mesh.roamer import Roamer, talk
from tests.mesh.room import CLUSTER, Gate, Room, between
from tests.mesh.sessions import (
    at_rest,
    gates,
    homes,
    numbers,
    one_turn,
    owners,
    publish,
    subscribed,
)
from tests.mesh.test_promotion import back, go_on, sleeping
from tests.mesh.test_promotion import gates as copying


def test_a_session_that_begins_bare_where_something_of_it_was_left_is_told_to_all() -> None:
    """a has messages for the session, and begins it while its gateway is dead."""
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(b, "t")
    room.kill(b)
    room.wait(4)
    publish(a.client("p"), "t", *numbers(0, 5))
    room.settle()
    roamer.connect(a)
    talk(roamer)
    assert roamer.got == numbers(0, 5)
    room.wait(1)
    assert owners(room) == ["a", "a"] and homes(room) == ["a"]
    publish(c.client("q"), "t", b"new")
    talk(roamer)
    assert roamer.got[-1] == b"new"


def test_who_asks_for_the_rest_of_a_session_turns_no_client_away() -> None:
    room, (a, b, c) = copying("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    b.copies_work = False
    roamer.connect(c)
    room.wait(1.0)
    assert not roamer.is_connected
    stamp = c.mesh.state.clock.stamp(room.now)[:2]
    moving = c.node.broker.moving
    assert moving is not None
    moving.heard("b", Claim("c", 7, stamp, rest=True, have=1))
    b.copies_work = True
    go_on(roamer, 2)
    assert roamer.is_connected and roamer.got == numbers(0, 20)


def test_a_copy_that_cannot_be_had_is_not_needed_when_its_owner_is_back() -> None:
    room, (a, b, c) = copying("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    b.copies_work = False
    roamer.connect(c)
    room.wait(1.0)
    back(room, a)
    room.kill(b)
    go_on(roamer, 2)
    assert roamer.got == numbers(0, 20) and c.node.broker.vitals.sessions_bare == 0


def test_a_session_on_its_way_to_a_gateway_that_falls_silent_is_given_to_who_has_the_client() -> (
    None
):
    for where in ("a", "c"):
        room, (a, b, c) = gates("a", "b", "c")
        roamer = subscribed(a, "t")
        roamer.leave()
        publish(a.client("p"), "t", *numbers(0, 50))
        room.settle()
        roamer.connect(b)
        one_turn(room)
        room.kill(b)
        roamer.connect({"a": a, "c": c}[where])
        room.wait(0.5)
        talk(roamer)
        assert roamer.is_connected and roamer.connacks[-1].session_present, where
        assert roamer.got == numbers(0, 50)
        room.wait(CLUSTER.dead_s + 1)
        assert homes(room) == [where] and at_rest(room)


def test_who_moves_on_while_its_gateway_waits_for_one_that_is_dead_waits_too() -> None:
    """a is dead, and nobody knows: b has the session, and waits for a to say that it knows."""
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(c, "t")
    publisher = c.client("p")
    room.kill(a)
    roamer.connect(b)
    for _ in range(3):
        one_turn(room)
        room.wait(0.1)
    publish(publisher, "t", *numbers(0, 10), qos=2)
    roamer.connect(c)
    room.wait(CLUSTER.dead_s + 1.5)
    talk(roamer)
    assert roamer.is_connected and roamer.got == numbers(0, 10)
    assert c.node.broker.vitals.sessions_bare == 0 and at_rest(room)


def restarted(room: Room, gate: Gate) -> None:
    """It starts again, and its links are there a moment later."""
    gate.restart()
    for other in room.gates:
        if other is not gate:
            room.line(gate, other)


def test_a_client_that_is_quicker_than_the_links_of_a_gateway_finds_its_session() -> None:
    """The rows of others are on disk after some seconds: b has forgotten that there is a session."""
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    publish(a.client("p"), "t", b"x")
    roamer.leave()
    room.settle()
    b.restart()
    assert owners(room) == ["a", ""]
    roamer.connect(b)
    room.wait(0.2)
    assert not roamer.is_connected
    room.line(a, b)
    room.wait(1)
    talk(roamer)
    assert roamer.connacks[-1].session_present and owners(room) == ["b", "b"]
    assert roamer.got == [b"x"]


def test_a_gateway_that_knew_others_does_not_wait_for_dead_ones_for_long() -> None:
    room, (_, b) = gates("a", "b")
    for line in list(room.lines):
        line.cut()
    b.restart()
    roamer = Roamer("new")
    roamer.connect(b)
    room.wait(CLUSTER.dead_s + 0.2)
    talk(roamer)
    assert roamer.is_connected


@pytest.mark.parametrize("starts", [1, 2, 3])
def test_sessions_of_a_disk_that_is_lost_outlive_several_starts_with_the_new_one(
    starts: int,
) -> None:
    room, (a, b, c) = copying("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 50))
    room.kill(a)
    a.card, a.said["store"] = Card(), "store-a-2"
    back(room, a)
    for _ in range(starts - 1):
        restarted(room, a)
        room.wait(12)  # rows of the registry are on disk by then
    roamer.connect(c)
    go_on(roamer, 3)
    assert roamer.connacks[-1].session_present and roamer.got == numbers(0, 50)
    assert b.node.broker.vitals.sessions_bare == 0


def test_a_link_that_breaks_for_a_moment_sends_no_session_to_its_copy() -> None:
    room, (a, _, c) = copying("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    between(room, "a", "c").cut()
    roamer.connect(c)
    room.wait(0.1)
    room.line(a, c)
    go_on(roamer)
    assert roamer.got == numbers(0, 20)
    assert not any("served from the copy" in note for note in c.notes)


def test_a_takeover_by_mistake_closes_no_connection() -> None:
    """The client is at a, and b has taken the session over, for it could not hear a."""
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    entry = a.node.broker.state.registry.entry("c")  # type: ignore[union-attr]
    assert entry is not None
    newer = a.mesh.state.clock.stamp(room.now)
    born = Stamp(newer.time_ms + 1, 0, "b")
    about = (entry.user, entry.epoch + 1, entry.line, entry.expiry_s, entry.filters)
    row = Row(born, born, msgspec.msgpack.encode(Entry("b", *about)))
    for gate in (a, b):
        gate.node.broker.rows_came("sessions", [("c", row)], room.now)
    room.wait(2)
    assert roamer.is_connected and owners(room) == ["a", "a"]
    publish(b.client("p"), "t", b"x", qos=2)
    talk(roamer)
    assert roamer.got == [b"x"] and not roamer.ends


def test_a_message_that_goes_to_both_ends_of_a_move_is_for_one_of_them() -> None:
    """b has another reader of the topic, so that c's messages go there before c knows of the move."""
    room, (a, b, c) = gates("a", "b", "c")
    other = subscribed(b, "t", name="other")
    roamer = subscribed(a, "t")
    line = between(room, "b", "c")
    line.muted = {side for side, gate in enumerate(line.gates) if gate is b}
    roamer.connect(b)
    for _ in range(10):
        one_turn(room)
    publish(c.client("p"), "t", b"x", qos=1)
    for _ in range(10):
        one_turn(room)
    line.muted = set()
    talk(roamer)
    talk(other)
    assert a.node.broker.vitals.sessions_went == 1
    assert roamer.got == [b"x"] and other.got == [b"x"]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_published_for_a_session_on_its_way_is_kept_if_it_does_not_come(
    restarts: bool,
) -> None:
    """Its gateway is dead; b reads the copy, and what its clients publish meanwhile it acknowledges."""
    room, (a, b, c) = copying("a", "b", "c")
    roamer = sleeping(a, *(b"%d " % number + b"x" * 50_000 for number in range(8)))
    room.kill(a)
    room.wait(CLUSTER.dead_s + 1)
    roamer.connect(c)
    room.wait(0.1)
    writer = c.client("w")
    writer.publish("t", b"9", 1)
    room.wait(0.5)
    if restarts:
        restarted(room, c)
    room.kill(b)
    room.wait(CLUSTER.dead_s + 1)
    back(room, b)
    back(room, a)
    roamer.connect(c)
    go_on(roamer, 4)
    assert sorted(int(each.split()[0]) for each in roamer.got) == [*range(8), 9]
