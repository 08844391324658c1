"""Several that want one session at once, and sessions that are large: all of it is bounded."""

import pytest

from gateway.broker import going
from gateway.broker.coming import ANSWER_S
from gateway.broker.quarrels import FREE
from gateway.moves import Kept, Parcel
from tests.mesh.roamer import Roamer, talk
from tests.mesh.room import between
from tests.mesh.sessions import (
    at_rest,
    gates,
    homes,
    numbers,
    one_turn,
    owners,
    publish,
    said,
    subscribed,
)


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
