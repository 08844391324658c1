"""The end of a turn is about those peers alone to which something is to be said."""

from tests.mesh.room import Room

NOTHING: dict[object, None] = {}


def test_a_message_that_stays_here_stirs_nobody() -> None:
    room = Room()
    a, _, _ = room.linked("a", "b", "c")
    listens, says = a.client("listens"), a.client("says")
    listens.subscribe("t")
    room.settle()
    says.publish("t", b"here")
    assert a.mesh.state.stirred == NOTHING
    room.settle()
    assert listens.payloads() == [b"here"]


def test_a_message_stirs_the_one_that_listens() -> None:
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    listens, says = b.client("listens"), a.client("says")
    listens.subscribe("t")
    room.settle()
    says.publish("t", b"there")
    assert [peer.gateway for peer in a.mesh.state.stirred] == ["b"]
    room.settle()
    assert a.mesh.state.stirred == NOTHING
    assert listens.payloads() == [b"there"]


def test_what_was_said_while_there_was_no_link_is_said_on_the_next() -> None:
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    listens, says = b.client("listens"), a.client("says")
    listens.subscribe("t")
    room.settle()
    next(line for line in room.lines if {gate.name for gate in line.gates} == {"a", "b"}).cut()
    says.publish("t", b"later")
    room.settle()
    assert listens.payloads() == []
    room.line(a, b)
    room.settle()
    assert listens.payloads() == [b"later"]
