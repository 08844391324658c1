"""Users and rules are the same on all gateways, and a removal is never undone by a cut."""

from gateway.broker.access import Rule
from gateway.broker.connection import State
from gateway.broker.logins import User
from gateway.broker.people import rule_row, user_row
from gateway.ids import Stamp
from gateway.limits import BATCH_BYTES_MAX
from gateway.mesh.frames import Compare, Digest, Hello, Interest, Received, Rows, Start, encode
from gateway.table import Row
from tests.mesh.room import Gate, Room, chain, stranger


def change(gate: Gate, *rows: tuple[str, bytes | None]) -> None:
    """As an operator does at this gate."""
    said: list[str] = []
    gate.node.broker.admission.change(dict(rows), said.append, gate.room.now)
    assert said == [""]


def add(gate: Gate, name: str, stored: str = "hash") -> None:
    change(gate, user_row(name, User(stored)))


def remove(gate: Gate, name: str) -> None:
    change(gate, user_row(name, None))


def users(gate: Gate) -> dict[str, str]:
    return {name: user.stored for name, user in gate.node.broker.people.users.items()}


def test_a_user_and_a_rule_made_at_one_gateway_hold_at_all() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    rule = Rule.of(["allow", "user", "ann", "read", "home/#"])
    change(a, user_row("ann", User("hash", frozenset({"staff"}))), rule_row(rule, True))
    room.settle()
    for gate in (b, c):
        assert gate.node.broker.people.users == {"ann": User("hash", frozenset({"staff"}))}
        assert gate.node.broker.people.rules == [rule]
        assert gate.node.broker.state.logins.users.keys() == {"ann"}
    change(b, rule_row(rule, False))
    room.settle()
    assert a.node.broker.people.rules == c.node.broker.people.rules == []


def test_a_removed_user_is_disconnected_at_the_other_gateway() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    add(a, "ann")
    room.settle()
    client = b.client("device")
    client.connection.user = "ann"
    remove(a, "ann")
    room.settle()
    assert client.connection.state is State.CLOSED


def test_what_changed_on_both_sides_of_a_cut_is_the_same_after_it() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    for name in ("ann", "bob"):
        add(a, name)
    room.settle()
    room.lines[0].cut()
    room.wait(4)
    remove(a, "ann")
    room.wait(1)
    add(b, "carl")
    change(b, user_row("ann", User("newer password")))  # knows nothing of the removal
    change(b, user_row("bob", User("newer password")))
    room.line(a, b)
    room.settle()
    assert users(a) == users(b) == {"bob": "newer password", "carl": "hash"}


def test_a_user_made_anew_after_its_removal_stands_against_the_removal() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    add(a, "ann", "old")
    room.settle()
    room.lines[0].cut()
    room.wait(4)
    remove(a, "ann")
    add(a, "ann", "new")
    room.line(a, b)
    room.settle()
    assert users(a) == users(b) == {"ann": "new"}


def test_what_two_cannot_tell_each_other_they_learn_from_a_third() -> None:
    room = Room()
    a, b, *_ = room.linked("a", "b", "c", "d")
    for line in chain(room):
        line.cut()
    room.wait(4)
    add(a, "ann")
    room.settle()
    assert users(b) == {}
    room.wait(4)
    assert users(b) == {"ann": "hash"}
    room.frames.clear()
    room.wait(10)
    assert not [frame for _, _, frame in room.frames if isinstance(frame, Digest)]


def test_who_has_not_confirmed_a_removal_is_named() -> None:
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    add(a, "ann")
    room.wait(1)
    assert a.mesh.operating.unconfirmed("people") == []
    next(line for line in room.lines if set(line.gates) == {a, b}).cut()
    remove(a, "ann")
    assert a.mesh.operating.unconfirmed("people") == ["b", "c"]
    room.wait(1)
    assert a.mesh.operating.unconfirmed("people") == ["b"]


def test_many_rows_come_in_frames_of_bounded_size() -> None:
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    change(a, *(user_row(f"user{number}", User("x" * 200)) for number in range(4_000)))
    room.line(a, b)
    room.settle()
    assert len(users(b)) == 4_000
    frames = [frame for _, _, frame in room.frames if isinstance(frame, Rows)]
    assert max(len(encode(frame)) for frame in frames) < 2 * BATCH_BYTES_MAX


def hello(protocol: int) -> Hello:
    return Hello(protocol, 1, "room", "z", "z", "store-z", 1, "nonce-z", "1.0", 5, "z", 7883, 1883)


def test_clients_wait_until_the_users_of_another_gateway_are_in() -> None:
    room = Room()
    gate = room.gate("a")
    _, say = stranger(room, gate)
    for frame in (hello(2), Received("store-a", 1, 0), Start(0), Interest(0, True, [], [])):
        say(frame)
    say(Digest(gate.node.broker.retained.digest()))
    assert gate.node.broker.state.holding
    say(Digest(gate.node.broker.people.table.digest(), "people"))
    assert not gate.node.broker.state.holding


def test_a_gateway_of_the_version_before_is_told_of_no_tables() -> None:
    room = Room()
    gate = room.gate("a")
    link, say = stranger(room, gate)
    said = say(hello(1)) + say(Received("store-a", 1, 0)) + say(Start(0))
    add(gate, "ann")
    room.settle()
    assert not link.closed
    assert not [frame for frame in said if isinstance(frame, Digest) and frame.table]
    assert "people" not in gate.peer("z").awaiting


def test_a_table_of_a_later_version_is_answered_with_nothing() -> None:
    room = Room()
    gate = room.gate("a")
    link, say = stranger(room, gate)
    say(hello(2))
    say(Received("store-a", 1, 0))
    say(Start(0))
    assert Rows("future", [], compared=True) in say(Digest([1], "future"))
    assert Rows("future", [], compared=True) in say(Compare([0], [], True, "future"))
    say(Rows("future", [("k", Row(Stamp(1, 0, "z"), Stamp(1, 0, "z"), b""))]))
    assert not link.closed


def test_a_row_that_a_later_version_wrote_is_kept_and_passed_on() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    change(a, ("token/x", b"?"), ("user/ann", b"\xc1"))
    room.settle()
    assert b.node.broker.people.unread == ["token/x", "user/ann"]
    assert users(b) == {}
    c = room.gate("c")
    room.line(b, c)
    room.settle()
    assert c.node.broker.people.table.digest() == a.node.broker.people.table.digest()
