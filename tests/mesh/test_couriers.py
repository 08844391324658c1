"""What waits for a gateway that is away: its bounds, its age, and how it leaves."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.broker.courier import Courier
from gateway.mesh.frames import Said
from gateway.moves import Parcel
from gateway.mqtt.packets import Publish
from tests.mesh.room import CLUSTER, Client, Gate, Room

DEAD_S = CLUSTER.dead_s + 1.0
LOOK_S = 1.1  # what waits is counted once a second


class Away:
    """The gateways a and b; b has the sessions, subscribed to t/#, and is dead. a publishes."""

    def __init__(self, sessions: int = 1, **cluster: Any) -> None:
        self.room = Room(disks=True)
        said = replace(CLUSTER, **cluster)
        self.a, self.b = self.room.linked("a", "b", cluster=said)
        self.names = [f"s{number}" for number in range(sessions)]
        for name in self.names:
            client = self.b.client(name, clean=False)
            self.room.settle()
            client.subscribe("t/#", 1)
            self.room.settle()
            client.leave()
        self.room.wait(0.5)
        self.room.kill(self.b)
        self.room.wait(DEAD_S)
        self.writer = self.a.client("writer")
        self.room.settle()
        self.writer.got()

    def publish(self, first: int, count: int, size: int = 4) -> list[str]:
        for number in range(first, first + count):
            self.writer.publish("t/1", b"%04d" % number + b"." * (size - 4))
        self.room.settle()
        return self.writer.kinds()

    def courier(self) -> Courier:
        """What waits for b, as it was counted last."""
        self.room.wait(LOOK_S)
        moving = self.a.node.broker.moving
        assert moving is not None
        return moving.couriers()["b"]

    def back(self) -> None:
        """b begins anew, with what its disk has."""
        self.room.gates.append(self.b)
        self.b.restart()
        self.room.line(self.a, self.b)
        self.room.settle()

    def got(self, name: str = "s0") -> list[int]:
        """What the session has now."""
        return _numbers(self.b.client(name, clean=False), self.room)


def _numbers(client: Client, room: Room) -> list[int]:
    found = [each.payload for each in client.welcome if isinstance(each, Publish)]
    for _ in range(40):
        room.settle()
        found += client.payloads()
    client.leave()
    return [int(payload[:4]) for payload in found]


def test_what_waits_for_an_absent_gateway_is_counted_and_leaves_in_order() -> None:
    away = Away(sessions=2)
    assert away.publish(0, 5) == ["PubAck"] * 5
    away.room.wait(10)
    away.publish(5, 5)
    courier = away.courier()
    assert (courier.messages, courier.refused, courier.dropped) == (20, 0, 0)
    assert courier.bytes > 20 * 4
    assert courier.oldest_s == pytest.approx(11, abs=1.5)
    away.back()
    away.room.wait(5)
    assert away.courier().messages == 0
    assert away.courier().oldest_s is None
    assert away.got("s0") == away.got("s1") == list(range(10))


def test_a_full_courier_takes_nothing_new_and_keeps_what_it_has() -> None:
    away = Away(courier_messages_max=10)
    away.publish(0, 25)
    courier = away.courier()
    assert (courier.messages, courier.refused, courier.dropped) == (10, 15, 0)
    assert courier.lost_at is not None
    assert sum("wait for b" in note for note in away.a.notes) == 1, "said once"
    away.back()
    away.room.wait(5)
    assert away.got() == list(range(10))


def test_a_full_courier_may_let_the_oldest_go_of_whatever_session() -> None:
    away = Away(sessions=2, courier_messages_max=20, courier_full="drop-oldest")
    away.publish(0, 25)
    courier = away.courier()
    assert (courier.messages, courier.refused, courier.dropped) == (20, 0, 30)
    away.back()
    away.room.wait(5)
    assert away.got("s0") == away.got("s1") == list(range(15, 25))


def test_bytes_are_bounded_too() -> None:
    away = Away(courier_bytes_max=65_536)
    away.publish(0, 20, size=8_000)
    courier = away.courier()
    assert courier.bytes <= 65_536 < courier.bytes + 2 * 8_000
    assert courier.refused == 20 - courier.messages


def test_what_is_too_old_is_let_go_and_counted_also_after_a_restart() -> None:
    away = Away(courier_age_max_s=3600)
    away.publish(0, 3)
    away.room.wait(1300)
    away.publish(3, 3)
    away.room.wait(650)  # its age is on disk
    away.room.kill(away.a)
    away.room.gates.append(away.a)
    away.a.restart()
    away.room.wait(DEAD_S)
    courier = away.courier()
    assert courier.messages == 6
    assert courier.oldest_s is not None and courier.oldest_s >= 1290, "it goes on"
    away.room.wait(1900)
    courier = away.courier()
    assert (courier.messages, courier.expired) == (3, 3)
    assert any("too old" in note for note in away.a.notes)
    away.room.wait(1400)
    courier = away.courier()
    assert (courier.messages, courier.expired, courier.oldest_s) == (0, 6, None)


def test_the_age_of_what_waits_is_forgotten_with_it() -> None:
    away = Away()
    away.publish(0, 3)
    away.courier()
    assert away.a.card is not None
    away.room.wait(35)
    assert ("ages", "") in away.a.card.rows
    away.back()
    away.room.wait(15)
    assert ("ages", "") not in away.a.card.rows


def test_it_leaves_at_a_bounded_rate_in_order_and_what_is_live_is_not_kept_waiting() -> None:
    away = Away(sessions=3, courier_rate_max=500)
    for first in range(0, 1000, 100):
        away.publish(first, 100)
        away.room.wait(0.1)
    assert away.courier().messages == 3000
    away.back()
    reader = away.b.client("reader")
    reader.subscribe("live/#")
    away.room.wait(0.2)
    reader.got()
    arrived, begun = [], away.room.now
    while away.courier().messages and away.room.now < begun + 30:
        arrived.append(away.courier().rate)
        away.writer.publish("live/1", b"now")
        away.room.settle()
        assert reader.payloads() == [b"now"], "within a turn, whatever waits"
    assert 3000 / 500 - 1 <= away.room.now - begun <= 12
    assert max(arrived) < 600
    assert away.courier().messages == 0
    for name in away.names:
        assert away.got(name) == list(range(1000))


def test_a_session_whose_turn_is_late_is_not_given_up() -> None:
    away = Away(sessions=4, courier_rate_max=100)
    for first in range(0, 500, 100):
        away.publish(first, 100)
        away.room.wait(0.1)
    away.back()
    away.room.frames.clear()
    away.room.wait(30)
    said = [f.move for who, _, f in away.room.frames if who == "a" and isinstance(f, Said)]
    tokens = {(move.client_id, move.token) for move in said if isinstance(move, Parcel)}
    assert len(tokens) == 4, "each was begun once"
    for name in away.names:
        assert away.got(name) == list(range(500))


def test_what_waits_is_on_the_disk_of_the_stand_in_too() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c", disk=True, cluster=replace(CLUSTER, copy_after_s=60.0))
    room.wait(DEAD_S)
    client = c.client("s", clean=False)
    room.wait(0.2)
    client.subscribe("t/#", 1)
    room.wait(0.2)
    client.leave()
    room.wait(0.5)
    _lose_copies(c, a, b)
    room.kill(c)
    room.wait(DEAD_S)
    writer = a.client("writer")
    room.wait(0.2)
    b.copies_work = False
    writer.got()
    writer.publish("t/1", b"x")
    room.settle()
    assert writer.kinds() == [], "it waits for the second copy"
    b.copies_work = True
    room.settle()
    assert writer.kinds() == ["PubAck"]


def _lose_copies(owner: Gate, *keepers: Gate) -> None:
    """Nobody has a copy of that gateway's store: its sessions are out of reach when it dies."""
    for keeper in keepers:
        keeper.shelves.copies.pop(owner.name, None)
        keeper.mesh.state.copies.pop(owner.name, None)


def test_who_connects_does_not_wait_for_what_is_drained_of_others() -> None:
    away = Away(sessions=300, courier_rate_max=20)
    away.publish(0, 2)
    client = away.a.client("mover", clean=False)
    away.room.settle()
    client.subscribe("m")
    away.room.settle()
    client.leave()
    away.back()
    away.room.wait(0.5)
    moving = away.b.node.broker.moving
    assert moving is not None and moving.moving()[0] > 256, "more come than may at once"
    client = away.b.client("mover", clean=False)  # its session is at a
    away.room.wait(0.5)
    assert [type(each).__name__ for each in [*client.welcome, *client.got()]] == ["ConnAck"]
    away.room.wait(35)
    assert moving.moving()[0] == 0
    assert away.got("s299") == [0, 1]
