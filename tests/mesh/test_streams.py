"""Messages between gateways: each once and in order, whatever becomes of the link, and bounded."""

from gateway.limits import UNTAKEN_BYTES_HIGH, UNTAKEN_BYTES_MAX
from gateway.mesh.life import Life
from tests.mesh.room import Client, Room, chain
from tests.mesh.transcript import check

BIG = b"x" * 200_000


def reading(room: Room, gate_name: str, topic_filter: str = "t/#") -> Client:
    """A client with a subscription that everybody knows."""
    gate = next(gate for gate in room.gates if gate.name == gate_name)
    reader = gate.client(f"reader-{gate_name}")
    reader.subscribe(topic_filter)
    room.settle()
    assert reader.kinds() == ["SubAck"]
    return reader


def test_a_message_goes_once_to_each_interested_gateway_and_never_further() -> None:
    room = Room()
    a, _b, _c = room.linked("a", "b", "c")
    readers = [reading(room, "b"), reading(room, "c")]
    room.frames.clear()
    writer = a.client("writer")
    writer.publish("t/1", b"hello")
    room.settle()
    check("publish-once", room.talk)
    assert [reader.payloads() for reader in readers] == [[b"hello"], [b"hello"]]
    assert writer.kinds() == ["PubAck"]


def test_nothing_goes_where_nobody_listens() -> None:
    room = Room()
    a, _b, _c = room.linked("a", "b", "c")
    reading(room, "b")
    room.frames.clear()
    a.client("writer").publish("t/1", b"hello", qos=0)
    room.settle()
    assert [line[:5] for line in room.talk if "entries" in line] == ["a > b"]


def test_the_acknowledgement_waits_for_the_other_gateway() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    reading(room, "b")
    room.lines[0].muted = {1}  # what b says does not arrive
    writer = a.client("writer")
    writer.publish("t/1", b"hello")
    room.settle()
    assert writer.kinds() == []
    room.wait(1.6)
    assert a.peer("b").life is Life.SUSPECT
    assert writer.kinds() == ["PubAck"]


def test_a_broken_link_goes_on_without_loss_or_doubling() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader, writer = reading(room, "b"), a.client("writer")
    writer.publish("t/1", b"1")
    room.settle()
    room.lines[0].muted = {1}  # taken by b, and a does not learn it
    writer.publish("t/1", b"2")
    room.settle()
    room.lines[0].muted = {0, 1}  # on its way when the link breaks
    writer.publish("t/1", b"3")
    room.settle()
    room.lines[0].cut()
    writer.publish("t/1", b"4")  # while there is none
    room.settle()
    room.frames.clear()
    room.line(a, b)
    writer.publish("t/1", b"5")
    room.settle()
    check("resume", room.talk)
    assert reader.payloads() == [b"1", b"2", b"3", b"4", b"5"]
    assert writer.kinds() == ["PubAck"] * 5
    assert a.peer("b").outgoing.untaken() == 0


def test_many_breaks_in_a_row_change_nothing() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader, writer = reading(room, "b"), a.client("writer")
    for number in range(30):
        writer.publish("t/1", str(number).encode(), qos=number % 2)
        if number % 3 == 0:
            room.lines[0].cut()
            room.line(*((a, b) if number % 2 else (b, a)))
        if number % 4 == 0:
            room.settle()
    room.settle()
    assert [int(payload) for payload in reader.payloads()] == list(range(30))


def test_a_peer_that_started_anew_gets_nothing_of_before() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reading(room, "b")
    writer = a.client("writer")
    room.lines[0].muted = {0, 1}
    writer.publish("t/1", b"for the one that was")
    room.settle()
    b.restart()
    room.line(a, b)
    room.frames.clear()
    reader = b.client("reader")
    reader.subscribe("t/#")
    room.settle()
    check("restart", room.talk)
    assert reader.payloads() == []
    assert writer.kinds() == ["PubAck"]
    writer.publish("t/1", b"new")
    room.settle()
    assert reader.payloads() == [b"new"]


def test_a_sender_that_started_anew_is_heard_from_its_first_entry() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = reading(room, "b")
    for _ in range(3):
        a.client("writer").publish("t/1", b"old")
        room.settle()
    reader.got()
    a.restart()
    room.line(a, b)
    room.settle()
    a.client("writer").publish("t/1", b"new")
    room.settle()
    assert reader.payloads() == [b"new"]


def test_a_restored_card_counts_its_boots_again_and_is_heard_all_the_same() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = reading(room, "b")
    for _ in range(3):
        a.client("writer").publish("t/1", b"old")
        room.settle()
    reader.got()
    a.said["boot"] -= 1
    a.restart()
    a.said["nonce"] = "nonce-a-restored"
    a.start()
    room.line(a, b)
    room.settle()
    a.client("writer").publish("t/1", b"new")
    room.settle()
    assert reader.payloads() == [b"new"]


def test_publishers_pause_when_a_gateway_does_not_keep_up_and_go_on_when_it_does() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    reading(room, "b")
    room.lines[0].muted = {1}
    writer = a.client("writer")
    for _ in range(UNTAKEN_BYTES_HIGH // len(BIG) + 3):
        writer.publish("t/1", BIG, qos=0)
        room.settle()
    assert a.mesh.others.crowded() and not writer.connection.reading
    room.lines[0].muted = set()
    room.wait(0.6)  # with b's next word
    assert not a.mesh.others.crowded() and writer.connection.reading
    assert a.peer("b").outgoing.dropped == 0


def test_publishers_go_on_when_the_gateway_they_waited_for_is_gone() -> None:
    for ending in ("silence", "break", "restart"):
        room = Room()
        a, b = room.linked("a", "b")
        reading(room, "b")
        room.lines[0].muted = {1}
        writer = a.client("writer")
        for _ in range(UNTAKEN_BYTES_HIGH // len(BIG) + 3):
            writer.publish("t/1", BIG)
            room.settle()
        assert not writer.connection.reading
        if ending == "break":
            room.lines[0].cut()
            room.line(a, b)
        elif ending == "restart":
            b.restart()
            room.line(a, b)
        room.wait(3.5)
        assert writer.connection.reading, ending
        assert not a.node.broker.state.crowding


def test_what_waits_for_a_gateway_that_only_others_hear_is_bounded() -> None:
    room = Room()
    a, *_ = room.linked("a", "b", "c", "d")
    reading(room, "b")
    for line in chain(room):
        line.cut()
    room.wait(4)
    assert a.peer("b").life is Life.SUSPECT
    writer = a.client("writer")
    count = UNTAKEN_BYTES_MAX // len(BIG) + 10
    for number in range(count):
        writer.publish("t/1", BIG, qos=1, retain=number % 2 == 0)
        room.settle()
        assert writer.connection.reading, "nobody pauses for a silent gateway"
    assert writer.kinds() == ["PubAck"] * count
    outgoing = a.peer("b").outgoing
    assert 0 < outgoing.dropped <= 15
    assert outgoing.untaken() * len(BIG) < UNTAKEN_BYTES_MAX + 2 * len(BIG)


def test_a_retained_message_that_came_through_a_third_gateway_is_not_given_twice() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    reader = reading(room, "b")
    for line in [line for line in room.lines if any(gate is b for gate in line.gates)]:
        line.cut()
    writer = a.client("writer")
    for payload in (b"1", b"2"):
        writer.publish("t/kept", payload, retain=True)
        room.settle()
    room.line(c, b)
    room.settle()
    assert reader.payloads() == [b"2"]
    room.line(a, b)
    room.settle()
    assert reader.payloads() == [], "twice, or an older one behind a newer one"
