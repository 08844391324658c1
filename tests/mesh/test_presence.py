"""One client id has one connection in the mesh; the newest stays."""

from gateway.broker.connection import State
from gateway.limits import CLIENTS_IN_FRAME_MAX
from gateway.mesh.frames import Clients, Hello, Interest, Received, Start
from gateway.mqtt.packets import ConnAck, Disconnect, Version, Will
from gateway.mqtt.reasons import Reason
from tests.mesh.room import Client, Room, between, stranger


def connected(*clients: Client) -> list[bool]:
    return [client.connection.state is State.OPEN for client in clients]


def test_a_client_that_connects_elsewhere_is_let_go_before_it_has_its_connack() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    old = a.client("c", Version.MQTT5)
    room.settle()
    line = between(room, "a", "b")
    line.muted = {1}  # what b says waits
    new = b.client("c", Version.MQTT5)
    room.settle()
    assert new.connection.state is State.OPENING
    assert connected(old) == [True]
    line.muted = set()
    room.settle()
    assert [p.reason for p in old.got() if isinstance(p, Disconnect)] == [Reason.SESSION_TAKEN_OVER]
    assert [p.reason for p in new.got() if isinstance(p, ConnAck)] == [Reason.SUCCESS]
    assert connected(old, new) == [False, True]


def test_a_client_that_nobody_else_has_does_not_wait() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    line = between(room, "a", "b")
    line.muted = {0, 1}
    assert connected(b.client("c")) == [True]
    assert a.peer("b").clients == {}


def test_it_may_come_back_and_go_again() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    for _ in range(3):
        first = a.client("c")
        room.settle()
        second = b.client("c")
        room.settle()
        assert connected(first, second) == [False, True]
        assert list(a.peer("b").clients) == ["c"]
        assert b.peer("a").clients == {}


def test_of_two_that_connect_at_the_same_time_one_stays() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    clients = [gate.client("x") for gate in (a, b, c)]
    room.settle()
    assert sum(connected(*clients)) == 1


def test_after_a_cut_the_client_that_was_heard_last_stays() -> None:
    for talks, expected in (("a", [True, False]), ("b", [False, True])):
        room = Room()
        a, b = room.linked("a", "b")
        between(room, "a", "b").cut()
        room.wait(4)
        clients = {"b": b.client("x"), "a": a.client("x")}  # a's stamp is the newer one
        room.wait(20)
        clients[talks].publish("t", b"", qos=0)
        room.line(a, b)
        room.settle()
        assert connected(clients["a"], clients["b"]) == expected
        room.wait(10)
        assert connected(clients["a"], clients["b"]) == expected


def test_after_a_cut_of_two_that_were_both_just_heard_the_newer_stays() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    between(room, "a", "b").cut()
    room.wait(4)
    older = a.client("x")
    room.wait(20)
    newer = b.client("x")
    older.publish("t", b"", qos=0)
    room.line(a, b)
    room.settle()
    assert connected(older, newer) == [False, True]


def test_the_clients_of_a_dead_gateway_are_forgotten() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    a.client("x")
    room.settle()
    between(room, "a", "b").cut()
    room.wait(4)
    assert b.peer("a").clients == {}
    assert connected(b.client("x")) == [True]


def test_a_will_of_the_old_connection_is_sent_when_its_client_connects_elsewhere() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = b.client("reader")
    reader.subscribe("#")
    room.settle()
    a.client("c", will=Will("gone", b"c", 1))
    room.settle()
    reader.got()
    b.client("c")
    room.settle()
    assert reader.payloads() == [b"c"]


def test_many_clients_are_told_in_several_frames() -> None:
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    for number in range(CLIENTS_IN_FRAME_MAX + 5):
        a.mesh.state.own_clients.came(f"c{number}", a.mesh.others.stamp(room.now))
    a.mesh.state.local.silent_s = lambda client_id, now: 0.0  # type: ignore[method-assign]
    room.line(a, b)
    room.settle()
    assert len(b.peer("a").clients) == CLIENTS_IN_FRAME_MAX + 5
    frames = [frame for _, _, frame in room.frames if isinstance(frame, Clients) and frame.came]
    assert [frame.full for frame in frames] == [True, False]


def test_a_gateway_of_the_version_before_is_not_told_of_clients_and_nobody_waits_for_it() -> None:
    room = Room()
    gate = room.gate("a")
    _, say = stranger(room, gate)
    said = say(Hello(1, 1, "room", "z", "z", "s", 1, "nonce-z", "1.0", 5, "z", 7883, 1883))
    said += say(Received("store-a", 1, 0)) + say(Start(0)) + say(Interest(0, True, [], []))
    client = gate.client("x")
    room.settle()
    assert connected(client) == [True]
    assert not [frame for frame in said if isinstance(frame, Clients)]


def test_connect_is_answered_after_a_second_when_the_other_gateway_does_not_answer() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    a.client("x")
    room.settle()
    between(room, "a", "b").muted = {0, 1}
    new = b.client("x")
    assert connected(new) == [False]
    room.wait(1.2)
    assert connected(new) == [True]
    assert b.mesh.state.barriers.timeouts == 1
