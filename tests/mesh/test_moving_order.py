"""While a session moves, messages stay in order, and QoS 2 is exactly once."""

import pytest

from gateway.mqtt.packets import (
    PubComp,
    Publish,
    PubRec,
)
from tests.mesh.roamer import talk
from tests.mesh.room import between
from tests.mesh.sessions import (
    at_rest,
    gates,
    numbers,
    one_turn,
    publish,
    subscribed,
)


@pytest.mark.parametrize("slow", ["a", "b"])
def test_messages_of_one_publisher_stay_in_order_while_the_session_moves(slow: str) -> None:
    """m1 goes to a, which is slow; the publisher's gateway learns of the move, m2 goes to b."""
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    publisher = c.client("p")
    line = between(room, "c", slow)
    line.muted = {side for side, gate in enumerate(line.gates) if gate is c}
    publish(publisher, "t", b"1", qos=2)
    room.settle()
    roamer.connect(b)
    talk(roamer)
    publish(publisher, "t", b"2", b"3", qos=2)
    talk(roamer)
    line.muted = set()
    talk(roamer)
    assert roamer.got == [b"1", b"2", b"3"]
    assert at_rest(room)


def test_what_is_published_at_both_ends_while_it_moves_comes_once_and_in_order() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t/#")
    here, there = a.client("p"), b.client("q")
    roamer.leave()
    publish(here, "t/p", *numbers(0, 20), qos=2)
    publish(there, "t/q", *numbers(100, 120), qos=2)
    roamer.connect(b)
    for number in range(20, 60):
        publish(here, "t/p", b"%d" % number, qos=2)
        publish(there, "t/q", b"%d" % (number + 100), qos=2)
        for gate in room.gates:
            gate.do(room.drain(gate))
        for each in list(room.lines):
            each.carry()
        for gate in room.gates:
            gate.commit()
    talk(roamer)
    assert [each for each in roamer.got if int(each) < 100] == numbers(0, 60)
    assert [each for each in roamer.got if int(each) >= 100] == numbers(100, 160)


def test_what_a_client_published_before_it_moved_comes_before_what_it_publishes_then() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    reader = subscribed(c, "t", name="reader")
    roamer = subscribed(a, "own")
    line = between(room, "a", "c")
    line.muted = {0, 1}
    roamer.publish("t", b"1")
    room.settle()
    roamer.connect(b)
    room.settle()
    assert not roamer.is_connected  # a asked c to take it first
    line.muted = set()
    talk(roamer)
    roamer.publish("t", b"2")
    talk(roamer)
    talk(reader)
    assert list(dict.fromkeys(reader.got)) == [b"1", b"2"]


def test_qos_2_of_a_subscriber_is_exactly_once_wherever_the_exchange_stood() -> None:
    for said in (0, 1, 2):  # nothing, PUBREC, PUBREC and PUBCOMP to which no answer came
        room, (a, b) = gates("a", "b")
        roamer = subscribed(a, "t")
        roamer.deaf = True
        publish(b.client("p"), "t", b"x", qos=2)
        (message,) = [
            each for each in (room.settle(), *roamer.listen()) if isinstance(each, Publish)
        ]
        if said:
            roamer._held[message.packet_id] = None
            roamer.got.append(message.payload)
            roamer.say(PubRec(message.packet_id))
        if said == 2:
            room.settle()
            roamer.listen()
            roamer.say(PubComp(message.packet_id))
        room.settle()
        roamer.deaf = False
        roamer.connect(b)
        talk(roamer)
        assert roamer.got == [b"x"], said
        session = b.node.broker.state.sessions["c"]
        assert not session.inflight and b.node.broker.waiting() == 0


def test_qos_2_of_a_publisher_is_exactly_once_when_it_moves_between_publish_and_pubrel() -> None:
    room, (a, b) = gates("a", "b")
    reader = subscribed(b, "t", name="reader")
    roamer = subscribed(a, "own")
    roamer.publish("t", b"x", qos=2)
    room.settle()
    assert reader.got == []
    roamer.connect(b)  # PUBREC was said, and not heard
    talk(roamer)
    talk(reader)
    assert reader.got == [b"x"] and roamer.acked == 1
    assert not b.node.broker.state.sessions["c"].unreleased


def test_the_order_is_the_same_after_the_new_gateway_lost_its_power() -> None:
    """What is published while the rest of the queue comes is on disk before that, and behind it."""
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.leave()
    publisher = b.client("p")
    publish(publisher, "t", *(b"%0400d" % number for number in range(2_000)))
    room.settle()
    roamer.deaf = True
    roamer.connect(b)
    while not roamer.is_connected:
        one_turn(room)
    publish(publisher, "t", *numbers(2_000, 2_010))
    session = b.node.broker.state.sessions["c"]
    assert len(session.backlog.behind or ()) == 10
    talk(roamer)
    assert session.backlog.behind is None
    b.restart()
    room.line(a, b)
    room.wait(4)
    roamer.deaf = False
    roamer.connect(b)
    talk(roamer)
    assert [int(each) for each in roamer.got] == list(range(2_010))
