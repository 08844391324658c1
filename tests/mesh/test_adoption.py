"""What is published for a session whose gateway is dead, and that nobody has claimed, reaches its queue."""

import pytest

from gateway.mqtt.packets import PubAck, PubComp
from gateway.mqtt.properties import Properties
from gateway.mqtt.packets import Publish
from tests.broker.kept import Card
from tests.mesh.roamer import Roamer, talk
from tests.mesh.room import CLUSTER, Gate, Room, between
from tests.mesh.test_moving import at_rest, numbers, owners, publish
from tests.mesh.test_promotion import back, gates, go_on, home, sleeping, subscribed

DEAD_S = CLUSTER.dead_s + 0.5


def waiting(room: Room) -> dict[str, int]:
    """How much of the session is where."""
    found = {}
    for gate in room.gates:
        session = gate.node.broker.state.sessions.get("c")
        if session is not None:
            found[gate.name] = session.waiting()
    return found


@pytest.mark.parametrize("publisher", ["b", "c"])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_published_after_the_death_reaches_the_queue_at_the_stand_in(
    publisher: str, qos: int
) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20), qos=qos)
    room.kill(a)
    room.wait(DEAD_S)
    at = {"b": b, "c": c}[publisher].client("q")
    publish(at, "t", *numbers(20, 40), qos=qos)
    room.settle()
    done = [each for each in at.got() if isinstance(each, PubAck | PubComp)]
    assert len(done) == 20, "answered at once"
    room.wait(1.5)
    assert home(room) == "b" and owners(room) == ["b", "b"], "adopted"
    assert waiting(room) == {"b": 40} and at_rest(room)
    roamer.connect(c)
    go_on(roamer)
    assert roamer.connacks[-1].session_present
    assert roamer.got == numbers(0, 40)
    back(room, a)
    go_on(roamer, 3)
    assert roamer.got == numbers(0, 40) and at_rest(room)


def test_what_is_published_at_both_sides_of_the_adoption_keeps_its_order() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 3_000), qos=1)
    room.kill(a)
    room.wait(DEAD_S)
    q = c.client("q")
    for number in range(3_000, 3_200):
        publish(q, "t", b"%d" % number, qos=1 + number % 2)
        for gate in room.gates:
            gate.do(room.drain(gate))
            gate.work()
        for line in list(room.lines):
            line.carry()
    room.wait(2)
    roamer.connect(c)
    go_on(roamer, 2)
    got = [int(each) for each in roamer.got]
    for qos in (0, 1):
        assert [each for each in got if each % 2 == qos] == list(range(qos, 3_200, 2))
    assert at_rest(room)


def test_nothing_is_lost_if_the_publishers_gateway_begins_anew_before_the_adoption() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    room.wait(DEAD_S)
    between(room, "b", "c").cut()
    q = c.client("q")
    publish(q, "t", *numbers(20, 40), qos=2)
    room.settle()
    assert waiting(room) == {"c": 20}
    c.restart()
    room.line(b, c)
    room.wait(DEAD_S + 3)
    assert home(room) == "b" and waiting(room) == {"b": 40}
    roamer.connect(b)
    go_on(roamer)
    assert roamer.got == numbers(0, 40) and at_rest(room)


def test_without_a_copy_it_waits_for_the_gateway_and_comes_before_what_is_newer() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    copy = b.shelves.whole("a")
    assert copy is not None
    copy.place = copy.place.but(whole=False)
    room.kill(a)
    room.wait(DEAD_S)
    q = c.client("q")
    publish(q, "t", *numbers(20, 40), qos=2)
    room.wait(3)
    assert waiting(room) == {"c": 20}, "on disk where it was published"
    a.restart()
    room.gates.append(a)
    for other in (b, c):
        room.line(a, other)
    for number in range(40, 140):
        publish(q, "t", b"%d" % number, qos=2)
        for gate in room.gates:
            gate.do(room.drain(gate))
            gate.work()
        for line in list(room.lines):
            line.carry()
    room.wait(3)
    roamer.connect(a)
    go_on(roamer, 2)
    assert roamer.got == numbers(0, 140)
    assert at_rest(room)


def test_who_has_the_client_gets_what_waits_elsewhere() -> None:
    """The client is quicker than the adoption."""
    room, (a, b, c, d) = gates("a", "b", "c", "d")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    room.wait(DEAD_S)
    b.copies_work = False
    publish(d.client("q"), "t", *numbers(20, 30), qos=2)
    publish(c.client("q2"), "t", *numbers(30, 40), qos=2)
    room.wait(0.5)
    roamer.connect(c)
    room.wait(0.2)
    b.copies_work = True
    go_on(roamer, 2)
    assert roamer.got[:20] == numbers(0, 20)
    assert sorted(roamer.got, key=int) == numbers(0, 40) and at_rest(room)
    assert home(room) == "c" and roamer.connacks[-1].session_present


def test_a_session_that_was_adopted_expires_when_it_would_have() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, b"0")
    room.wait(200)
    room.kill(a)
    room.wait(DEAD_S)
    publish(c.client("q"), "t", b"1")
    room.wait(2)
    state = b.node.broker.state
    assert home(room) == "b"
    assert room.now - state.away["c"] > 200


def test_a_message_that_nobody_may_keep_and_one_of_qos_0_adopt_nothing() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    sleeping(a, *numbers(0, 20))
    room.kill(a)
    room.wait(DEAD_S)
    q = c.client("q")
    publish(q, "t", b"x", qos=0)
    publish(q, "other", b"x", qos=1)
    room.wait(2)
    assert waiting(room) == {} and owners(room) == ["a", "a"]


def test_a_retained_message_reaches_the_queue_once_too() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 5), qos=1)
    room.kill(a)
    room.wait(DEAD_S)
    c.client("q").publish("t", b"5", 1, retain=True)
    room.wait(2)
    roamer.connect(c)
    go_on(roamer)
    assert roamer.got == numbers(0, 6)


def test_a_clean_start_leaves_nothing_of_an_appendix() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    room.wait(DEAD_S)
    b.copies_work = False
    publish(c.client("q"), "t", *numbers(20, 30), qos=2)
    room.wait(0.5)
    roamer.connect(b, clean=True)
    b.copies_work = True
    go_on(roamer, 3)
    roamer.subscribe("t")
    go_on(roamer)
    publish(c.client("q3"), "t", b"new", qos=2)
    go_on(roamer)
    assert roamer.got == [b"new"] and at_rest(room)
