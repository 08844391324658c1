"""The second copy of a store: what is in it, who waits for it, and when it is made anew."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.broker import rewriting
from gateway.limits import COPY_BACKLOG_BYTES_MAX, COPY_PIECE_BYTES, COPY_WINDOW_BYTES
from gateway.mesh import copier
from gateway.mesh.copier import Standing
from gateway.mesh.frames import CopyAsk, CopyFrom, CopyKept, CopyPart, CopyRefused
from tests.broker.copied import restored
from tests.broker.kept import Card
from tests.mesh.room import CLUSTER, Client, Gate, Room, between

SHORT = replace(CLUSTER, copy_after_s=5.0)
MEETING_S = CLUSTER.dead_s + 1.0


def with_copies(*names: str, **cluster: Any) -> tuple[Room, list[Gate]]:
    """Gateways each of which has a copy at the next one."""
    room = Room()
    gates = room.linked(*names, disk=True, cluster=replace(SHORT, **cluster))
    room.wait(MEETING_S)
    assert [gate.mesh.copier.standing for gate in gates] == [Standing.TOGETHER] * len(gates)
    return room, gates


def sleeper(gate: Gate, name: str = "sleeper", qos: int = 1) -> None:
    """A session that is kept, and away."""
    client = gate.client(name, clean=False)
    gate.room.wait(0.1)
    client.subscribe("t/#", qos)
    gate.room.wait(0.1)
    assert client.kinds()[-1] == "SubAck"
    client.leave()
    gate.room.wait(0.2)


def published(client: Client, count: int, size: int = 1, qos: int = 1) -> list[str]:
    """What the publisher is told at once of so many messages; the disk has rested."""
    client.gate.room.wait(0.1)
    client.got()
    for number in range(count):
        client.publish("t/1", b"%d" % number * size, qos)
    client.gate.room.settle()
    return client.kinds()


def same(room: Room, owner: Gate, keeper: Gate) -> bool:
    """Whether both disks make the same broker."""
    copy, card = keeper.shelves.whole(owner.name), owner.card
    assert copy is not None and card is not None
    return restored(card, card, 0, room.now) == restored(copy, card, 0, room.now)


def froms(room: Room, owner: str) -> list[CopyFrom]:
    """How the owner went on, each time."""
    return [f for source, _, f in room.frames if source == owner and isinstance(f, CopyFrom)]


def test_what_is_kept_is_in_two_places_before_it_is_acknowledged() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    b.copies_work = False
    assert published(writer, 3) == [], "it is on the disk of a, and not on that of b"
    assert a.card is not None and a.writing is None
    b.copies_work = True
    room.settle()
    assert writer.kinds() == ["PubAck"] * 3
    assert same(room, a, b)
    copy = b.shelves.whole("a")
    assert copy is not None and copy.place.number == a.card.number


def test_the_next_batch_does_not_wait_for_the_copy_of_the_one_before() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    b.copies_work = False
    number = a.node.broker.journal.on_disk
    for _ in range(2):
        published(writer, 1)
        room.wait(0.1)
    assert a.node.broker.journal.on_disk == number + 2
    b.copies_work = True
    room.settle()
    assert writer.kinds() == ["PubAck"] * 2


def test_a_stand_in_that_keeps_somebody_waiting_is_not_waited_for_until_it_has_caught_up() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    b.copies_work = False
    assert published(writer, 1) == []
    room.wait(copier.WAIT_MAX_S - 0.05)
    assert writer.kinds() == []
    room.wait(0.1)
    assert writer.kinds() == ["PubAck"]
    assert a.mesh.copier.standing is Standing.BEHIND
    assert a.mesh.copier.not_waited == 1
    assert published(writer, 1) == ["PubAck"], "nobody waits now"
    b.copies_work = True
    room.wait(0.2)
    assert a.mesh.copier.standing is Standing.TOGETHER
    assert len(froms(room, "a")) == 1, "it went on"
    assert same(room, a, b)
    b.copies_work = False
    assert published(writer, 1) == []


def test_nobody_waits_for_a_stand_in_that_is_gone() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    b.copies_work = False
    assert published(writer, 1) == []
    between(room, "a", "b").cut()
    assert writer.kinds() == ["PubAck"]
    assert a.mesh.copier.standing is Standing.AWAY


def test_after_a_short_absence_it_goes_on_with_what_was_kept_for_it() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    between(room, "a", "b").cut()
    assert published(writer, 50) == ["PubAck"] * 50
    room.wait(2)
    room.frames.clear()
    room.line(a, b)
    room.wait(1)
    assert [frame.anew for frame in froms(room, "a")] == [False]
    assert a.mesh.copier.standing is Standing.TOGETHER
    assert same(room, a, b)


def test_a_stand_in_that_crashed_goes_on_from_what_its_disk_has() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    published(writer, 2)
    b.copies_work = False
    published(writer, 2)
    b.restart()
    b.copies_work = True
    room.frames.clear()
    room.line(a, b)
    room.wait(MEETING_S)
    assert [frame.anew for frame in froms(room, "a")] == [False]
    assert same(room, a, b)


def test_after_a_planned_restart_nothing_is_copied_again() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    published(a.client("writer"), 10)
    a.node.stop(room.now)
    while a.node.broker.journal.hasten():
        room.wait(0.1)
    a.node.leave(room.now)
    room.settle()
    a.restart()
    room.frames.clear()
    room.line(a, b)
    room.wait(1)
    assert [frame.anew for frame in froms(room, "a")] == [False]
    assert a.mesh.copier.standing is Standing.TOGETHER
    assert not [f for s, _, f in room.frames if s == "a" and isinstance(f, CopyPart)]
    published(a.client("writer"), 1)
    assert same(room, a, b)


def test_a_stand_in_that_restarts_after_its_owner_did_has_the_same_copy_still() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    published(a.client("writer"), 3)
    room.wait(11)
    for gate in (a, b):
        gate.restart()
        room.frames.clear()
        room.line(a, b)
        room.wait(MEETING_S)
    assert [frame.anew for frame in froms(room, "a")] == [False]
    assert same(room, a, b)


def test_a_copy_that_is_a_batch_ahead_of_a_crash_is_made_anew() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a, qos=2)
    a.disk_works = False
    writer = a.client("writer")
    assert published(writer, 1, qos=2) == []
    assert b.shelves.copies["a"][0].place.number == a.node.broker.journal.on_disk + 1
    a.restart()
    a.disk_works = True
    room.frames.clear()
    room.line(a, b)
    room.wait(MEETING_S)
    assert [(frame.anew, frame.keep_old) for frame in froms(room, "a")] == [(True, False)]
    assert same(room, a, b)
    assert not b.shelves.lost.get("a")


@pytest.mark.parametrize("how", ["wiped", "lost batches", "damaged"])
def test_a_copy_of_what_its_owner_lost_is_kept_beside_the_new_one(how: str) -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    published(a.client("writer"), 1)
    before = b.shelves.whole("a")
    assert a.card is not None and before is not None
    card, when = a.card, room.now
    old = restored(before, card, 0, when)
    if how == "wiped":
        a.card, a.said["store"] = Card(), "another store"
    elif how == "lost batches":
        a.card.number -= 2
        del a.card.log[-2:]
    else:
        a.card.sound = False
    a.restart()
    room.line(a, b)
    room.wait(MEETING_S)
    assert froms(room, "a")[-1].keep_old
    (lost,) = b.shelves.lost["a"]
    assert restored(lost, card, 0, when) == old
    assert a.mesh.copier.standing is Standing.TOGETHER
    assert same(room, a, b)


def test_a_copy_is_made_in_slices_between_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "SLICE_MESSAGES_MAX", 10)
    room = Room()
    a, b = room.linked("a", "b", disk=True, cluster=SHORT)
    sleeper(a)
    writer = a.client("writer")
    assert published(writer, 200) == ["PubAck"] * 200, "there is no copy yet"
    b.copies_slow = True
    room.wait(MEETING_S)
    assert a.mesh.copier.standing is Standing.MAKING
    acknowledged = 0
    while a.mesh.copier.standing is Standing.MAKING:
        assert published(writer, 1) == ["PubAck"], "a copy that is not whole is not waited for"
        room.wait(0.5)
        acknowledged += 1
    assert acknowledged > 5
    b.copies_slow = False
    room.wait(1)
    assert a.mesh.copier.standing is Standing.TOGETHER
    assert same(room, a, b)


def test_while_a_copy_is_made_the_old_one_stays() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    published(a.client("writer"), 5)
    whole = b.shelves.copies["a"][0]
    whole.place = whole.place.but(number=1)  # its card lost what was written
    b.restart()
    b.copies_slow = True
    room.line(a, b)
    while len(b.shelves.copies["a"]) == 1:
        room.wait(0.1)
    assert b.shelves.copies["a"][1] is whole
    room.wait(2)
    (copy,) = b.shelves.copies["a"]
    assert copy is not whole and copy.place.whole


def test_a_stand_in_that_is_away_for_too_much_gets_a_new_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copier, "COPY_BACKLOG_BYTES_MAX", 300_000)
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    between(room, "a", "b").cut()
    published(writer, 3, size=90_000)
    assert a.mesh.copier.freight.bytes > 270_000
    published(writer, 1, size=60_000)
    assert a.mesh.copier.freight.bytes == 0, "it is not kept without end"
    room.frames.clear()
    room.line(a, b)
    room.wait(3)
    assert [frame.anew for frame in froms(room, "a")] == [True]
    assert same(room, a, b)


def test_one_that_is_too_slow_is_tried_again_later_and_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copier, "COPY_BACKLOG_BYTES_MAX", 300_000)
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    pauses = []
    for _ in range(2):
        b.copies_work = False
        published(writer, 4, size=90_000)
        assert a.mesh.copier.standing is Standing.RESTING
        fell_at = room.now
        b.copies_work = True
        while a.mesh.copier.standing is Standing.RESTING:
            room.wait(1)
        pauses.append(room.now - fell_at)
        room.wait(30)
    assert pauses[0] >= copier.PAUSE_MIN_S
    assert pauses[1] >= 2 * pauses[0] - 3


def test_one_that_cannot_write_is_replaced_at_once() -> None:
    room, (a, b, c) = with_copies("a", "b", "c")
    sleeper(a)
    writer = a.client("writer")
    b.shelves.fails = "the disk is full"
    assert published(writer, 1) == ["PubAck"]
    assert any(isinstance(frame, CopyRefused) for _, _, frame in room.frames)
    room.wait(2)
    assert a.mesh.state.stand_in == "c"
    assert a.mesh.copier.standing is Standing.TOGETHER
    assert same(room, a, c)


def test_the_only_one_is_asked_again_after_a_while() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    b.shelves.fails = "the disk is full"
    published(a.client("writer"), 1)
    assert a.mesh.copier.standing is Standing.REFUSED
    assert a.mesh.copier.why == "the disk is full"
    b.shelves.fails = ""
    room.wait(copier.REFUSED_S + 2)
    assert a.mesh.copier.standing is Standing.TOGETHER
    assert same(room, a, b)


def test_a_copy_is_deleted_when_its_owner_has_another_one_whole_elsewhere() -> None:
    room, (a, b, c) = with_copies("a", "b", "c")
    sleeper(a)
    published(a.client("writer"), 1)
    between(room, "a", "b").cut()
    between(room, "b", "c").cut()
    c.copies_work = False
    room.wait(SHORT.copy_after_s + 1)
    assert a.mesh.state.stand_in == "c"
    room.line(a, b)
    room.line(b, c)
    room.wait(2)
    assert b.shelves.copies["a"], "the new one is not whole yet"
    c.copies_work = True
    room.wait(2)
    assert same(room, a, c)
    assert not b.shelves.copies["a"] and "a" not in b.mesh.state.copies
    assert "a" in a.peer("c").copies


@pytest.mark.parametrize("durability", ["local", "memory"])
def test_with_less_durability_nobody_waits_for_the_copy(durability: str) -> None:
    room, (a, b) = with_copies("a", "b", durability=durability)
    sleeper(a)
    writer = a.client("writer")
    b.copies_work = False
    a.disk_works = durability == "local"
    assert published(writer, 3) == ["PubAck"] * 3
    a.disk_works = b.copies_work = True
    room.wait(0.1)
    assert same(room, a, b), "it is written all the same"


def test_a_batch_that_the_own_disk_refused_is_shipped_once() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    a.disk_works = False
    published(writer, 1)
    a.node.broker.commit_failed("the disk failed", room.now)
    a.writing = None
    room.settle()
    assert [f for f in writer.kinds() if f == "PubAck"] == []
    number = a.node.broker.journal.on_disk
    assert b.shelves.copies["a"][0].place.number == number + 1
    a.disk_works = True
    room.wait(2)
    assert a.node.broker.journal.on_disk >= number + 1
    assert same(room, a, b)


def test_a_copy_whose_log_is_long_is_written_again_and_stays_whole() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    writer = a.client("writer")
    published(writer, 100)
    reader = a.client("sleeper", clean=False)
    for _ in range(5):
        room.settle()
        reader.got()
    reader.leave()
    room.wait(11)
    published(writer, 3)
    copy = b.shelves.copies["a"][0]
    length = len(copy.log)
    b.shelves.wishes["a"] = 2
    published(writer, 1)
    room.wait(1)
    assert b.shelves.copies["a"] == [copy] and copy.place.whole
    assert len(copy.log) < length
    assert same(room, a, b)
    assert a.mesh.copier.standing is Standing.TOGETHER


def test_a_large_batch_goes_in_small_frames() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    room.frames.clear()
    published(a.client("writer"), 1, size=900_000)
    parts = [f for s, _, f in room.frames if s == "a" and isinstance(f, CopyPart)]
    sizes = [len(part.payload) for part in parts]
    assert max(sizes) <= COPY_PIECE_BYTES and sum(sizes) > 900_000
    assert same(room, a, b)


def test_a_stand_in_takes_no_more_than_it_can_keep_in_memory() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    b.copies_work = False
    writer = a.client("writer")
    for _ in range(15):
        published(writer, 1, size=1_000_000)
        room.wait(0.1)
    waiting = sum(len(part.payload) for s, _, part in room.frames if isinstance(part, CopyPart))
    assert waiting <= COPY_BACKLOG_BYTES_MAX + COPY_WINDOW_BYTES
    b.copies_work = True
    room.wait(1)
    assert same(room, a, b)


def test_a_copy_can_be_read_back_while_its_owner_is_away() -> None:
    room, (a, b) = with_copies("a", "b")
    sleeper(a)
    published(a.client("writer"), 5)
    between(room, "a", "b").cut()
    found: list[tuple[Any, str]] = []
    for owner in ("a", "x"):
        b.mesh.others.read_copy(owner, False, lambda *made: made, lambda *read: found.append(read))
    room.settle()
    ((rows, batches), why), (_, nothing) = found
    assert why == "" and nothing
    assert a.card is not None
    shade = Card()
    shade.rows = dict(rows)
    node = room.gate("z", disk=True).node
    node.broker.restore(shade.rows, batches, room.now)
    assert node.broker.waiting() == 5


def test_a_stranger_that_acknowledges_what_was_not_sent_is_refused() -> None:
    room, (a, _) = with_copies("a", "b")
    link = between(room, "a", "b").links[1]
    link.say(CopyKept(99, 99, 99))
    room.settle()
    assert a.peer("b").link is None


def test_a_gateway_of_the_version_before_is_never_asked() -> None:
    room = Room()
    a, _ = room.linked("a", "b", disk=True)
    hello = a.peer("b").hello
    assert hello is not None
    fields = {name: getattr(hello, name) for name in hello.__struct_fields__}
    a.peer("b").hello = type(hello)(**{**fields, "protocol": 1})
    room.wait(MEETING_S)
    assert not [f for s, _, f in room.frames if s == "a" and isinstance(f, CopyAsk)]
    assert a.mesh.copier.standing is Standing.NOBODY
