"""Who keeps the copy of whose store, and when another one does."""

from dataclasses import replace

import pytest

from gateway.mesh.life import Life
from tests.mesh.room import CLUSTER, Gate, Room, between, chain

AFTER_S = 5.0
MEETING_S = CLUSTER.dead_s + 0.6
SHORT = replace(CLUSTER, copy_after_s=AFTER_S)


def kept_by(*gates: Gate) -> list[str]:
    """The stand-in of each, as it sees it itself."""
    return [gate.mesh.state.stand_in for gate in gates]


def with_disks(*names: str) -> tuple[Room, list[Gate]]:
    """Gateways that have met, and have chosen."""
    room = Room()
    gates = room.linked(*names, disk=True, cluster=SHORT)
    room.wait(MEETING_S)
    return room, gates


def test_the_next_one_in_the_ring_keeps_the_copy() -> None:
    _, gates = with_disks("c", "a", "d", "b")
    assert sorted(zip("cadb", kept_by(*gates), strict=True)) == [
        *(("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"))
    ]


def test_nobody_is_chosen_before_those_that_start_together_have_met() -> None:
    room = Room()
    a, c = room.linked("a", "c", disk=True)
    room.wait(MEETING_S / 2)
    assert kept_by(a, c) == ["", ""]
    b = room.gate("b", disk=True)
    room.line(b, a)
    room.line(b, c)
    room.wait(MEETING_S * 2)
    assert kept_by(a, b, c) == ["b", "c", "a"]


def test_everybody_knows_whose_stand_in_is_who() -> None:
    _, (a, b, c) = with_disks("a", "b", "c")
    assert (a.peer("b").stand_in, a.peer("c").stand_in) == ("c", "a")
    assert (b.peer("a").stand_in, b.peer("c").stand_in) == ("b", "a")
    assert (c.peer("a").stand_in, c.peer("b").stand_in) == ("b", "c")


def test_a_stand_in_stays_until_it_is_away_for_long() -> None:
    room, (a, b, _) = with_disks("a", "b", "c")
    between(room, "a", "b").cut()
    between(room, "b", "c").cut()
    room.wait(AFTER_S - 0.5)
    assert a.peer("b").life is Life.DEAD
    assert kept_by(a) == ["b"]
    room.line(a, b)
    room.wait(AFTER_S)
    assert kept_by(a) == ["b"], "it was back in time"
    between(room, "a", "b").cut()
    room.wait(AFTER_S + 1)
    assert kept_by(a) == ["c"]
    assert a.stand_in == "c", "the disk knows"


def test_one_that_is_back_does_not_get_its_place_again() -> None:
    room, (a, b, c) = with_disks("a", "b", "c")
    between(room, "a", "b").cut()
    between(room, "b", "c").cut()
    room.wait(AFTER_S + 1)
    room.line(a, b)
    room.line(b, c)
    room.wait(AFTER_S + 1)
    assert a.peer("b").life is Life.ALIVE
    assert kept_by(a, c) == ["c", "a"]


def test_one_that_said_that_it_stops_has_ten_minutes() -> None:
    room, (a, b, _) = with_disks("a", "b", "c")
    b.mesh.stop(room.now)
    room.settle()
    between(room, "a", "b").cut()
    between(room, "b", "c").cut()
    room.wait(590)
    assert kept_by(a) == ["b"]
    room.wait(11)
    assert kept_by(a) == ["c"]


def test_one_that_cannot_be_reached_is_replaced_although_others_hear_it() -> None:
    room, (a, *_) = with_disks("a", "b", "c", "d")
    for line in chain(room):
        line.cut()
    room.wait(CLUSTER.dead_s + AFTER_S + 1)
    assert a.peer("b").life is Life.SUSPECT
    assert kept_by(a) == ["c"]


def test_the_last_copy_is_not_given_up_for_want_of_another_place() -> None:
    room, (a, b) = with_disks("a", "b")
    between(room, "a", "b").cut()
    room.wait(4 * AFTER_S)
    assert kept_by(a, b) == ["b", "a"]


@pytest.mark.parametrize("why", ["no disk", "full disk"])
def test_one_that_does_not_store_is_not_chosen_and_does_not_stay(why: str) -> None:
    room = Room()
    a, c = room.linked("a", "c", disk=True, cluster=SHORT)
    b = room.gate("b", disk=why != "no disk", cluster=SHORT)
    room.line(a, b)
    room.line(b, c)
    if why == "no disk":
        room.wait(MEETING_S)
        assert kept_by(a, b, c) == ["c", "", "a"]
        return
    room.wait(MEETING_S)
    assert kept_by(a, b, c) == ["b", "c", "a"]
    b.node.broker.journal.refusing = "the disk is full"
    room.wait(1)
    assert kept_by(a, b, c) == ["c", "c", "a"], "another one at once; b has its own copy still"


def test_one_of_the_version_before_is_not_chosen() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c", disk=True)
    for gate in (a, c):
        older = gate.peer("b").hello
        assert older is not None
        gate.peer("b").hello = type(older)(**{**_fields(older), "protocol": 1})
    room.wait(MEETING_S)
    assert kept_by(a, b, c) == ["c", "c", "a"]


def test_after_a_restart_it_is_the_one_that_the_disk_remembers() -> None:
    room, (a, b, c) = with_disks("a", "b", "c")
    a.restart()
    room.line(a, c)
    room.wait(MEETING_S)
    assert kept_by(a) == ["b"], "b is away, and not for long"
    room.line(a, b)
    room.wait(AFTER_S + 1)
    assert kept_by(a) == ["b"]


def _fields(frame: object) -> dict[str, object]:
    return {name: getattr(frame, name) for name in frame.__struct_fields__}  # type: ignore[attr-defined]
