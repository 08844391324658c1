"""One gateway at a time is out of service, in any order of what is said and whatever dies meanwhile."""

from random import Random

import pytest

from gateway.limits import LOCK_LEASE_S
from gateway.mesh import lock
from gateway.mesh.problems import problems
from gateway.mesh.unplugging import safe_to_unplug
from tests.mesh.room import Gate, Room, between


def want(*gates: Gate) -> None:
    for gate in gates:
        gate.mesh.operating.want_lock("drain", gate.room.now)


def having(*gates: Gate) -> list[str]:
    return [gate.name for gate in gates if lock.has(gate.mesh.state)]


def give_up(gate: Gate) -> None:
    gate.mesh.operating.give_lock_up(gate.room.now)
    gate.room.settle()


def cut(room: Room, gate: Gate) -> None:
    for line in list(room.lines):
        if gate in line.gates:
            line.cut()


def test_who_wants_it_alone_has_it_when_all_have_heard() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    want(b)
    assert having(a, b, c) == [] and b.mesh.operating.lock_waits_for() == [
        "an answer of a",
        "an answer of c",
    ]
    room.settle()
    assert having(a, b, c) == ["b"] and b.mesh.operating.lock_waits_for() == []
    assert lock.holder(a.mesh.state) == ("b", "drain")


def test_of_all_who_want_it_at_once_one_has_it_and_then_the_next() -> None:
    room = Room()
    gates = room.linked("a", "b", "c")
    want(*gates)
    room.settle()
    served = []
    for _ in gates:
        (holder,) = having(*gates)
        served.append(holder)
        others = [gate for gate in gates if lock.holder(gate.mesh.state) != (holder, "drain")]
        assert others == []
        give_up(next(gate for gate in gates if gate.name == holder))
    assert sorted(served) == ["a", "b", "c"]
    assert lock.holder(gates[0].mesh.state) is None


@pytest.mark.parametrize("seed", range(60))
def test_whatever_arrives_first_two_never_have_it(seed: int) -> None:
    room = Room()
    gates = room.linked("a", "b", "c")
    random = Random(seed)
    sides = [(line, side) for line in room.lines for side in (0, 1)]
    for line in room.lines:
        line.muted = {0, 1}
    wanting = random.sample(gates, 3)
    for _ in range(30):
        if wanting and random.random() < 0.3:
            want(wanting.pop())
        line, side = random.choice(sides)
        line.muted.discard(side)
        room.settle()
        assert len(having(*gates)) <= 1
        line.muted.add(side)
    for line in room.lines:
        line.muted.clear()
    want(*wanting)
    room.settle()
    assert len(having(*gates)) == 1


def test_one_that_is_away_with_it_is_waited_for_until_it_is_back() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    want(a)
    room.settle()
    assert having(a) == ["a"]
    cut(room, a)
    room.wait(5)
    want(b)
    room.settle()
    assert b.mesh.operating.lock_waits_for() == ["a (drain)"]
    a.restart()
    for other in (b, c):
        room.line(a, other)
    room.settle()
    assert having(a, b, c) == ["b"]


def test_one_that_does_not_come_back_is_waited_for_ten_minutes() -> None:
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    want(a)
    room.settle()
    cut(room, a)
    room.gates.remove(a)
    want(b)
    room.wait(LOCK_LEASE_S - 10)
    assert having(b) == []
    room.wait(15)
    assert having(b) == ["b"]


def test_one_whose_link_is_made_anew_still_has_it() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    want(a)
    room.settle()
    assert having(a) == ["a"]
    between(room, "a", "b").cut()
    room.line(b, a)
    room.settle()
    want(b)
    room.settle()
    assert having(a, b) == ["a"]


def test_one_that_comes_new_hears_who_has_it() -> None:
    room = Room()
    (a,) = room.linked("a")
    want(a)
    assert having(a) == ["a"]
    b = room.gate("b")
    room.line(b, a)
    room.settle()
    want(b)
    room.settle()
    assert having(a, b) == ["a"]


def test_in_a_split_each_side_may() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    cut(room, a)
    room.wait(5)
    want(a, b)
    assert having(a, b) == ["a", "b"]


def test_one_of_those_that_others_can_stand_in_for_may_be_unplugged() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    room.wait(1)
    assert safe_to_unplug(a.mesh.state) == safe_to_unplug(b.mesh.state) == ["a", "b", "c"]
    assert not a.mesh.operating.would_be_missed()
    a.mesh.state.copied = lambda gateway: gateway != "b"
    assert safe_to_unplug(a.mesh.state) == ["a", "c"]
    want(c)
    room.settle()
    assert safe_to_unplug(a.mesh.state) == ["c"]
    found = problems(a.mesh.state, "a", room.now)
    assert ["c is out of service" in each.text for each in found] == [True]
    cut(room, c)
    room.wait(5)
    assert safe_to_unplug(a.mesh.state) == []


def test_the_last_one_alive_is_missed() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    cut(room, b)
    room.wait(5)
    assert safe_to_unplug(a.mesh.state) == [] and a.mesh.operating.would_be_missed()


def test_clients_are_sent_to_those_that_live_and_stay() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    assert a.mesh.operating.doors() == ["b", "c"]
    b.mesh.state.peers["a"].hello = None
    want(c)
    room.settle()
    assert a.mesh.operating.doors() == ["b"]
