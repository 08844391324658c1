"""Retained messages are the same everywhere after a link came up, deletions too."""

import pytest

from gateway.limits import BATCH_BYTES_MAX, CLIENT_ID_BYTES_MAX, LINK_FRAME_BYTES_MAX
from gateway.mesh.frames import Compare, Entries, Retained, encode
from tests.mesh.room import Gate, Room


def contents(gate: Gate) -> dict[str, bytes | None]:
    """Topics and what is retained; None for a tombstone."""
    retained = gate.node.broker.retained
    return {
        topic: None if entry.message is None else entry.message.payload
        for number in range(len(retained.digest()))
        for topic, entry in retained.bucket(number)
    }


def retain(gate: Gate, topic: str, payload: bytes) -> None:
    """The gateway retains something of its own."""
    gate.room.now += 0.001
    gate.node.broker.publish(topic, payload, 1, True, gate.room.now)


def test_the_newest_of_both_sides_is_on_both_in_the_end() -> None:
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    retain(a, "only/a", b"a")
    retain(b, "only/b", b"b")
    retain(a, "both", b"older")
    retain(b, "both", b"newer")
    room.line(a, b)
    room.settle()
    assert contents(a) == contents(b) == {"only/a": b"a", "only/b": b"b", "both": b"newer"}


def test_a_deletion_during_a_cut_is_not_undone() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    retain(a, "t", b"1")
    room.settle()
    assert contents(b) == {"t": b"1"}
    reader = b.client("reader")
    reader.subscribe("t")
    room.settle()
    assert reader.payloads() == [b"1"]
    room.lines[0].cut()
    room.wait(4)
    retain(a, "t", b"")
    room.line(a, b)
    room.settle()
    assert contents(a) == contents(b) == {"t": None}
    assert reader.payloads() == [b""], "who saw the value sees that it is gone"


def test_a_gateway_that_lost_its_memory_is_filled_again() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    for number in range(50):
        retain(a, f"t/{number}", b"x")
    room.settle()
    a.restart()
    assert contents(a) == {}
    room.line(a, b)
    room.settle()
    assert contents(a) == contents(b) != {}


@pytest.mark.slow
def test_ten_thousand_topics_each_way_are_exchanged_and_then_cost_nothing() -> None:
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    for number in range(10_000):
        retain(a, f"a/{number}", b"payload")
        retain(b, f"b/{number}", b"payload")
    for number in range(0, 10_000, 3):
        retain(a, f"a/{number}", b"")
    room.line(a, b)
    room.settle()
    assert contents(a) == contents(b)
    assert len(contents(a)) == 20_000
    assert len(a.node.broker.retained) == 20_000 - 3_334
    largest = max(len(encode(frame)) for _, _, frame in room.frames)
    assert largest < 2 * BATCH_BYTES_MAX
    room.lines[0].cut()
    room.frames.clear()
    room.line(a, b)
    room.settle()
    assert not [frame for _, _, frame in room.frames if isinstance(frame, Compare | Retained)]


@pytest.mark.slow
def test_one_change_during_a_cut_does_not_send_everything() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    for number in range(2_000):
        retain(a, f"t/{number}", b"payload")
    room.settle()
    room.lines[0].cut()
    room.wait(4)
    retain(a, "t/7", b"changed")
    room.frames.clear()
    room.line(a, b)
    room.settle()
    sent = [frame for _, _, frame in room.frames if isinstance(frame, Retained)]
    assert [kept.topic for frame in sent for kept in frame.kept] == ["t/7"]
    listed = [frame for _, _, frame in room.frames if isinstance(frame, Compare)]
    assert sum(len(frame.topics) for frame in listed) < 60


@pytest.mark.slow
def test_a_bucket_that_does_not_fit_a_frame_comes_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.digest.BUCKETS", 1)
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    for number in range(30):
        retain(a, f"t/{number}", bytes(1_000_000))
    room.line(a, b)
    room.settle()
    assert len(contents(b)) == 30
    assert max(len(encode(frame)) for _, _, frame in room.frames) < LINK_FRAME_BYTES_MAX


@pytest.mark.slow
def test_topics_of_any_length_do_not_bring_the_links_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.digest.BUCKETS", 1)
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    for number in range(350):
        retain(a, f"{number:05}/" + "x" * 60_000, b"1")
        retain(b, f"{number:05}/" + "x" * 60_000, b"2" if number % 2 else b"")
    room.line(a, b)
    room.settle()
    assert len(room.lines) == 1
    assert contents(a) == contents(b)


def test_the_longest_client_ids_do_not_bring_the_links_down() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = b.client("reader")
    reader.subscribe("t")
    room.settle()
    writer = a.client("w" * CLIENT_ID_BYTES_MAX)
    for _ in range(400):
        writer.publish("t", b"", qos=0)
    room.settle()
    assert len(room.lines) == 1
    frames = [frame for _, _, frame in room.frames if isinstance(frame, Entries)]
    assert max(len(encode(frame)) for frame in frames) < LINK_FRAME_BYTES_MAX


def test_the_answer_within_the_same_millisecond_wins() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    for payload in (b"1", b"2", b"3"):
        a.node.broker.publish("t", payload, 0, True, room.now)
    room.settle()
    b.node.broker.publish("t", b"answer", 0, True, room.now)
    room.settle()
    assert contents(a) == contents(b) == {"t": b"answer"}


def test_a_retained_message_is_stored_and_shown_where_somebody_listens_in_one_step() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    reader = b.client("reader")
    reader.subscribe("t")
    room.settle()
    reader.got()
    a.client("writer").publish("t", b"v1", retain=True)
    room.settle()
    assert reader.payloads() == [b"v1"]
    assert all(gate.node.broker.retained.get("t") is not None for gate in (a, b, c))


def test_what_is_set_later_is_newer_though_its_gateway_counts_from_far_behind() -> None:
    """By heartbeats while they are linked, and with the first word of a link."""
    for relinked in (False, True):
        room = Room()
        a, b = room.linked("a", "b")
        if relinked:
            room.lines[0].cut()
        a.mesh.state.clock.seen(10**9, room.now)
        if relinked:
            room.line(a, b)
            room.settle()
        else:
            room.wait(0.6)
        assert b.mesh.state.clock.stamp(room.now) > a.mesh.state.clock.stamp(room.now - 0.1)
