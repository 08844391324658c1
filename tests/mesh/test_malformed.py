"""What is no frame, or one that cannot be meant, ends the link; nothing else ever escapes."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ids import Stamp
from gateway.limits import LINK_FRAME_BYTES_MAX
from gateway.mesh.frames import (
    PROTOCOL,
    AnyFrame,
    Beat,
    Compare,
    Digest,
    Entries,
    Entry,
    Frame,
    Hello,
    Interest,
    InterestTaken,
    Kept,
    Received,
    Refuse,
    Retained,
    Rows,
    Start,
    Taken,
    encode,
)
from gateway.mesh.link import Link
from gateway.table import Row
from tests.mesh.room import Gate, Room, stranger

FIELD = b"\x00\x01t"
SOME = Stamp(1, 0, "z")


def linked() -> tuple[Room, Gate, Link, Callable[[Frame | bytes], list[AnyFrame]]]:
    """A gate with a link that is up, to a gateway z that is played by hand."""
    room = Room()
    gate = room.gate("a")
    gate.client("reader").subscribe("#")
    link, say = stranger(room, gate)
    say(Hello(1, 1, "room", "z", "z", "store-z", 1, "nonce-z", "1.0", 5, "z", 7883, 1883))
    say(Received("store-a", 1, 0))
    say(Start(0))
    assert not link.closed
    return room, gate, link, say


ENDS = {
    "an entry that skips one": Entries(2, [Entry(FIELD, b"", 0, "p")]),
    "a topic with a wildcard": Entries(1, [Entry(b"\x00\x01#", b"", 0, "p")]),
    "a retained topic with a wildcard": Entries(1, [Entry(b"\x00\x01#", b"x", 0, "p", (1, 0))]),
    "a topic whose length is wrong": Entries(1, [Entry(b"\x00\x09t", b"", 0, "p")]),
    "no topic at all": Entries(1, [Entry(b"", b"", 0, "p")]),
    "a topic that is not UTF-8": Entries(1, [Entry(b"\x00\x01\xff", b"", 0, "p")]),
    "a QoS of 3": Entries(1, [Entry(FIELD, b"", 3, "p")]),
    "properties that are none": Entries(1, [Entry(FIELD, b"", 0, "p", None, b"\x05\x01")]),
    "a stamp beyond all time": Entries(1, [Entry(FIELD, b"", 0, "p", (2**60, 0))]),
    "a counter beyond all time": Entries(1, [Entry(FIELD, b"", 0, "p", (1, 2**63))]),
    "a number that was never sent": Taken(77),
    "a time beyond all time": Beat(1.0, 0.0, 0.0, 2**63, []),
    "a kept topic with a wildcard": Retained([Kept("#", (1, 0, "z"), b"x")], True),
    "a kept topic that is too long": Retained([Kept("x" * 70_000, (1, 0, "z"), b"x")], True),
    "a kept QoS of 7": Retained([Kept("t", (1, 0, "z"), b"x", 7)], True),
    "a second hello": Hello(1, 1, "room", "z", "z", "store-z", 1, "nonce-z", "1.0", 5),
    "a second start": Start(0),
    "a row that is too large": Rows("people", [("k", Row(SOME, SOME, bytes(20_000)))]),
    "a key that is too long": Rows("people", [("k" * 3_000, Row(SOME, SOME, b""))]),
    "a row beyond all time": Rows("people", [("k", Row(SOME, Stamp(2**60, 0, "z"), b""))]),
    "a bucket of a table that is none": Compare([256], [], True, "people"),
    "no MessagePack": b"\x00\x00\x00\x02\xc1\xc1",
    "an unknown frame": b"\x00\x00\x00\x05" + msgspec.msgpack.encode({"t": "x"})[:5],
    "a frame beyond the limit": (LINK_FRAME_BYTES_MAX + 1).to_bytes(4, "big"),
    "a frame of nothing": b"\x00\x00\x00\x00",
}


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_the_link_and_is_answered_and_shown(name: str) -> None:
    room, gate, link, say = linked()
    answers = say(ENDS[name])
    assert link.closed
    assert [answer.code for answer in answers if isinstance(answer, Refuse)] == ["malformed"]
    assert [refusal.code for refusal in gate.mesh.operating.refusals(room.now)] == ["malformed"]
    assert list(gate.node.broker.retained.matching("#")) == []
    assert gate.mesh.state.clock.read(room.now) < 2**48


HARMLESS = {
    "a digest of another size": Digest([1, 2, 3]),
    "buckets that there are none of": Compare([0, 1], [], True),
    "interest that nobody had": Interest(3, False, [], ["never/said"]),
    "a version from the future": InterestTaken(99),
    "an empty list of entries": Entries(1, []),
    "entries that came before": Entries(0, [Entry(FIELD, b"", 0, "p")]),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_it_does_no_harm(name: str) -> None:
    _, _, link, say = linked()
    say(HARMLESS[name])
    assert not link.closed


@pytest.mark.parametrize("bucket", [-1, 256, 2**40])
def test_a_bucket_that_does_not_exist_ends_the_link(bucket: int) -> None:
    _, _, link, say = linked()
    say(Compare([bucket], [], True))
    assert link.closed


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_bytes_that_were_changed_on_the_way_raise_nothing(seed: int, changes: int) -> None:
    room, gate, link, say = linked()
    random = Random(seed)
    frames = [each for each in (*ENDS.values(), *HARMLESS.values()) if not isinstance(each, bytes)]
    for _ in range(6):
        data = bytearray(encode(random.choice(frames)))
        for _ in range(changes):
            data[random.randrange(4, len(data))] = random.randrange(256)
        say(bytes(data))
    room.drain(gate)
    link.close()


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing(data: bytes) -> None:
    room = Room()
    gate = room.gate("a")
    stranger(room, gate)[1](data)


def test_what_comes_after_the_end_is_not_looked_at() -> None:
    _, gate, link, say = linked()
    good = encode(Entries(1, [Entry(FIELD, b"late", 1, "p")]))
    say(encode(Start(0)) + good)
    say(good)
    assert link.closed
    assert gate.peer("z").incoming.number == 0


def later(fields: dict[str, object]) -> bytes:
    """A frame as this version does not have it."""
    body = msgspec.msgpack.encode(fields)
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(("protocol", "closed"), [(PROTOCOL, True), (PROTOCOL + 1, False)])
def test_a_frame_of_an_unknown_type_is_passed_over_if_it_is_a_later_versions(
    protocol: int, closed: bool
) -> None:
    room = Room()
    gate = room.gate("a")
    reader = gate.client("reader")
    reader.subscribe("t")
    link, say = stranger(room, gate)
    say(Hello(protocol, 1, "room", "z", "z", "store-z", 1, "nonce-z", "1.0", 5, "z", 7883, 1883))
    say(Received("store-a", 1, 0))
    say(Start(0))
    answers = say(later({"t": "novelty", "what": [1, {"two": b"3"}]}))
    assert link.closed == closed
    assert [frame.code for frame in answers if isinstance(frame, Refuse)] == ["malformed"] * closed
    say(Entries(1, [Entry(FIELD, b"behind it", 0, "p")]))
    assert reader.payloads() == ([] if closed else [b"behind it"])


def test_an_unknown_type_before_hello_ends_the_link() -> None:
    room = Room()
    link, say = stranger(room, room.gate("a"))
    say(later({"t": "novelty"}))
    assert link.closed


def test_fields_of_a_later_version_are_passed_over() -> None:
    _, gate, link, say = linked()
    known = msgspec.structs.astuple(Entry(FIELD, b"x", 0, "p"))
    entry = [*known, "a field of a later version"]
    say(later({"t": "entries", "number": 1, "entries": [entry], "later": {"a": 1}}))
    beat = {"t": "beat", "sent_ms": 1.0, "echo_ms": 0.0, "echo_held_ms": 0.0}
    say(later({**beat, "mesh_time_ms": 7, "hears": ["a"], "mood": "good"}))
    assert not link.closed
    assert gate.peer("z").incoming.number == 1 and gate.peer("z").hears == {"a"}
