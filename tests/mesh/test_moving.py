"""A persistent session is found at any door, with all that it has, while its gateway lives."""

from gateway.mesh.frames import Hello, Interest, Received, Said, Start
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Version,
    Will,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from gateway.table import Row
from tests.mesh.roamer import Roamer, talk
from tests.mesh.room import between, stranger
from tests.mesh.sessions import at_rest, gates, homes, numbers, owners, publish, subscribed
from tests.mesh.transcript import check


def test_a_session_is_resumed_at_another_gateway_with_its_queue_and_subscriptions() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t/#")
    publisher = c.client("p")
    roamer.leave()
    publish(publisher, "t/1", *numbers(0, 300), qos=1)
    room.settle()
    roamer.connect(b)
    talk(roamer)
    assert roamer.connacks[-1].session_present
    publish(publisher, "t/1", *numbers(300, 310), qos=2)
    talk(roamer)
    assert roamer.got == numbers(0, 310)
    assert owners(room) == ["b"] * 3 and homes(room) == ["b"] and at_rest(room)
    assert a.node.broker.filters() == [] and b.node.broker.filters() == ["t/#"]


def test_what_is_left_behind_is_nothing_on_disk_either() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t/#")
    roamer.leave()
    publish(b.client("p"), "t/1", *numbers(0, 5))
    room.settle()
    roamer.connect(b)
    talk(roamer)
    room.wait(11)
    assert a.card is not None
    assert not [key for kind, key in a.card.rows if kind in ("session", "subscription")]
    a.restart()
    assert a.node.broker.waiting() == 0 and not a.node.broker.state.sessions


def test_the_old_connection_is_told_and_closed() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t/#")
    old = roamer.connection
    roamer.connect(b)
    room.settle()
    assert old is not None and old.outbox.ended
    talk(roamer)
    assert roamer.connacks[-1].session_present


def test_the_conversation() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(c.client("p"), "t", b"x")
    room.settle()
    room.frames.clear()
    roamer.connect(b)
    talk(roamer)
    kinds = ("said", "rows", "clients", "interest ")
    check("move", [line for line in room.talk if line.split("  ")[1].startswith(kinds)])


def test_connack_of_a_new_session_waits_until_every_gateway_knows_it() -> None:
    room, (a, _) = gates("a", "b")
    line = between(room, "a", "b")
    line.muted = {0, 1}
    roamer = Roamer("c")
    roamer.connect(a)
    room.settle()
    assert not roamer.is_connected
    line.muted = set()
    room.settle()
    assert roamer.is_connected and owners(room) == ["a", "a"]


def test_connack_waits_a_second_at_most_and_that_is_counted() -> None:
    room, (a, _) = gates("a", "b")
    between(room, "a", "b").muted = {0, 1}
    roamer = Roamer("c")
    roamer.connect(a)
    room.wait(1.2)
    assert roamer.is_connected
    assert a.mesh.state.barriers.timeouts == 1


def test_a_session_that_ended_is_known_to_be_over_before_connack_says_so() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t/#")
    roamer.connect(b, clean=True)
    talk(roamer)
    assert not roamer.connacks[-1].session_present
    assert owners(room) == ["b", "b"] and homes(room) == ["b"]
    publish(a.client("p"), "t/1", b"x")
    talk(roamer)
    assert roamer.got == []


def test_the_session_of_another_user_is_refused() -> None:
    room, (a, b) = gates("a", "b")
    subscribed(a, "t")
    other = Roamer("c")
    other.connect(b, user="somebody")
    talk(other)
    assert [each.reason for each in other.connacks] == [Reason.NOT_AUTHORIZED]
    assert owners(room) == ["a", "a"]


def test_the_will_of_the_old_connection_is_sent_before_the_new_one_is_answered() -> None:
    for clean in (False, True):
        _, (a, b) = gates("a", "b")
        reader = subscribed(b, "will", name="reader")
        roamer = subscribed(a, "t")
        roamer.connect(a, will=Will("will", b"gone", 1))
        talk(roamer)
        roamer.connect(b, clean=clean)
        talk(roamer)
        reader.listen()
        assert reader.got == [b"gone"], clean


def test_a_will_with_a_delay_is_cancelled_by_a_client_that_is_back_elsewhere() -> None:
    """[MQTT-3.1.3-9]: and sent if the session ends by a clean start."""
    for clean, expected in ((False, []), (True, [b"gone"])):
        room, (a, b) = gates("a", "b")
        reader = subscribed(b, "will", name="reader")
        roamer = subscribed(a, "t")
        delayed = Properties(will_delay_interval_s=5)
        roamer.connect(a, will=Will("will", b"gone", 1, properties=delayed))
        talk(roamer)
        roamer.leave()
        room.wait(1)
        roamer.connect(b, clean=clean)
        talk(roamer)
        room.wait(7)
        talk(reader)
        assert reader.got == expected


def test_a_member_of_a_group_moves_with_what_it_was_given() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "$share/g/t")
    roamer.leave()
    publish(a.client("p"), "t", *numbers(0, 10))
    room.settle()
    roamer.connect(b)
    talk(roamer)
    publish(a.client("q"), "t", b"10")
    talk(roamer)
    assert roamer.got == numbers(0, 11)
    assert a.node.broker.state.routes.shared() == 0


def test_rows_of_sessions_that_ended_or_expired_are_gone_everywhere() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t", "u")
    registry = b.node.broker.state.registry
    assert registry is not None
    entry = registry.entry("c")
    assert entry is not None and [each[0] for each in entry.filters] == ["t", "u"]
    a.node.broker.state.sessions["c"].expiry_s = 2
    roamer.leave()
    room.wait(4)
    assert owners(room) == ["", ""]
    assert len(registry.table) == 0


def test_a_row_that_nobody_here_can_read_is_nobodys_session() -> None:
    room, (a, _) = gates("a", "b")
    stamp = a.mesh.others.stamp(room.now)
    a.node.broker.rows_came("sessions", [("c", Row(stamp, stamp, b"\xc1"))], room.now)
    roamer = Roamer("c")
    roamer.connect(a)
    talk(roamer)
    assert roamer.is_connected and owners(room) == ["a", "a"]


def test_a_gateway_of_the_version_before_is_neither_asked_nor_waited_for() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    _, say = stranger(room, b)
    heard = say(Hello(1, 1, "room", "z", "z", "s", 1, "nonce-z", "1.0", 5, "z", 7883, 1883))
    heard += say(Received("store-b", 1, 0)) + say(Start(0)) + say(Interest(0, True, [], []))
    roamer.connect(b)
    room.wait(1.2)  # it does not say what it knows
    assert roamer.is_connected and at_rest(room)
    assert not [frame for frame in heard if isinstance(frame, Said)]


def test_v311_clients_move_too() -> None:
    room, (a, b) = gates("a", "b")
    connacks = []
    for gate in (a, b):
        client = gate.client("other", Version.MQTT311)
        client.connection = gate.node.broker.entrance.open("192.0.2.1", True, room.now)
        client.send(Connect(Version.MQTT311, "old", False, 0))
        room.settle()
        connacks += [each for each in client.got() if isinstance(each, ConnAck)]
    assert [each.session_present for each in connacks] == [False, True]
