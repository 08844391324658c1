"""Who has a SUBACK sees what is published anywhere from then on, or it is counted that not."""

import pytest

from gateway.limits import INTEREST_TIMEOUT_S
from gateway.mesh.interest import FILTERS_BYTES_MAX, OwnInterest
from tests.mesh.room import Room


def test_suback_waits_for_every_linked_gateway() -> None:
    room = Room()
    _a, b, _c = room.linked("a", "b", "c")
    reader = b.client("reader")
    reader.subscribe("t")
    assert reader.kinds() == []
    line = next(line for line in room.lines if {g.name for g in line.gates} == {"b", "c"})
    line.muted = {1}
    room.settle()
    assert reader.kinds() == [], "c has not said that it knows"
    line.muted = set()
    room.settle()
    assert reader.kinds() == ["SubAck"]
    assert b.mesh.state.barriers.timeouts == 0


def test_suback_gives_up_after_its_time_and_counts_that() -> None:
    room = Room()
    _a, b = room.linked("a", "b")
    room.lines[0].muted = {0}
    reader = b.client("reader")
    reader.subscribe("t")
    room.wait(INTEREST_TIMEOUT_S - 0.1)
    assert reader.kinds() == []
    room.wait(0.2)
    assert reader.kinds() == ["SubAck"]
    assert b.mesh.state.barriers.timeouts == 1


def test_after_suback_nothing_is_missed() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = b.client("reader")
    reader.subscribe("t")
    room.settle()
    assert reader.kinds() == ["SubAck"]
    a.client("writer").publish("t", b"1")
    room.settle()
    assert reader.payloads() == [b"1"]
    assert b.mesh.state.barriers.timeouts == 0


def test_suback_of_a_gateway_alone_does_not_wait() -> None:
    room = Room()
    reader = room.gate("a").client("reader")
    reader.subscribe("t")
    assert reader.kinds() == ["SubAck"]


def test_suback_does_not_wait_for_a_link_that_breaks() -> None:
    room = Room()
    _a, b = room.linked("a", "b")
    reader = b.client("reader")
    reader.subscribe("t")
    room.lines[0].cut()
    assert reader.kinds() == ["SubAck"]
    assert b.mesh.state.barriers.timeouts == 0


def test_a_client_that_leaves_before_its_suback_leaves_nothing_behind() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = b.client("reader")
    reader.subscribe("t")
    reader.connection.lost(room.now)
    room.settle()
    assert b.mesh.state.barriers.deadline() == float("inf")
    assert a.mesh.others.interested("t") == []


def test_the_last_unsubscribe_ends_the_interest() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    readers = [b.client("one"), b.client("two")]
    for reader in readers:
        reader.subscribe("t/#")
    room.settle()
    readers[0].connection.lost(room.now)
    room.settle()
    assert len(a.mesh.others.interested("t/1")) == 1
    readers[1].connection.lost(room.now)
    room.settle()
    assert a.mesh.others.interested("t/1") == []


def test_there_and_back_within_a_turn_says_nothing_and_is_acknowledged() -> None:
    own = OwnInterest()
    own.change("t", True)
    own.change("t", False)
    assert [(frame.add, frame.remove, frame.more) for frame in own.delta()] == [([], [], False)]
    assert own.delta() == []


def test_interest_is_in_frames_of_bounded_size_and_only_the_last_completes_it() -> None:
    own = OwnInterest()
    names = [f"{number:05}/" + "x" * 60_000 for number in range(40)]
    frames = own.full(names)
    assert [name for frame in frames for name in frame.add] == names
    assert len(frames) > 1
    assert max(sum(map(len, frame.add)) for frame in frames) <= FILTERS_BYTES_MAX + 65_535
    assert [frame.full for frame in frames] == [True] + [False] * (len(frames) - 1)
    assert [frame.more for frame in frames] == [True] * (len(frames) - 1) + [False]


@pytest.mark.slow
def test_a_client_with_very_long_filters_does_not_bring_the_links_down() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = b.client("reader")
    for number in range(400):
        reader.subscribe(f"{number:05}/" + "x" * 60_000)
    room.settle()
    assert len(room.lines) == 1
    assert len(a.peer("b").filters) == 400


def test_clients_wait_at_the_start_until_the_known_gateways_have_spoken() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    reader = b.client("reader")
    reader.subscribe("t")
    room.settle()
    reader.got()
    a.restart()
    writer = a.client("writer")
    writer.publish("t", b"early")
    room.settle()
    assert writer.kinds() == []
    room.line(a, b)
    room.settle()
    assert writer.kinds() == ["PubAck"]
    assert reader.payloads() == [b"early"]


def test_clients_wait_for_the_dead_no_longer_than_a_death_takes() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    b.mesh.state.links.clear()
    a.restart()
    writer = a.client("writer")
    writer.publish("t", b"early")
    room.wait(2.8)
    assert writer.kinds() == []
    room.wait(0.3)
    assert writer.kinds() == ["PubAck"]
