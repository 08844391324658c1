"""Two gateways that do not reach each other, and a third that hears both."""

import pytest

from gateway.errors import LinkError
from gateway.limits import ROAD_WINDOW_BYTES
from gateway.mesh.frames import Entries, Relayed, Vitals
from gateway.mesh.life import Life
from gateway.mesh.link import LinkState
from gateway.report import Reporter
from tests.mesh.room import Gate, Room, between
from tests.mesh.transcript import check


def parted(room: Room, *names: str) -> list[Gate]:
    """Gateways of which the first two have lost each other, and found the road over a third."""
    gates = room.linked(*(names or ("a", "b", "c")))
    between(room, "a", "b").cut()
    room.wait(2.5)
    return gates


def over(gate: Gate, other: str) -> str:
    """By which gateway one reaches another; empty: directly."""
    link = gate.peer(other).link
    assert link is not None and link.state is LinkState.UP
    return link.via


def test_two_that_lost_each_other_are_linked_over_a_third_that_hears_both() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    room.wait(1)
    room.frames.clear()
    between(room, "a", "b").cut()
    room.wait(1.4)
    assert a.peer("b").link is None, "a link that breaks is back in a moment"
    room.wait(1)
    assert over(a, "b") == "c" and over(b, "a") == "c"
    assert over(a, "c") == over(b, "c") == ""
    assert a.peer("b").life is b.peer("a").life is Life.ALIVE
    assert len(c.mesh.roads.relay) == 1
    relayed = [frame for _, _, frame in room.frames if isinstance(frame, Relayed)]
    assert {(frame.origin, frame.target) for frame in relayed} == {("a", "b"), ("b", "a")}
    room.wait(20)
    assert a.peer("b").life is b.peer("a").life is Life.ALIVE
    assert len({frame.number for frame in relayed}) == 1, "it stays as long as it is needed"


def test_road() -> None:
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    b.client("reader").subscribe("t")
    room.settle()
    between(room, "a", "b").cut()
    a.client("writer").publish("t", b"1")
    room.wait(1.4)
    room.frames.clear()
    room.wait(0.2)
    room.line(a, b)
    room.settle()
    check("road", room.talk)


def test_messages_of_the_cut_arrive_once_and_in_order_when_the_road_and_then_the_link_is_back() -> (
    None
):
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    reader, writer = b.client("reader"), a.client("writer")
    reader.subscribe("t", qos=2)
    room.settle()
    reader.got()
    writer.got()
    sent = []

    def publish(count: int, qos: int) -> None:
        for _ in range(count):
            sent.append(f"{len(sent)}".encode())
            writer.publish("t", sent[-1], qos=qos)

    publish(3, 1)
    room.settle()
    line = between(room, "a", "b")
    line.muted = {0, 1}
    publish(5, 1)
    room.settle()
    line.cut()
    room.wait(2.5)
    publish(5, 0)
    publish(5, 1)
    room.settle()
    publish(2, 1)
    room.line(a, b)
    publish(3, 1)
    room.settle()
    assert over(a, "b") == over(b, "a") == ""
    publish(3, 1)
    room.settle()
    assert reader.payloads() == sent
    assert writer.kinds() == ["PubAck"] * 21
    assert not a.mesh.roads.relay and a.peer("b").outgoing.untaken() == 0


@pytest.mark.parametrize("deaf", ["a", "b"])
def test_a_gateway_that_is_heard_and_does_not_hear_is_reached_over_a_third(deaf: str) -> None:
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    reader, writer = b.client("reader"), a.client("writer")
    reader.subscribe("t")
    room.settle()
    reader.got()
    between(room, "a", "b").muted = {1 if deaf == "a" else 0}
    lives = set()
    for number in range(60):
        writer.publish("t", str(number).encode(), qos=number % 2)
        room.wait(0.1)
        lives |= {a.peer("b").life, b.peer("a").life}
        if between_is_over(room):
            break
    # the deaf one has closed it by now, and what it says on that is heard
    for line in list(room.lines):
        if {gate.name for gate in line.gates} == {"a", "b"}:
            line.cut()
    room.wait(3)
    assert over(a, "b") == over(b, "a") == "c"
    assert Life.DEAD not in lives
    payloads = reader.payloads()
    assert payloads == [str(number).encode() for number in range(len(payloads))]
    assert len(payloads) == number + 1


def between_is_over(room: Room) -> bool:
    """Whether one side of the link between a and b has given it up."""
    return any(link.closed for line in room.lines for link in line.links)


def test_a_gateway_that_starts_within_a_cut_finds_those_that_it_does_not_reach() -> None:
    """It never had a link to them."""
    room = Room()
    a, c = room.linked("a", "c")
    b = room.gate("b")
    room.line(b, c)
    room.settle()
    room.wait(3)
    assert over(a, "b") == over(b, "a") == "c"
    reader = b.client("reader")
    reader.subscribe("t")
    room.settle()
    assert "SubAck" in reader.kinds()
    a.client("writer").publish("t", b"x")
    room.settle()
    assert reader.payloads() == [b"x"]
    assert (a.peer("b").address, a.peer("b").port) == ("b", 7883), "it is dialled all the same"


def test_the_way_is_changed_when_the_relay_dies() -> None:
    room = Room()
    a, b, c, _d = parted(room, "a", "b", "c", "d")
    assert over(a, "b") == "c"
    reader, writer = b.client("reader"), a.client("writer")
    reader.subscribe("t")
    room.settle()
    reader.got()
    room.kill(c)
    writer.publish("t", b"1")
    room.wait(1.5)
    assert over(a, "b") == over(b, "a") == "d"
    assert reader.payloads() == [b"1"]
    room.kill(next(gate for gate in room.gates if gate.name == "d"))
    room.wait(4)
    assert a.peer("b").life is b.peer("a").life is Life.DEAD


def test_the_death_of_a_gateway_that_is_reached_over_another_is_noticed() -> None:
    room = Room()
    a, b, _c = parted(room)
    room.kill(b)
    assert a.peer("b").link is None
    room.wait(3.1)
    assert a.peer("b").life is Life.DEAD


def test_what_one_hears_over_another_is_not_said_to_be_heard() -> None:
    """Or two would keep a third alive by each other's word, and roads would lead over roads."""
    room = Room()
    a, b, c = parted(room)
    assert a.mesh.state.hears() == ["c"] and b.mesh.state.hears() == ["c"]
    assert c.peer("a").hears == {"c"}


def test_nothing_is_passed_on_twice() -> None:
    room = Room()
    _a, _b, c = room.linked("a", "b", "c")
    link_of_a = c.peer("a").link
    assert link_of_a is not None
    with pytest.raises(LinkError, match="once"):
        c.mesh.roads.on_relayed(link_of_a, Relayed("b", "x", 1, b"", True))
    parted_room = Room()
    a, _b, _c = parted(parted_room)
    over_c = a.peer("b").link
    assert over_c is not None and over_c.via == "c"
    with pytest.raises(LinkError, match="inside"):
        a.mesh.roads.on_relayed(over_c, Relayed("b", "a", 1, b"", True))


def test_a_relay_without_a_way_says_so_and_another_one_is_tried() -> None:
    room = Room()
    a, _b, _c, _d = room.linked("a", "b", "c", "d")
    between(room, "a", "b").cut()
    between(room, "b", "c").muted = {0, 1}  # c thinks that it hears b
    room.wait(5)
    assert over(a, "b") == "d"


def test_a_relay_ends_what_does_not_keep_to_the_window() -> None:
    room = Room()
    a, b, c = parted(room)
    link = a.peer("c").link
    road = a.peer("b").link
    assert link is not None and road is not None
    number = a.mesh.roads._roads["b"].number
    before = c.mesh.roads.relay.refused
    for _ in range(4):  # one that does not wait to be told what is taken
        link.say(Relayed("a", "b", number, bytes(ROAD_WINDOW_BYTES // 3)))
    between(room, "a", "c").carry()
    assert c.mesh.roads.relay.refused == before + 1
    room.settle()
    assert road.closed
    room.wait(2)
    assert over(a, "b") == over(b, "a") == "c", "and it begins anew"


def test_no_more_than_a_window_is_under_way_and_the_rest_follows() -> None:
    room = Room()
    a, b, _c = parted(room)
    reader, writer = b.client("reader"), a.client("writer")
    reader.subscribe("t")
    room.settle()
    reader.got()
    between(room, "b", "c").muted = {0 if between(room, "b", "c").gates[0].name == "c" else 1}
    sent = [bytes([number]) * 40_000 for number in range(20)]
    for payload in sent:
        writer.publish("t", payload, qos=0)
    room.settle()
    line = between(room, "b", "c")
    assert sum(map(len, line.waiting)) < ROAD_WINDOW_BYTES * 1.1
    line.muted = set()
    room.settle()
    assert reader.payloads() == sent


def test_entries_go_over_the_road_and_nowhere_else() -> None:
    room = Room()
    a, b, c = parted(room)
    b.client("reader").subscribe("t")
    room.settle()
    room.frames.clear()
    a.client("writer").publish("t", b"1")
    room.settle()
    assert not [frame for _, _, frame in room.frames if isinstance(frame, Entries)]
    assert c.node.broker.state.vitals.messages_in == 0


def test_the_status_says_over_which_gateway_another_is_reached() -> None:
    room = Room()
    a, _b, c = parted(room)
    vitals = Vitals(1.0, 0, 0.0, 0.0, 0)
    status = Reporter(a.node, "a", "a", "1.0").status(vitals, "", room.now)
    assert {row.name: row.over for row in status.gateways} == {"a": "", "b": "c", "c": ""}
    relay = Reporter(c.node, "c", "c", "1.0").status(vitals, "", room.now).relay
    assert relay is not None and relay.links == 1 and relay.passed_bytes > 1000
    text = "b is reached over c only: there is no link to it"
    assert [each.text for each in status.problems if each.text.startswith("b ")] == [text]
    assert "there is no link to b: it is reached over c" in a.notes
    room.line(a, room.gates[1])
    room.settle()
    status = Reporter(a.node, "a", "a", "1.0").status(vitals, "", room.now)
    assert not any(row.over for row in status.gateways)
    assert a.notes[-1] == "there is a link to b again"


def test_a_second_link_over_a_third_does_not_replace_a_direct_one_that_is_heard() -> None:
    room = Room()
    a, b, _c = room.linked("a", "b", "c")
    between(room, "a", "b").muted = {1}  # a does not hear b; b hears a
    room.wait(1.2)
    line = between(room, "a", "b")
    a.mesh.lost(line.links[0], room.now)  # a gave it up, which b has not noticed
    room.wait(1.6)
    assert b.peer("a").life is not Life.DEAD
    room.wait(3)
    assert over(a, "b") == over(b, "a") == "c"
