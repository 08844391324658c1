"""A persistent session is found at any door, with all that it has, while its gateway lives."""

import pytest

from gateway.broker import going
from gateway.broker.coming import ANSWER_S
from gateway.broker.quarrels import FREE
from gateway.mesh.frames import Hello, Interest, Received, Said, Start, split
from gateway.moves import Kept, Move, Parcel
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    PingReq,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Version,
    Will,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from gateway.table import Row
from tests.mesh.roamer import Roamer, talk
from tests.mesh.room import Client, Gate, Room, between, stranger
from tests.mesh.transcript import check


def gates(*names: str) -> tuple[Room, list[Gate]]:
    room = Room(disks=True)
    linked = room.linked(*names)
    room.wait(0.5)
    return room, linked


def subscribed(gate: Gate, *filters: str, name: str = "c", qos: int = 2) -> Roamer:
    """A client at a gate, with its subscriptions."""
    roamer = Roamer(name)
    roamer.connect(gate)
    talk(roamer)
    roamer.subscribe(*filters, qos=qos)
    talk(roamer)
    assert roamer.connacks[0].session_present is False
    return roamer


def publish(client: Client, topic: str, *payloads: bytes, qos: int = 1) -> None:
    """QoS 2 with its PUBREL, as if all answers had come."""
    for payload in payloads:
        client.publish(topic, payload, qos)
        if qos == 2:
            client.send(PubRel(client._packet_id))


def owners(room: Room, client_id: str = "c") -> list[str]:
    """Who has the session, as each gate's registry says."""
    found = []
    for gate in room.gates:
        registry = gate.node.broker.state.registry
        assert registry is not None
        entry = registry.entry(client_id)
        found.append("" if entry is None else entry.owner)
    return found


def homes(room: Room, client_id: str = "c") -> list[str]:
    """Where there is a session, and where the disk has one."""
    found = []
    for gate in room.gates:
        session = gate.node.broker.state.sessions.get(client_id)
        if session is not None:
            assert session.passage is None
            found.append(gate.name)
    return found


def at_rest(room: Room) -> bool:
    """Whether nothing moves, and nothing is left of what did."""
    return all(
        gate.node.broker.moving is not None and gate.node.broker.moving.moving() == (0, 0)
        for gate in room.gates
    )


def said(room: Room) -> list[Move]:
    """What was said of moves."""
    return [frame.move for _, _, frame in room.frames if isinstance(frame, Said)]


def numbers(first: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, end)]


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


# A3


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


# A7


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


# A6 and A8


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


# A13


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


# two at once


def test_of_two_claims_at_once_the_newer_client_gets_the_session_and_nothing_is_lost() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(c.client("p"), "t", *numbers(0, 50))
    room.settle()
    other = Roamer("c")
    other.connect(b)
    room.now += 0.01
    roamer.connect(c)
    talk(roamer)
    assert [roamer.is_connected, other.is_connected] == [True, False]
    assert roamer.got == numbers(0, 50)
    assert owners(room) == ["c"] * 3 and homes(room) == ["c"] and at_rest(room)


def test_there_and_back_and_on_before_anybody_has_answered() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(c.client("p"), "t", *numbers(0, 50))
    room.settle()
    for gate in (b, a, c, b, a):
        room.now += 0.01
        roamer.connect(gate)
        for each in room.gates:
            each.do(room.drain(each))
        for line in list(room.lines):
            line.carry()
    talk(roamer)
    room.wait(ANSWER_S * 2)
    talk(roamer)
    assert roamer.is_connected and sorted(roamer.got, key=int) == numbers(0, 50)
    assert homes(room) == ["a"] and at_rest(room)


def test_who_connects_again_at_the_same_door_meanwhile_gets_the_session() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    between(room, "a", "b").muted = {0, 1}
    roamer.connect(b)
    first = roamer.connection
    roamer.connect(b)
    between(room, "a", "b").muted = set()
    talk(roamer)
    assert first is not None and first.outbox.ended
    assert roamer.connacks[-1].session_present


# what goes wrong in the midst


def one_turn(room: Room) -> None:
    for gate in room.gates:
        gate.do(room.drain(gate))
    for line in list(room.lines):
        line.carry()
    for gate in room.gates:
        gate.commit()


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


# bounds


def test_a_long_queue_comes_in_pieces_behind_a_client_that_is_served_already() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    roamer = subscribed(a, "t")
    roamer.leave()
    publisher = c.client("p")
    publish(publisher, "t", *numbers(0, 10_000))
    room.settle()
    room.frames.clear()
    roamer.connect(b)
    served_after = 0
    for turn in range(500):
        one_turn(room)
        if roamer.is_connected and not served_after:
            served_after = turn
            publish(publisher, "t", *numbers(10_000, 10_005))
        roamer.listen()
    talk(roamer)
    assert roamer.got == numbers(0, 10_005)
    pieces = [move for move in said(room) if isinstance(move, Parcel)]
    assert len(pieces) >= 40 and served_after < 20
    assert max(len(piece.records) for piece in pieces) < 2 * 131_072


def test_bytes_that_are_not_kept_yet_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going, "UNKEPT_BYTES_MAX", 30_000)
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    roamer.leave()
    publish(a.client("p"), "t", *(b"x" * 1_000 for _ in range(1_000)))
    room.settle()
    room.frames.clear()
    roamer.connect(b)
    talk(roamer)
    assert len(roamer.got) == 1_000
    sizes: dict[int, int] = {}
    most = largest = 0
    for move in said(room):
        if isinstance(move, Parcel):
            sizes[move.number] = len(move.records)
            largest = max(largest, len(move.records))
        elif isinstance(move, Kept):
            sizes = {number: size for number, size in sizes.items() if number > move.number}
        most = max(most, sum(sizes.values()))
    assert largest <= most < 30_000 + 2 * largest


def test_a_gateway_without_room_takes_more_when_there_is_some() -> None:
    room, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t", qos=1)
    roamer.leave()
    publish(a.client("p"), "t", *(b"x" * 1_000 for _ in range(1_500)))
    room.settle()
    full = b.node.broker.state.room
    full.bytes_max = 400_000
    roamer.deaf = True
    roamer.connect(b)
    room.wait(3)
    assert full.used < 1_200_000  # one window of pieces more than there is room for
    roamer.deaf = False
    roamer.connect(b)
    talk(roamer)
    for _ in range(20):
        room.wait(1)
        talk(roamer)
    assert len(roamer.got) == 1_500 and homes(room) == ["b"]


# who, and wills


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


def test_two_devices_with_one_client_id_are_slowed_and_named() -> None:
    room, (a, b) = gates("a", "b")
    one, other = subscribed(a, "t"), Roamer("c")
    other.address = "192.0.2.66"
    for _ in range(FREE):
        other.connect(b)
        talk(other)
        one.connect(a)
        talk(one)
    other.connect(b)
    talk(other)
    assert not other.is_connected
    assert b.node.broker.vitals.takeovers_slowed >= 1
    moving = b.node.broker.moving
    assert moving is not None
    (quarrel,) = moving.quarrels(room.now)
    assert set(quarrel.places) == {"192.0.2.1", "192.0.2.66"}
    assert any("two clients are called c: at 192.0.2" in note for note in b.notes)
    room.wait(12)
    assert other.is_connected


def test_one_device_that_roams_from_one_address_is_not_slowed() -> None:
    _, (a, b) = gates("a", "b")
    roamer = subscribed(a, "t")
    for _ in range(FREE):
        for gate in (b, a):
            roamer.connect(gate)
            talk(roamer)
            assert roamer.is_connected


# shared subscriptions, retained messages, disks


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
    stamp = a.mesh.stamp(room.now)
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
