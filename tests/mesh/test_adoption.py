"""What is published for a session whose gateway is dead is kept, and reaches it wherever it is then."""

import pytest

from gateway.mqtt.packets import PubAck, PubComp
from tests.broker.kept import Card
from tests.mesh.room import CLUSTER, Room, between
from tests.mesh.test_moving import at_rest, numbers, owners, publish
from tests.mesh.test_promotion import back, gates, go_on, home, sleeping

DEAD_S = CLUSTER.dead_s + 0.5


def waiting(room: Room) -> dict[str, int]:
    """How much of the session is where."""
    found = {}
    for gate in room.gates:
        session = gate.node.broker.state.sessions.get("c")
        if session is not None:
            found[gate.name] = session.waiting()
    return found


def turn(room: Room) -> None:
    """One turn of each gateway; no time passes."""
    for gate in room.gates:
        gate.do(room.drain(gate))
        gate.work()
    for line in list(room.lines):
        line.carry()


@pytest.mark.parametrize("publisher", ["b", "c"])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_published_after_the_death_is_on_disk_and_goes_to_who_has_the_client(
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
    assert waiting(room) == {publisher: 20}
    roamer.connect(c)
    go_on(roamer)
    assert roamer.connacks[-1].session_present
    assert roamer.got == numbers(0, 40)
    back(room, a)
    go_on(roamer, 3)
    assert roamer.got == numbers(0, 40) and at_rest(room)


def test_its_order_is_kept_though_the_client_comes_in_the_midst() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 3_000), qos=1)
    room.kill(a)
    room.wait(DEAD_S)
    q, q2 = c.client("q"), b.client("q2")
    for number in range(3_000, 3_400):
        publish(q, "t", b"%d" % number, qos=1)
        publish(q2, "t", b"%d" % -number, qos=1)
        if number == 3_100:
            roamer.connect(b)
        turn(room)
        if number > 3_100:
            roamer.listen()
    go_on(roamer, 3)
    got = [int(each) for each in roamer.got]
    assert [each for each in got if each >= 0] == list(range(3_400))
    assert [each for each in got if each < 0] == list(range(-3_000, -3_400, -1))
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
    assert waiting(room) == {"c": 20}
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
        turn(room)
    room.wait(3)
    roamer.connect(a)
    go_on(roamer, 2)
    assert roamer.got == numbers(0, 140)
    assert at_rest(room)


def test_who_has_the_client_gets_what_waits_elsewhere() -> None:
    room, (a, _, c, d) = gates("a", "b", "c", "d")
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    room.wait(DEAD_S)
    publish(d.client("q"), "t", *numbers(20, 30), qos=2)
    publish(c.client("q2"), "t", *numbers(30, 40), qos=2)
    room.settle()
    assert waiting(room) == {"c": 10, "d": 10}
    roamer.connect(c)
    go_on(roamer, 2)
    assert roamer.got[:20] == numbers(0, 20)
    assert sorted(roamer.got, key=int) == numbers(0, 40) and at_rest(room)
    assert home(room) == "c" and roamer.connacks[-1].session_present


def test_a_session_of_a_gateway_that_is_forgotten_is_adopted_and_expires_as_it_would_have() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    sleeping(a, b"0")
    room.wait(200)
    room.kill(a)
    room.wait(DEAD_S)
    publish(c.client("q"), "t", b"1")
    c.mesh.operating.forget("a", room.now)
    room.wait(3)
    assert owners(room) == ["b", "b"] and waiting(room) == {"b": 2} and at_rest(room)
    state = b.node.broker.state
    assert home(room) == "b"
    assert room.now - state.away["c"] > 200


def test_a_message_that_nobody_may_keep_and_one_of_qos_0_adopt_nothing() -> None:
    room, (a, _, c) = gates("a", "b", "c")
    sleeping(a, *numbers(0, 20))
    room.kill(a)
    room.wait(DEAD_S)
    q = c.client("q")
    publish(q, "t", b"x", qos=0)
    publish(q, "other", b"x", qos=1)
    room.wait(2)
    assert waiting(room) == {} and owners(room) == ["a", "a"]


def test_a_retained_message_reaches_the_queue_once_too() -> None:
    room, (a, _, c) = gates("a", "b", "c")
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
    publish(c.client("q"), "t", *numbers(20, 30), qos=2)
    room.wait(0.5)
    roamer.connect(b, clean=True)
    go_on(roamer, 3)
    roamer.subscribe("t")
    go_on(roamer)
    publish(c.client("q3"), "t", b"new", qos=2)
    go_on(roamer)
    assert roamer.got == [b"new"] and at_rest(room)


@pytest.mark.parametrize("back_as", ["it was", "with an empty disk", "dead for good"])
@pytest.mark.parametrize("writes", [True, False])
def test_what_a_gateway_had_not_said_to_keep_when_it_died_comes_once(
    back_as: str, writes: bool
) -> None:
    """`writes`: it had them on disk, and could not say so."""
    room, (a, _, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    line = between(room, "a", "c")
    line.muted = {line.gates.index(a)}
    a.disk_works = writes
    q = c.client("q")
    publish(q, "t", *numbers(20, 40), qos=2)
    room.wait(0.5)
    room.kill(a)
    room.wait(DEAD_S)
    assert waiting(room) == {"c": 20}
    publish(q, "t", *numbers(40, 60), qos=2)
    room.wait(0.5)
    a.disk_works = True
    if back_as == "with an empty disk":
        a.card, a.said["store"] = Card(), "store-a-2"
    if back_as != "dead for good":
        back(room, a)
    roamer.connect(c)
    go_on(roamer, 3)
    assert roamer.got == numbers(0, 60) and at_rest(room)


def test_a_gateway_that_begins_anew_at_once_gets_what_it_had_not_said_to_keep() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    a.disk_works = False
    q = c.client("q")
    publish(q, "t", *numbers(20, 40), qos=2)
    room.settle()
    a.disk_works = True
    a.restart()
    for other in (b, c):
        room.line(a, other)
    for number in range(40, 140):
        publish(q, "t", b"%d" % number, qos=2)
        turn(room)
    room.wait(3)
    roamer.connect(a)
    go_on(roamer, 2)
    assert roamer.got == numbers(0, 140) and at_rest(room)


@pytest.mark.parametrize("publisher", ["b", "c", "d"])
@pytest.mark.parametrize("back_again", [False, True])
def test_what_was_under_way_when_its_client_came_elsewhere_is_not_lost(
    publisher: str, back_again: bool
) -> None:
    """The gateway is gone, its client has noticed, and nobody else has."""
    room, (a, b, c, d) = gates("a", "b", "c", "d")
    roamer = sleeping(a, *numbers(0, 20))
    q = {"b": b, "c": c, "d": d}[publisher].client("q")
    room.kill(a)
    publish(q, "t", *numbers(20, 40), qos=2)
    room.wait(0.5)
    roamer.connect(c)
    go_on(roamer)
    publish(q, "t", *numbers(40, 60), qos=2)
    go_on(roamer, 4)
    publish(q, "t", *numbers(60, 80), qos=2)
    go_on(roamer)
    assert roamer.got == numbers(0, 80) and home(room) == "c"
    if back_again:
        back(room, a)
        go_on(roamer, 3)
        assert roamer.got == numbers(0, 80)
    assert at_rest(room)


@pytest.mark.parametrize("publisher", ["b", "c", "d"])
@pytest.mark.parametrize("noticed_s", [0.1, 6.0])
def test_what_is_published_while_a_gateway_comes_back_is_not_for_what_it_had(
    publisher: str, noticed_s: float
) -> None:
    """Its disk still has the session, that went elsewhere before anybody knew it to be dead."""
    room, (a, b, c, d) = gates("a", "b", "c", "d")
    roamer = sleeping(a, *numbers(0, 20))
    q = {"b": b, "c": c, "d": d}[publisher].client("q")
    room.kill(a)
    room.wait(0.5)
    roamer.connect(c)
    go_on(roamer)
    room.wait(noticed_s)
    room.gates.append(a)
    a.restart()
    for other in (b, c, d):
        room.line(a, other)
    for number in range(20, 420):
        publish(q, "t", b"%d" % number, qos=2)
        turn(room)
        if number % 4 == 0:
            go_on(roamer, 0.1)
    go_on(roamer, 6)
    assert roamer.got == numbers(0, 420)
    assert home(room) == "c" and at_rest(room)


@pytest.mark.parametrize("silent_s", [0.1, 6.0])
def test_a_gateway_that_was_only_silent_does_not_give_on_what_others_gave_on(
    silent_s: float,
) -> None:
    """It was not run, say: what was sent to it is in its buffers, and it takes all of that."""
    room, (a, b, c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 20))
    q = b.client("q")
    lines = [line for line in room.lines if a in line.gates]
    for line in lines:
        line.muted = {0, 1}
    publish(q, "t", *numbers(20, 40), qos=2)
    room.wait(CLUSTER.suspect_s + 0.2)
    roamer.connect(c)
    go_on(roamer, 0.3)
    publish(q, "t", *numbers(40, 60), qos=2)
    room.wait(silent_s)
    for line in lines:
        line.muted = set()
        line.carry()
        if silent_s > CLUSTER.dead_s:
            line.cut()
            room.line(*line.gates)
    go_on(roamer, 6)
    publish(q, "t", *numbers(60, 80), qos=2)
    go_on(roamer)
    assert sorted(roamer.got, key=int) == numbers(0, 80)
    assert home(room) == "c" and at_rest(room)
