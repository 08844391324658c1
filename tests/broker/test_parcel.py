"""A session that is packed and unpacked elsewhere behaves as before.

Random stories as in `test_kept_any.py`; now and then a session goes through a parcel into the same
broker, under a new number.
"""

from random import Random

import pytest

from gateway.broker.connecting import part_with, rest
from gateway.broker.parcel import HEAD, Packer, Unpacker, read_label
from gateway.broker.passage import Passage
from gateway.broker.session import Session
from gateway.mqtt.packets import Publish, PubRec, Subscribe, Subscription, Will
from gateway.mqtt.properties import Properties
from gateway.tickets import Ticket
from tests.broker import test_kept_any
from tests.broker.kept import KeptWorld
from tests.broker.test_kept_any import Story
from tests.broker.world import Client

WEEK_S = 604_800
SEEDS = 60


def move(world: KeptWorld, session: Session) -> Session:
    """The session goes through a parcel, in whole pieces, and is on disk under its new number."""
    broker = world.broker.state
    packer = Packer(broker, session)
    label, pieces = packer.label(), []
    while not packer.is_done():
        pieces.append(packer.piece())
    rest(broker, session)
    session.passage = Passage(own=False, handed_on=True)
    part_with(broker, session)
    unpacker, ticket = Unpacker(broker), Ticket(lambda: None)
    ticket.hold()
    read = read_label(label, broker.journal)
    new = unpacker.begin(read, Passage(own=True, owed=("elsewhere", HEAD)), ticket)
    for piece in pieces:
        unpacker.add(piece, ticket)
    unpacker.route()
    new.backlog.join()
    new.passage = None
    broker.routes.cache.clear()
    for _ in range(100):
        world.settle()
        if ticket.waiting == 1:
            return new
        world.now += 1.0  # a disk that failed is tried again
    raise AssertionError("it never reaches the disk")


class Moving(Story):
    """Whose subscribers' and publishers' sessions move, while their clients are away."""

    moves = 0

    def _step(self) -> None:
        if self.random.random() < 0.05:
            self._move_one()
        else:
            super()._step()

    def _move_one(self) -> None:
        party = self.random.choice(self.parties)
        party.lose()
        session = self.world.broker.state.sessions.get(party.name)
        if session is None or not session.number or self.world.broker.journal.refusing:
            return
        if self.world.take() is None or not self.world.disk_may_fail:
            move(self.world, session)
            self.moves += 1


@pytest.mark.slow
def test_any_story_ends_well_with_sessions_that_move(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Moving] = []

    def begin(seed: int) -> Moving:
        told.append(Moving(seed))
        return told[-1]

    monkeypatch.setattr(test_kept_any, "Story", begin)
    for seed in range(SEEDS):
        test_kept_any.story(seed)
    assert sum(each.moves for each in told) > 5 * SEEDS


def away(world: KeptWorld, client: Client) -> Session:
    client.lose()
    return world.broker.state.sessions[client.client_id]


def test_what_a_session_has_is_all_in_its_parcel() -> None:
    world = KeptWorld()
    client = world.client("c")
    client.connect(False, session_expiry_interval_s=WEEK_S)
    world.settle()
    broker = world.broker
    client.send(Subscribe(1, (Subscription("t/#", 2, True, True, 1), Subscription("u", 1))))
    world.settle()
    client.publish("own", b"handed over", qos=2)
    for qos, payload in ((2, b"received"), (2, b"sent"), (1, b"once")):
        broker.publish("t/1", payload, qos, False, world.now)
        world.settle()
    client.connection.session.window = 0  # type: ignore[union-attr]
    broker.publish("t/1", b"waits", 1, False, world.now)
    world.settle()
    came = {each.payload: each.packet_id for each in client.take() if isinstance(each, Publish)}
    client.send(PubRec(came[b"received"]))
    world.settle()
    before = away(world, client)
    after = move(world, before)
    assert after is not before and after.number != before.number
    assert after.subscriptions == {
        "t/#": Subscription("t/#", 2, True, True, 1),
        "u": Subscription("u", 1),
    }
    assert [each and each[0].payload for each in after.inflight.values()] == [
        None,
        b"sent",
        b"once",
    ]
    assert list(after.inflight) == [came[b"received"], came[b"sent"], came[b"once"]]
    assert [each[0].payload for each in after.backlog] == [b"waits"]
    assert [each.payload for each in after.unreleased.values()] == [b"handed over"]
    assert after.epoch == before.epoch + 1 and after.line == before.line
    assert world.broker.state.room.used == world.held_bytes()
    world.power_cut()
    again = world.broker.state.sessions["c"]
    assert list(again.inflight) == list(after.inflight)
    assert [each[0].payload for each in again.backlog] == [b"waits"]


def test_a_will_whose_delay_runs_goes_along() -> None:
    world = KeptWorld()
    reader = world.connected("reader")
    reader.subscribe("gone")
    delayed = Will("gone", b"c", 0, properties=Properties(will_delay_interval_s=30))
    client = world.client("c")
    client.connect(False, will=delayed, session_expiry_interval_s=WEEK_S)
    world.settle()
    before = away(world, client)
    world.pass_s(20)
    move(world, before)
    world.pass_s(8)
    assert reader.payloads() == []
    world.pass_s(3)
    assert reader.payloads() == [b"c"]


def test_times_are_those_of_the_mesh() -> None:
    world = KeptWorld()
    client = world.client("c")
    client.connect(False, session_expiry_interval_s=WEEK_S)
    world.settle()
    client.send(_subscribe("t"))
    world.settle()
    before = away(world, client)
    publisher = world.connected("p")
    publisher.publish("t", b"x", qos=1, message_expiry_interval_s=10)
    world.settle()
    after = move(world, before)
    (waiting,) = after.backlog
    assert waiting[0].expires_at is not None
    assert 9 < waiting[0].expires_at - world.now <= 10


def _subscribe(topic_filter: str) -> Subscribe:
    return Subscribe(1, (Subscription(topic_filter, 1),))


def test_messages_of_any_kind_in_a_long_queue_keep_their_order() -> None:
    world, random = KeptWorld(), Random(5)
    client = world.client("c")
    client.connect(False, session_expiry_interval_s=WEEK_S)
    world.settle()
    client.send(_subscribe("#"))
    world.settle()
    before = away(world, client)
    for number in range(2_000):
        topic, qos = random.choice(["a", "b", "b/c"]), random.choice([1, 2])
        world.broker.publish(topic, b"%d" % number, qos, False, world.now)
    world.settle()
    after = move(world, before)
    assert [int(each[0].payload) for each in after.backlog] == list(range(2_000))
    world.power_cut()
    again = world.broker.state.sessions["c"]
    assert [int(each[0].payload) for each in again.backlog] == list(range(2_000))
