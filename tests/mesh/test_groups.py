"""A shared subscription is one in the whole mesh: each message goes to one member."""

from collections import Counter

import pytest

from gateway.broker.connection import State
from gateway.broker.shared import AWAY_S, MOVES_MAX
from gateway.limits import SYNC_TIMEOUT_S
from gateway.mesh.frames import Entries, Groups, Interest
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import PubAck, Publish, Subscribe, Subscription, Version
from tests.mesh.room import Client, Gate, Room, between

GROUP = "$share/g/t/+"


def member(gate: Gate, name: str, qos: int = 1, expiry_s: int = 0) -> Client:
    client = gate.client(name, clean=not expiry_s, expiry_s=expiry_s)
    client.subscribe(GROUP, qos)
    gate.room.settle()
    client.got()
    return client


def publish(client: Client, count: int, qos: int = 1) -> None:
    for number in range(count):
        client.publish("t/x", b"%d" % number, qos)
        client.gate.room.settle()


def got(*clients: Client) -> list[list[int]]:
    return [[int(payload) for payload in client.payloads()] for client in clients]


@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_goes_to_one_member_of_the_whole_mesh(qos: int) -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    members = [member(gate, f"m-{gate.name}") for gate in (a, b, c)]
    for gate in (a, b, c):
        publish(gate.client(f"w-{gate.name}"), 30, qos)
    shares = got(*members)
    assert Counter(number for share in shares for number in share) == dict.fromkeys(range(30), 3)


def test_the_choice_is_fair_over_members_and_not_over_gateways() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    here = [member(a, f"a{number}") for number in range(3)]
    there = member(b, "b0")
    writers = {gate.name: gate.client(f"w-{gate.name}") for gate in (a, b)}
    for writer in writers.values():
        publish(writer, 40)
        assert [len(share) for share in got(*here, there)] == [10, 10, 10, 10]


def test_a_gateway_without_members_gets_nothing() -> None:
    room = Room()
    a, b, _c = room.linked("a", "b", "c")
    one = member(b, "m")
    room.frames.clear()
    publish(a.client("w"), 5)
    assert got(one) == [[0, 1, 2, 3, 4]]
    sent = [(source, to) for source, to, frame in room.frames if isinstance(frame, Entries)]
    assert set(sent) == {("a", "b")}


def test_a_member_that_subscribes_for_itself_too_gets_both() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    both = member(b, "m")
    both.subscribe("t/#", 1)
    room.settle()
    both.got()
    publish(a.client("w"), 2)
    assert sorted(got(both)[0]) == [0, 0, 1, 1]


def test_suback_waits_until_the_others_know_of_the_member() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    client = b.client("m")
    room.settle()
    client.got()
    line = between(room, "a", "b")
    line.muted = {0}
    client.subscribe(GROUP, 1)
    room.settle()
    assert client.kinds() == []
    line.muted = set()
    room.settle()
    assert client.kinds() == ["SubAck"]
    publish(a.client("w"), 1)
    assert got(client) == [[0]]


def test_puback_waits_for_the_gateway_of_the_member() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    one = member(b, "m")
    writer = a.client("w")
    publish(writer, 1)  # from here on the topic is known, and takes a shorter road
    assert got(one) == [[0]]
    writer.got()
    line = between(room, "a", "b")
    line.muted = {1}
    writer.publish("t/x", b"0")
    room.settle()
    assert writer.kinds() == []
    line.muted = set()
    room.settle()
    assert writer.kinds() == [PubAck.__name__]
    assert got(one) == [[0]]


def test_who_is_connected_comes_before_who_is_away() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    away = member(a, "away", expiry_s=600)
    away.connection.lost(room.now)
    here = member(c, "here")
    publish(b.client("w"), 10)
    assert got(here) == [list(range(10))]
    assert a.node.broker.waiting() == 0


def test_one_that_is_away_keeps_messages_until_another_one_is_connected() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    away = member(a, "away", expiry_s=600)
    away.connection.lost(room.now)
    room.settle()
    publish(b.client("w"), 10)
    assert a.node.broker.waiting() == 10
    room.wait(AWAY_S + 1)
    here = c.client("here")
    here.subscribe(GROUP)
    room.settle()
    assert got(here) == [list(range(10))]
    assert a.node.broker.waiting() == 0


def test_what_a_member_had_not_acknowledged_when_its_session_ended_goes_to_another_gateway() -> (
    None
):
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    silent = member(b, "silent")
    publish(a.client("w"), 5)
    other = member(c, "other")
    silent.connection.lost(room.now)  # it never acknowledged
    room.settle()
    assert sorted(got(other)[0]) == [0, 1, 2, 3, 4]
    assert b.node.broker.vitals.shared_again == 5
    assert b.node.broker.vitals.shared_passed_on == 5


def test_what_was_begun_at_qos_2_stays_with_its_member() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    silent = member(b, "silent", qos=2)
    writer = a.client("w")
    for number in range(3):
        b.node.broker.publish("t/x", b"%d" % number, 2, False, room.now)
    room.settle()
    assert writer.connection.state is State.OPEN
    other = member(c, "other", qos=2)
    silent.connection.lost(room.now)
    room.settle()
    assert got(other) == [[]]


def test_a_member_that_left_before_the_message_came_has_it_sent_on() -> None:
    """Presence is a fence: the entry names the group, so that its gateway can choose anew."""
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    gone, stays = member(b, "gone"), member(c, "stays")
    writer = a.client("w")
    room.settle()
    line = between(room, "a", "b")
    line.muted = {0, 1}
    for number in range(10):
        writer.publish("t/x", b"%d" % number)
    room.settle()
    gone.connection.lost(room.now)
    room.settle()
    line.muted = set()
    room.settle()
    assert sorted(got(stays)[0]) == list(range(10))
    assert b.node.broker.vitals.shared_passed_on == 5


def test_what_a_dead_gateway_had_not_taken_goes_to_another_member() -> None:
    for ends in ("dead", "begins anew"):
        room = Room()
        a, b, c = room.linked("a", "b", "c")
        member(b, "gone")
        stays = member(c, "stays")
        writer = a.client("w")
        room.settle()
        writer.got()
        between(room, "a", "b").muted = {0, 1}
        for number in range(10):
            writer.publish("t/x", b"%d" % number)
        room.settle()
        assert len(got(stays)[0]) == 5
        room.kill(b)
        if ends == "dead":
            room.wait(4)
        else:
            b.restart()
            room.gates.append(b)
            room.line(b, a)
            room.wait(SYNC_TIMEOUT_S)
        assert len(got(stays)[0]) == 5
        room.settle()
        assert writer.kinds() == [PubAck.__name__] * 10


def test_a_message_is_not_sent_round_for_ever() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    for gate, other in ((a, "b"), (b, "a")):
        # each believes that the other has a member
        gate.mesh.state.peers_groups.apply(gate.peer(other), Groups(False, [(GROUP, 1, 0)]))
        gate.node.broker.interest_changed()
    room.frames.clear()
    a.client("w").publish("t/x", b"0")
    room.settle()
    entries = [frame for _, _, frame in room.frames if isinstance(frame, Entries)]
    assert len(entries) == MOVES_MAX + 1
    assert sum(gate.node.broker.vitals.dropped_shared for gate in (a, b)) == 1


def test_a_retained_message_goes_to_one_member_and_to_every_store() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    members = [member(gate, f"m-{gate.name}") for gate in (b, c)]
    writer = a.client("w")
    for number in range(4):
        writer.publish("t/x", b"%d" % number, retain=True)
        room.settle()
    assert sorted(number for share in got(*members) for number in share) == [0, 1, 2, 3]
    for gate in (a, b, c):
        entry = gate.node.broker.retained.get("t/x")
        assert entry is not None and entry.message is not None and entry.message.payload == b"3"


def test_a_member_elsewhere_sees_what_was_published_as_retained_if_it_asks_for_that() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    client = b.client("m", Version.MQTT5)
    subscription = Subscription(GROUP, 1, retain_as_published=True)
    client.send(Subscribe(9, (subscription,)))
    room.settle()
    client.got()
    writer = a.client("w")
    for retain in (True, False):
        writer.publish("t/x", b"x", retain=retain)
    room.settle()
    assert [p.retain for p in client.got() if isinstance(p, Publish)] == [True, False]


def test_counts_are_told_when_they_change_and_with_a_new_link() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    first, second = member(b, "first"), member(b, "second", expiry_s=600)
    assert a.peer("b").groups == {GROUP: (2, 0)}
    second.connection.lost(room.now)
    room.settle()
    assert a.peer("b").groups == {GROUP: (1, 1)}
    between(room, "a", "b").cut()
    first.connection.lost(room.now)
    room.line(a, b)
    room.settle()
    assert a.peer("b").groups == {GROUP: (0, 1)}
    assert not any(
        topic_filter
        for _, _, frame in room.frames
        if isinstance(frame, Interest)
        for topic_filter in frame.add
    )
    room.kill(b)
    room.wait(4)
    assert a.peer("b").groups == {} and list(a.mesh.others.members(GROUP)) == []


def test_each_side_of_a_split_gives_its_messages_to_its_own_members() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    members = {gate.name: member(gate, f"m-{gate.name}") for gate in (a, b)}
    writers = {gate.name: gate.client(f"w-{gate.name}") for gate in (a, b)}
    between(room, "a", "b").cut()
    for name in ("a", "b"):
        publish(writers[name], 4)
        assert got(members[name]) == [[0, 1, 2, 3]]
    room.line(a, b)
    room.wait(1)
    publish(writers["a"], 4)
    assert sorted(len(share) for share in got(*members.values())) == [2, 2]


def test_a_gateway_without_the_group_is_not_told_of_members_that_came() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    a.node.broker.members_came(["$share/h/#"], room.now)
    a.node.broker.arrived_shared(
        Message("t/x", topic_field("t/x"), b"", 1), "$share/h/#", None, room.now
    )
    assert a.node.broker.vitals.dropped_shared == 1


def test_what_an_ended_session_leaves_goes_to_who_is_connected_elsewhere_and_not_to_who_is_away() -> (
    None
):
    room = Room()
    a, b = room.linked("a", "b")
    silent = member(a, "silent")
    a.node.broker.publish("t/x", b"0", 1, False, room.now)
    away = member(a, "away", expiry_s=600)
    away.connection.lost(room.now)
    here = b.client("here")
    here.subscribe(GROUP)
    room.settle()
    here.got()
    silent.connection.lost(room.now)
    room.settle()
    assert got(here) == [[0]]
    assert a.node.broker.waiting() == 0
