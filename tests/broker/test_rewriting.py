"""All that lives is written again in slices, each message once, and only when that frees something."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.broker import rewriting
from gateway.broker.records import Enqueued, Record, Rewrite, Target, Wish
from gateway.broker.rewriting import SLICE_MESSAGES_MAX, Living, Rewriting
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import PubAck, PubComp, Publish, PubRec, PubRel
from gateway.mqtt.properties import Properties
from tests.broker.kept import WEEK_S, KeptWorld, away, persistent, subscribed


def mesh_ms(when: float | None) -> int | None:
    return None if when is None else round(when * 1000)


def living(
    mid: int,
    session: int = 1,
    topic: str = "t",
    qos: int = 1,
    properties: Properties | None = None,
    packet_ids: list[int] | None = None,
) -> Living:
    message = Message(topic, topic_field(topic), b"%d" % mid, qos, publisher="p")
    if properties is not None:
        message.properties = properties
    return Living(mid, message, [Target(session, qos, packet_ids=packet_ids)])


def written(items: list[Living]) -> list[Record]:
    records: list[Record] = []
    assert Rewriting(iter(items)).slice(records, mesh_ms) is Rewrite.WHOLE
    return records


def test_neighbours_that_differ_in_their_payloads_only_become_one_record() -> None:
    (record,) = written([living(mid) for mid in range(5, 9)])
    assert isinstance(record, Enqueued)
    assert (record.first, record.payloads) == (5, [b"5", b"6", b"7", b"8"])


@pytest.mark.parametrize(
    "other",
    [
        living(6, session=2),
        living(6, topic="u"),
        living(6, qos=2),
        living(6, properties=Properties(content_type="x")),
        living(6, packet_ids=[3]),
    ],
    ids=["session", "topic", "qos", "properties", "sent"],
)
def test_what_differs_in_anything_else_has_a_record_of_its_own(other: Living) -> None:
    for items in ([living(5), other], [other, living(7)], [living(5), living(7)]):
        records = written(items)
        assert [type(record) for record in records] == [Enqueued, Enqueued]
        assert [record.payloads for record in records] == [  # type: ignore[union-attr]
            [b"%d" % item.mid] for item in items
        ]


def test_a_slice_is_bounded_and_looks_at_no_more_than_it_takes() -> None:
    looked_at = 0

    def items() -> Iterator[Living]:
        nonlocal looked_at
        for mid in range(1, 2 * SLICE_MESSAGES_MAX + 2):
            looked_at += 1
            yield living(mid)

    slowly, slices = Rewriting(items()), []
    for number, last in enumerate((Rewrite.BEGIN, Rewrite.NONE, Rewrite.END), 1):
        records: list[Record] = []
        assert slowly.slice(records, mesh_ms) is last
        slices.append(records)
        assert looked_at == min(number * SLICE_MESSAGES_MAX, 2 * SLICE_MESSAGES_MAX + 1)
    assert [len(records) for records in slices] == [1, 1, 1]


def test_a_message_of_many_sessions_counts_for_each_of_them() -> None:
    items = [living(mid) for mid in (1, 2)]
    for item in items:
        item.targets = [Target(session, 1) for session in range(SLICE_MESSAGES_MAX)]
    slowly = Rewriting(iter(items))
    assert slowly.slice([], mesh_ms) is Rewrite.BEGIN
    assert slowly.slice([], mesh_ms) is Rewrite.NONE
    assert slowly.slice([], mesh_ms) is Rewrite.END


def test_what_several_sessions_have_is_written_once() -> None:
    world = KeptWorld()
    for name in ("a", "b", "c"):
        client = persistent(world, name)
        subscribed(world, client, "#", 1)
        client.lose()
    publisher = world.connected("p")
    for number in range(20):
        publisher.publish("t", b"%d" % number, 1)
    world.settle()
    ahead = persistent(world, "b")
    assert len(ahead.acknowledge()) == 20  # two of the three still want them
    publisher.publish("t", b"20", 1)
    world.sync(wish=Wish.NOW)
    world.settle()
    enqueued = [r for r in world.records() if isinstance(r, Enqueued)]
    assert sum(len(record.payloads) for record in enqueued) == 21
    assert len(enqueued) <= 2
    world.power_cut()
    for name, first in (("a", 0), ("b", 20), ("c", 0)):
        got = persistent(world, name).acknowledge()
        assert got == [b"%d" % number for number in range(first, 21)], name


def test_a_long_log_is_written_again_when_half_of_it_is_over_and_not_before() -> None:
    world = KeptWorld()
    away(world)
    publisher = world.connected("p")

    for _ in range(100):
        publisher.publish("t", b"x", 1)
        world.settle()

    def begins() -> bool:
        """Whether the batch after one that asks for it is one of a rewrite."""
        publisher.publish("t", b"x", 1)
        world.now += 1
        world.sync(wish=Wish.IF_WORTH)
        publisher.publish("t", b"x", 1)
        world.now += 1
        batch = world.take()
        assert batch is not None
        world.settle()
        return batch.rewrite is not Rewrite.NONE

    def acknowledges(count: int) -> None:
        client = persistent(world, "s")
        for packet in client.take()[:count]:
            client.send(PubAck(packet.packet_id))  # type: ignore[union-attr]
        client.lose()
        world.now += 11
        world.settle()

    assert not begins()
    acknowledges(60)
    assert begins()
    assert not begins()
    world.power_cut()  # what the log holds is found by reading it
    publisher = world.connected("p")
    assert not begins()
    acknowledges(40)
    world.power_cut()
    publisher = world.connected("p")
    assert begins()
    assert not begins()
    away(world)
    subscribed(world, persistent(world, "s", clean=True), "#", 1)  # with its session all is over
    assert begins()


def test_what_becomes_of_a_message_before_its_slice_is_what_a_power_cut_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rewriting, "SLICE_MESSAGES_MAX", 1)
    world = KeptWorld()
    away(world, 2)
    publisher = world.connected("p")
    ids = [publisher.publish("t", b"%d" % number, 2) for number in range(40)]
    world.settle()
    publisher.send(*map(PubRel, ids))

    def batches(count: int) -> None:
        for _ in range(count):
            world.now += 0.03
            world.sync()

    assert world.sync(wish=Wish.NOW)
    batches(1)
    client = world.client("s")
    client.connect(False, session_expiry_interval_s=WEEK_S)
    batches(2)
    came = [packet for packet in client.take() if isinstance(packet, Publish)]
    assert len(came) == 40
    completed, received, sent = came[35:], came[30:35], came[:30]
    client.send(*[PubRec(packet.packet_id) for packet in completed + received])
    batches(2)
    client.send(*[PubComp(packet.packet_id) for packet in completed])
    batches(1)
    before = len(world.card.log)
    world.now += 11
    world.settle()
    assert len(world.card.log) < before + 34, "nothing was freed"
    world.power_cut()
    again = persistent(world, "s").take()
    assert again == [replace(packet, dup=True) for packet in sent] + [
        PubRel(packet.packet_id) for packet in received
    ]
