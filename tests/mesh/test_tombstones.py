"""What was deleted while a gateway was off stays deleted when it is back with what its disk has."""

import pytest

from gateway.broker.logins import User
from gateway.broker.people import user_row
from gateway.mesh.forgetting import DAY_S
from tests.mesh.room import CLUSTER, Gate, Room

DEAD_S = CLUSTER.dead_s + 1.0


class Drawer:
    """The gateways a, b, c with disks; c has all of it on disk, and is off."""

    def __init__(self) -> None:
        self.room = room = Room(disks=True)
        self.a, self.b, self.c = room.linked("a", "b", "c")
        client = self.a.client("s", clean=False)
        room.settle()
        client.subscribe("t/#", 1)
        client.leave()
        writer = self.a.client("writer")
        room.settle()
        writer.publish("kept/1", b"x", retain=True)
        _change(self.a, "ann", User("$stored", frozenset()))
        room.wait(15)  # what nobody waits for is on the disks, too
        assert has(self.c) == {"retained", "user", "session"}
        room.kill(self.c)
        room.wait(DEAD_S)

    def delete(self) -> None:
        writer = self.a.client("writer")
        writer.publish("kept/1", b"", retain=True)
        _change(self.a, "ann", None)
        self.a.client("s", clean=True).leave()
        self.room.wait(15)
        assert has(self.a) == has(self.b) == set()

    def back(self, other: Gate) -> None:
        self.room.gates.append(self.c)
        self.c.restart()
        assert has(self.c) == {"retained", "user", "session"}, "as it was"
        self.room.line(other, self.c)
        self.room.wait(5)


def _change(gate: Gate, name: str, user: User | None) -> None:
    done: list[str] = []
    key, value = user_row(name, user)
    gate.node.broker.admission.change({key: value}, done.append, gate.room.now)
    gate.room.settle()
    assert done == [""]


def has(gate: Gate) -> set[str]:
    """What of the three things is there, in the eyes of this gateway."""
    broker = gate.node.broker
    registry = broker.state.registry
    assert registry is not None
    found = {
        "retained": bool(list(broker.retained.matching("kept/#"))),
        "user": "ann" in broker.people.users,
        "session": registry.entry("s") is not None,
    }
    return {name for name, is_there in found.items() if is_there}


@pytest.mark.parametrize("other", ["a", "b"])
def test_who_was_off_learns_of_deletions_and_brings_nothing_back(other: str) -> None:
    drawer = Drawer()
    drawer.delete()
    drawer.back({"a": drawer.a, "b": drawer.b}[other])
    assert has(drawer.a) == has(drawer.b) == has(drawer.c) == set()
    assert "c" not in drawer.a.mesh.operating.unconfirmed("people")


def test_also_where_all_others_began_anew_meanwhile() -> None:
    drawer = Drawer()
    drawer.delete()
    room, a, b = drawer.room, drawer.a, drawer.b
    room.kill(a, b)
    for gate in (a, b):
        room.gates.append(gate)
        gate.restart()
    room.line(a, b)
    room.wait(DEAD_S)
    drawer.back(b)
    assert has(a) == has(b) == has(drawer.c) == set()


def test_who_was_off_for_longer_than_deletions_are_told_is_forgotten_and_brings_nothing() -> None:
    drawer = Drawer()
    drawer.delete()
    room = drawer.room
    for gate in (drawer.a, drawer.b):
        gate.peer("c").dead_s = 7 * DAY_S
    room.wait(1)
    assert "c" not in drawer.a.mesh.state.peers
    drawer.back(drawer.a)
    assert has(drawer.a) == has(drawer.b) == set()


def test_who_is_off_is_named_to_the_operator_who_removes_a_user() -> None:
    drawer = Drawer()
    drawer.delete()
    assert drawer.a.mesh.operating.unconfirmed("people") == ["c"]
