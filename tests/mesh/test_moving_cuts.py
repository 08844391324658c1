"""Whatever breaks while a session moves, nothing is lost; what both sides of a cut have is joined."""

import pytest

from gateway.broker.coming import ANSWER_S
from gateway.mesh.frames import Said, split
from gateway.moves import Parcel
from gateway.mqtt.packets import (
    PingReq,
)
from tests.mesh.roamer import talk
from tests.mesh.room import Gate, between
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


def test_who_knows_nothing_of_what_was_sent_uses_other_packet_ids() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.deaf = True
    publisher = b.client("p")
    publish(publisher, "t", b"1", qos=2)
    room.settle()
    roamer.listen()
    between(room, "a", "b").cut()
    room.wait(4)
    roamer.deaf = False
    roamer.connect(b)
    talk(roamer)
    assert roamer.connacks[-1].session_present
    publish(publisher, "t", b"2", qos=2)
    talk(roamer)
    assert roamer.got == [b"2"] and roamer.ids[0] > 32_767
    room.line(a, b)
    room.wait(3)
    talk(roamer)
    assert sorted(roamer.got) == [b"1", b"2"] and homes(room) == ["b"]


def test_after_two_gateways_that_know_nothing_the_client_begins_anew() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    for gate, other in ((b, "a"), (c, "b")):
        for line in [line for line in room.lines if other in [each.name for each in line.gates]]:
            line.cut()
        room.wait(4)
        roamer.connect(gate)
        talk(roamer)
    assert [each.session_present for each in roamer.connacks] == [False, True, False]


def test_a_gateway_that_comes_back_gives_only_what_is_not_known_and_nothing_twice() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    publisher = b.client("p")
    publish(publisher, "t", *numbers(0, 5), qos=2)
    talk(roamer)
    roamer.leave()
    publish(publisher, "t", *numbers(5, 10), qos=2)
    room.settle()
    between(room, "a", "b").cut()
    room.wait(4)
    roamer.connect(b)
    publish(publisher, "t", *numbers(10, 15), qos=2)
    talk(roamer)
    assert roamer.got == numbers(0, 5) + numbers(10, 15)
    room.line(a, b)
    room.wait(3)
    talk(roamer)
    assert roamer.got == numbers(0, 5) + numbers(10, 15) + numbers(5, 10)
    assert homes(room) == ["b"] and at_rest(room)
    assert b.node.broker.vitals.sessions_merged == 1


def test_what_a_client_subscribed_to_on_either_side_of_a_cut_counts_after_it() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "before")
    between(room, "a", "b").cut()
    room.wait(4)
    roamer.subscribe("at/a")
    talk(roamer)
    room.now += 1
    roamer.connect(b)
    talk(roamer)
    roamer.subscribe("at/b")
    talk(roamer)
    room.wait(20)
    roamer.say(PingReq())
    room.line(a, b)
    room.wait(3)
    talk(roamer)
    assert homes(room) == ["b"] and at_rest(room)
    publisher = a.client("p")
    for topic in ("before", "at/a", "at/b"):
        publish(publisher, topic, topic.encode())
    talk(roamer)
    assert sorted(roamer.got) == [b"at/a", b"at/b", b"before"]


def test_what_waits_in_an_old_session_is_not_for_the_new_one_of_a_clean_start() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(b.client("p"), "t", b"old")
    room.settle()
    between(room, "a", "b").cut()
    room.wait(4)
    roamer.connect(b, clean=True)
    talk(roamer)
    room.line(a, b)
    room.wait(3)
    talk(roamer)
    assert roamer.got == [] and homes(room) == ["b"] and at_rest(room)


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("fate", ["link", "cut", "a restarts", "b restarts", "c restarts"])
def test_whatever_breaks_at_any_moment_nothing_is_lost_and_one_has_the_session(
    turns: int, fate: str
) -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    roamer.leave()
    publisher = c.client("p")
    publish(publisher, "t", *numbers(0, 1_000), qos=1)
    room.settle()
    roamer.connect(b)
    for _ in range(turns):
        one_turn(room)
    line = between(room, "a", "b")
    if fate == "link":
        line.cut()
        room.line(b, a)
    elif fate == "cut":
        line.cut()
        room.wait(6)
        room.line(b, a)
    else:
        gate = {"a": a, "b": b, "c": c}[fate[0]]
        gate.restart()
        for other in room.gates:
            if other is not gate:
                room.line(gate, other)
    room.wait(6)
    if not roamer.is_connected:
        roamer.connect(b)
    talk(roamer)
    room.wait(3)
    talk(roamer)
    assert roamer.connacks[-1].session_present
    assert sorted(dict.fromkeys(roamer.got), key=int) == numbers(0, 1_000)
    assert len(roamer.got) - 1_000 <= 1_000  # QoS 1: what was in flight may have come again
    assert homes(room) == ["b"] and owners(room) == ["b"] * 3 and at_rest(room)


def test_a_gateway_that_does_not_answer_is_not_waited_for_long() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    between(room, "a", "b").muted = {0, 1}
    roamer.connect(b)
    room.wait(1.0)
    assert not roamer.is_connected
    room.wait(ANSWER_S + 1.2)
    assert roamer.is_connected
    talk(roamer)
    assert roamer.connacks[-1].session_present
    assert b.node.broker.vitals.sessions_bare == 1
    assert any("goes on without what waits for it at a" in note for note in b.notes)


def test_a_disk_that_fails_leaves_the_session_where_it_was() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(a.client("p"), "t", b"x")
    room.settle()
    b.disk_fails = True
    roamer.connect(b)
    for _ in range(20):
        one_turn(room)
    assert not roamer.is_connected and owners(room) == ["a", "a"]
    b.disk_fails = False
    room.wait(8)
    roamer.connect(a)
    talk(roamer)
    assert roamer.got == [b"x"] and roamer.connacks[-1].session_present


def test_what_is_no_session_is_refused_and_said() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    line = between(room, "a", "b")
    line.muted = {0, 1}
    roamer.connect(b)
    b.do(room.drain(b))
    moving = b.node.broker.moving
    assert moving is not None
    (claim,) = [
        frame.move
        for link in b.mesh.state.links
        for frame in split(b"".join(link.out))[0]
        if isinstance(frame, Said)
    ]
    moving.heard("a", Parcel("c", claim.token, 1, b"\xc1", b"\xc1"))
    assert not roamer.is_connected
    assert any("cannot be taken over: what came cannot be read" in note for note in _notes(b))


def _notes(gate: Gate) -> list[str]:
    gate.do(gate.room.drain(gate))
    return gate.notes


def test_a_session_is_on_disk_where_it_went_before_its_client_is_answered() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(a.client("p"), "t", *numbers(0, 20))
    room.settle()
    roamer.deaf = True
    roamer.connect(b)
    talk(roamer)
    assert roamer.is_connected
    roamer.deaf = False
    for gate in (a, b):  # all lose their power at once
        gate.restart()
    room.line(a, b)
    room.wait(4)
    roamer.connect(b)
    talk(roamer)
    assert roamer.got == numbers(0, 20) and roamer.connacks[-1].session_present


def test_what_others_have_is_known_after_a_restart_though_they_are_gone() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    room.wait(11)  # rows of others are written by and by
    for line in list(room.lines):
        line.cut()
    b.restart()
    room.wait(4)
    roamer.connect(b)
    talk(roamer)
    assert roamer.connacks[-1].session_present
    publish(b.client("p"), "t", b"x")
    talk(roamer)
    assert roamer.got == [b"x"]


def test_a_leftover_that_went_into_a_session_begun_here_is_not_asked_for() -> None:
    """b takes the session while a is cut off; then a while b is, and goes on with what it has."""
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(a.client("p"), "t", *numbers(0, 5))
    room.settle()
    between(room, "a", "b").cut()
    room.wait(4)
    roamer.connect(b)
    talk(roamer)
    roamer.leave()
    room.line(a, b)
    room.settle()  # a knows that it is b's, and has not offered what it has
    between(room, "a", "b").cut()
    room.wait(4)
    roamer.connect(a)
    talk(roamer)
    room.line(a, b)
    room.wait(5)
    roamer.connect(a)
    talk(roamer)
    room.wait(3)
    talk(roamer)
    assert homes(room) == ["a"] and at_rest(room)
    broker = a.node.broker
    assert broker.waiting() == 0 and broker.state.room.used == 0


@pytest.mark.parametrize("turns", range(1, 12))
def test_a_gateway_that_loses_its_power_before_it_has_all_that_was_sent_has_nothing(
    turns: int,
) -> None:
    """What was sent to the client is more than a piece. What is here of it is no session yet."""
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.deaf = True
    wanted = [b"%d " % number + b"x" * 50_000 for number in range(12)]
    publish(a.client("p"), "t", *wanted, qos=2)
    room.settle()
    roamer.connect(b)
    for _ in range(turns):
        one_turn(room)
    b.restart()
    room.line(a, b)
    room.wait(6)
    roamer.deaf = False
    roamer.connect(b)
    talk(roamer)
    room.wait(3)
    talk(roamer)
    assert roamer.connacks[-1].session_present
    assert sorted(roamer.got, key=lambda each: int(each.split()[0])) == wanted
    assert homes(room) == ["b"] and at_rest(room)
