"""A new cluster key comes to all gateways while they serve, and the old one ends when all have it."""

from gateway.keyring import Key
from gateway.mesh import keys
from gateway.mesh.frames import Keys
from gateway.mesh.life import Life
from tests.mesh.room import Gate, Room

OLD = Key("old", b"o" * 32)


def with_keys(room: Room, *names: str) -> list[Gate]:
    """Gateways that have the old key, all linked."""
    gates = [gate_with(room, name) for name in names]
    for number, gate in enumerate(gates):
        for other in gates[number + 1 :]:
            room.line(gate, other)
    room.settle()
    return gates


def gate_with(room: Room, name: str, *held: Key) -> Gate:
    gate = room.gate(name)
    gate.keys = held or (OLD,)
    gate.start()
    return gate


def rotate(gate: Gate) -> None:
    gate.mesh.operating.rotate_key("new", b"n" * 32, gate.room.now)
    gate.room.settle()


def finish(gate: Gate) -> None:
    gate.mesh.operating.finish_key(gate.room.now)
    gate.room.settle()


def on_disk(gate: Gate) -> dict[str, bytes]:
    return {key.fingerprint: key.secret for key in gate.keys}


def holding(gate: Gate) -> list[str]:
    return [key.fingerprint for key in gate.mesh.state.keyring.valid()]


def relink(room: Room, one: Gate, other: Gate) -> None:
    room.line(one, other)
    room.settle()


def test_with_one_key_nothing_is_said_of_keys() -> None:
    room = Room()
    with_keys(room, "a", "b")
    room.wait(5)
    assert not [frame for _, _, frame in room.frames if isinstance(frame, Keys)]


def test_a_new_key_is_on_every_disk_and_each_knows_that() -> None:
    room = Room()
    gates = with_keys(room, "a", "b", "c")
    rotate(gates[1])
    for gate in gates:
        assert on_disk(gate) == {"old": b"o" * 32, "new": b"n" * 32}
        assert holding(gate) == ["new", "old"]
        assert (
            gate.mesh.operating.without_newest_key() == [] and gate.mesh.operating.has_newest_key()
        )


def test_it_is_not_told_before_it_is_on_disk() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    a.disk_fails = True
    rotate(a)
    assert holding(b) == ["old"] and not a.mesh.operating.has_newest_key()
    assert a.mesh.operating.without_newest_key() == ["b"]
    room.lines[0].cut()
    relink(room, a, b)
    assert holding(b) == ["old"]


def test_what_an_older_write_to_the_disk_says_is_not_for_what_came_since() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    a.disk_fails = True
    version = a.mesh.state.keyring.version
    rotate(a)
    a.mesh.keys_saved(version, room.now)
    room.settle()
    assert not a.mesh.operating.has_newest_key() and holding(b) == ["old"]
    a.disk_fails = False
    a.mesh.keys_saved(version + 1, room.now)
    room.settle()
    assert a.mesh.operating.has_newest_key() and holding(b) == ["new", "old"]


def test_it_is_dialled_with_when_all_have_it_and_until_then_with_the_old_one() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    b.disk_fails = True
    rotate(a)
    assert a.mesh.operating.without_newest_key() == ["b"]
    assert keys.to_dial_with(a.mesh.state) == ("old", "new")
    b.disk_fails = False
    b.restart()
    relink(room, a, b)
    assert a.mesh.operating.without_newest_key() == []
    assert keys.to_dial_with(a.mesh.state) == ("new", "old")
    assert on_disk(b)["new"]


def test_who_was_away_comes_in_with_the_old_key_and_is_told() -> None:
    room = Room()
    a, b, c = with_keys(room, "a", "b", "c")
    for line in list(room.lines):
        if c in line.gates:
            line.cut()
    room.wait(5)
    rotate(a)
    assert a.mesh.operating.without_newest_key() == ["c"] and a.peer("c").life is Life.DEAD
    relink(room, c, b)
    assert on_disk(c)["new"] == b"n" * 32
    assert a.mesh.operating.without_newest_key() == b.mesh.operating.without_newest_key() == []


def test_the_old_key_ends_everywhere_and_its_links_are_closed() -> None:
    room = Room()
    gates = with_keys(room, "a", "b", "c")
    rotate(gates[0])
    assert {link.key for gate in gates for link in gate.mesh.state.links} == {"old"}
    finish(gates[0])
    for gate in gates:
        assert on_disk(gate) == {"old": b"", "new": b"n" * 32}
        assert holding(gate) == ["new"]
        assert not gate.mesh.state.links
    for one, other in ((0, 1), (0, 2), (1, 2)):
        relink(room, gates[one], gates[other])
    assert {link.key for gate in gates for link in gate.mesh.state.links} == {"new"}
    assert {gates[0].peer(name).life for name in ("b", "c")} == {Life.ALIVE}


def test_a_handshake_that_began_with_the_old_key_makes_no_link_when_it_is_over() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    rotate(a)
    link = a.mesh.opened(("c", 40_000), "c", False, room.now, "old")
    finish(b)
    late = a.mesh.opened(("c", 40_001), "c", False, room.now, "old")
    assert link.closed and late.closed and late.out == []


def test_messages_under_way_when_the_links_are_made_anew_are_not_lost() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    reader = b.client("reader")
    reader.subscribe("t")
    room.settle()
    rotate(a)
    writer = a.client("writer")
    a.mesh.operating.finish_key(room.now)
    for n in range(20):
        writer.publish("t", b"%d" % n)
    room.settle()
    relink(room, b, a)
    assert reader.payloads() == [b"%d" % n for n in range(20)]
    assert writer.kinds().count("PubAck") == 20


def test_links_that_were_made_with_the_new_key_stay() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    rotate(a)
    room.lines[0].cut()
    relink(room, a, b)
    assert [link.key for link in a.mesh.state.links] == ["new"]
    finish(b)
    assert len(room.lines) == 1 and holding(a) == ["new"]


def test_a_gateway_that_finished_before_a_restart_is_still_heard_after_it() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    rotate(a)
    finish(a)
    for gate in (a, b):
        gate.restart()
        assert holding(gate) == ["new"] and gate.mesh.state.keyring.over("old")


def test_two_keys_that_were_made_on_both_sides_of_a_cut_hold_together() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    room.lines[0].cut()
    room.wait(5)
    rotate(a)
    b.mesh.operating.rotate_key("other", b"b" * 32, room.now)
    room.settle()
    relink(room, a, b)
    assert set(holding(a)) == set(holding(b)) == {"old", "new", "other"}
    assert a.mesh.operating.without_newest_key() == []
    finish(a)
    assert holding(a) == holding(b) and len(holding(a)) == 1


def test_no_secret_is_in_any_note() -> None:
    room = Room()
    a, b = with_keys(room, "a", "b")
    rotate(a)
    finish(a)
    said = "\n".join([*a.notes, *b.notes])
    assert "new" in said and "nnn" not in said and "ooo" not in said
