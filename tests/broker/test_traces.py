"""Traces: what an operator sees of the messages of some topics, and what it costs the others."""

from typing import Any

import pytest

from gateway.arrival import Arrival
from gateway.broker.access import Access
from gateway.broker.traces import (
    LINES_BYTES_MAX,
    LINES_MAX,
    PAYLOAD_BYTES_MAX,
    TRACES_MAX,
    Line,
    Trace,
)
from gateway.config import MqttSection
from gateway.ids import Stamp
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import Publish, PubRel, Subscribe, Subscription, Version, Will
from gateway.mqtt.properties import Properties
from tests.broker.kept import KeptWorld, persistent, subscribed
from tests.broker.test_access import rule
from tests.broker.world import EVERY_VERSION, V311, Client, OneElsewhere, World

STAYS = {"session_expiry_interval_s": 600}


class Watch:
    """A trace, and how often it was woken."""

    def __init__(self, world: World, *filters: str, client: str = "") -> None:
        self.woken = 0
        self.world = world
        self.trace = Trace(filters or ("#",), client, self._wake)
        assert world.broker.watching.trace(self.trace)

    def _wake(self) -> None:
        self.woken += 1

    def lines(self) -> list[Line | int]:
        lines = []
        while (line := self.trace.take()) is not None:
            lines.append(line)
        return lines

    def told(self) -> list[str]:
        """Each line as "what client", with its detail in brackets."""
        told = []
        for line in self.lines():
            assert isinstance(line, Line), line
            told.append(f"{line.what} {line.client}" + (f" ({line.detail})" if line.detail else ""))
        return told

    def documents(self, payload: bool = True) -> list[dict[str, Any]]:
        return [line.document(payload) for line in self.lines() if isinstance(line, Line)]

    def end(self) -> None:
        self.world.broker.watching.untrace(self.trace)


@EVERY_VERSION
@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_is_seen_coming_in_and_going_out(version: Version, qos: int) -> None:
    world = World()
    reader, writer = world.connected("reader", version), world.connected("writer", version)
    reader.subscribe("a/+", qos)
    writer.publish("a/b", b"before", qos)
    watch = Watch(world, "a/#")
    packet_id = writer.publish("a/b", b"seen", qos)
    writer.publish("x/y", b"another", qos)
    came, went = watch.documents()
    assert came == {
        "what": "in",
        "via": "client",
        "client": "writer",
        "topic": "a/b",
        "qos": qos,
        "retain": False,
        "dup": False,
        "packet_id": packet_id or None,
        "bytes": 4,
        "payload": "seen",
        "payload_hex": None,
        "alias": None,
        "identifiers": [],
        "expires_s": None,
        "detail": "",
    }
    sent = reader.messages()[-1]
    assert went == came | {
        "what": "out",
        "client": "reader",
        "packet_id": sent.packet_id or None,
    }
    watch.end()
    writer.publish("a/b", b"after", qos)
    assert watch.told() == []
    assert reader.payloads() == [b"after"]


@EVERY_VERSION
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("reader_is_old", [False, True])
def test_who_is_watched_gets_the_same_as_ever(
    version: Version, qos: int, reader_is_old: bool
) -> None:
    def run(watched: bool) -> tuple[list[bytes], bytes]:
        world = World()
        reader = world.connected("reader", V311 if reader_is_old else version)
        reader.subscribe("#", qos)
        writer = world.connected("writer", version)
        if watched:
            Watch(world)
        payloads = [b"%d" % number for number in range(20)]
        writer.send(
            *(Publish("t", p, qos, False, False, qos and i + 1) for i, p in enumerate(payloads))
        )
        if qos == 2:
            writer.send(*(PubRel(i + 1) for i in range(20)))
        answers = writer.connection.outbox.take()
        assert world.broker.vitals.messages_in == 20
        return reader.acknowledge(), answers

    assert run(watched=True) == run(watched=False)


def test_only_the_topics_that_are_watched_take_the_long_road() -> None:
    world = World()
    reader, writer = world.connected("reader"), world.connected("writer")
    reader.subscribe("#")
    watch = Watch(world, "a/#")
    writer.publish("a/b")
    writer.publish("b/c")
    cache = world.broker.state.routes.cache
    assert topic_field("b/c") in cache and topic_field("a/b") not in cache
    watch.end()
    writer.publish("a/b")
    assert topic_field("a/b") in cache
    assert world.broker.state.traces is None
    assert reader.connection.outbox.tap is None


def test_who_connects_later_is_seen_too() -> None:
    world = World()
    watch = Watch(world)
    reader = world.connected("late")
    reader.subscribe("t")
    world.connected("w").publish("t")
    assert watch.told() == ["in w", "out late"]


def test_qos_2_comes_in_with_its_first_packet_and_goes_out_when_it_is_released() -> None:
    world = World()
    reader, writer = world.connected("reader"), world.connected("writer")
    reader.subscribe("t", 2)
    watch = Watch(world)
    packet_id = writer.publish("t", qos=2)
    assert watch.told() == ["in writer"]
    writer.publish("t", qos=2, packet_id=packet_id, dup=True)
    assert [line["dup"] for line in watch.documents()] == [True]
    writer.send(PubRel(packet_id))
    assert watch.told() == ["out reader"]


def test_what_a_client_gets_again_is_marked() -> None:
    world = World()
    reader = world.connected("r", clean=False, **STAYS)
    reader.subscribe("t", 1)
    world.connected("w").publish("t", b"1", 1)
    reader.lose()
    watch = Watch(world)
    world.connected("r", clean=False, **STAYS)
    (line,) = watch.documents()
    assert (line["what"], line["dup"], line["payload"]) == ("out", True, "1")


def test_what_waits_and_what_is_lost_is_told_with_the_reason() -> None:
    world = World(MqttSection(queue_messages_max=1))
    away = world.connected("away", clean=False, **STAYS)
    away.subscribe("t", 1)
    away.lose()
    writer = world.connected("w")
    watch = Watch(world)
    writer.publish("t", qos=1)
    assert watch.told() == ["in w", "waits away (its client is away)"]
    writer.publish("t", qos=1)
    assert watch.told() == ["in w", "lost away (its queue is full)"]
    writer.publish("t", qos=0)
    assert watch.told() == ["in w", "lost away (its client is away)"]
    narrow = world.connected("narrow", receive_maximum=1)
    narrow.subscribe("n", 1)
    narrow_watch = ["in w", "waits narrow (its client has not acknowledged what came before)"]
    writer.publish("n", qos=1)
    assert watch.told() == ["in w", "out narrow"]
    writer.publish("n", qos=1)
    assert watch.told() == narrow_watch
    world.broker.congested(narrow.connection, True, world.now)
    writer.publish("n", qos=0)
    assert watch.told() == ["in w", "lost narrow (its client reads too slowly)"]


def test_qos_0_that_is_kept_waits() -> None:
    world = World(MqttSection(queue_full="drop-qos0-first", queue_messages_max=1))
    away = world.connected("away", clean=False, **STAYS)
    away.subscribe("t")
    away.lose()
    watch = Watch(world)
    writer = world.connected("w")
    writer.publish("t")
    writer.publish("t")
    assert watch.told() == [
        *("in w", "waits away (its client is away)"),
        *("in w", "lost away (its queue is full)"),
    ]
    world.connected("away", clean=False, **STAYS)
    assert watch.told() == ["out away"]


@pytest.mark.parametrize("qos", [0, 1])
def test_what_is_too_large_for_its_client_is_lost_and_said_once(qos: int) -> None:
    world = World()
    small = world.connected("small", maximum_packet_size_bytes=40)
    small.subscribe("t", 1)
    watch = Watch(world)
    world.connected("w").publish("t", bytes(100), qos)
    assert watch.told() == ["in w", "lost small (it is larger than its client takes)"]


def test_what_expires_while_it_waits_is_lost() -> None:
    world = World()
    reader = world.connected("r", clean=False, **STAYS)
    reader.subscribe("t", 1)
    reader.lose()
    watch = Watch(world)
    world.connected("w").publish("t", qos=1, message_expiry_interval_s=5)
    came, _ = watch.documents()
    assert came["expires_s"] == 5
    world.pass_s(6)
    world.connected("r", clean=False, **STAYS)
    assert watch.told() == ["lost r (it expired while it waited)"]


def test_a_refusal_is_told_with_its_reason() -> None:
    world = World()
    world.broker.admission.rules_changed(
        Access((rule("deny everybody write secret/#"),)), world.now
    )
    writer = world.connected("w")
    watch = Watch(world)
    writer.publish("secret/x", qos=1)
    assert watch.told() == ["in w", "refused w (a rule forbids to publish to this topic)"]


def test_a_disk_that_takes_nothing_is_named() -> None:
    world = KeptWorld()
    subscribed(world, persistent(world, "s"), "t", 1)
    writer = world.connected("w")
    watch = Watch(world)
    world.refuse("the disk is full; make room")
    writer.publish("t", qos=1)
    assert watch.told() == ["in w", "refused w (the disk is full; make room)"]


def test_a_retained_store_that_is_full_is_named() -> None:
    world = World(MqttSection(retained_messages_max=1))
    writer = world.connected("w")
    watch = Watch(world)
    writer.publish("a", qos=1, retain=True)
    writer.publish("b", qos=1, retain=True)
    assert watch.told() == ["in w", "in w", "refused w (no more messages can be retained)"]


def test_properties_of_5_0_are_shown() -> None:
    world = World()
    reader = world.connected("r")
    reader.send(Subscribe(1, (Subscription("t", 0),), Properties(subscription_identifiers=(7,))))
    watch = Watch(world)
    world.connected("w").publish("t", topic_alias=3)
    came, went = watch.documents()
    assert (came["alias"], came["identifiers"]) == (3, [])
    assert (went["alias"], went["identifiers"]) == (None, [7])


def test_what_is_retained_is_seen_going_to_a_new_subscription() -> None:
    world = World()
    writer = world.connected("w")
    writer.publish("t", b"kept", retain=True)
    watch = Watch(world, "t")
    world.connected("r").subscribe("#")
    (line,) = watch.documents()
    assert (line["what"], line["client"], line["retain"]) == ("out", "r", True)


def test_a_will_is_seen() -> None:
    world = World()
    watch = Watch(world)
    world.connected("w", will=Will("t", b"gone", 0, False)).lose()
    assert watch.told() == ["in w (its will)"]


def test_a_shared_subscription_is_named() -> None:
    world = World()
    member = world.connected("m", clean=False, **STAYS)
    member.subscribe("$share/g/t")
    writer = world.connected("w")
    watch = Watch(world)
    writer.publish("t")
    assert watch.told() == ["in w", "out m ($share/g/t)"]
    member.lose()
    writer.publish("t")
    assert watch.told() == ["in w", "lost $share/g/t (no member could take it)"]


def test_what_goes_to_other_gateways_and_comes_from_them_is_seen() -> None:
    world = World(elsewhere=OneElsewhere("t"))
    world.connected("r").subscribe("#")
    watch = Watch(world)
    world.connected("w").publish("t")
    _, here, there = watch.documents()
    assert [here["client"], here["via"]] == ["r", "client"]
    assert [there["what"], there["via"], there["client"]] == ["out", "mesh", "w"]
    assert there["detail"] == "to 1 gateway"

    def message(topic: str) -> Message:
        return Message(topic, topic_field(topic), b"x", 1, publisher="far")

    stamp = Stamp(9_000_000, 1, "gw2")
    world.broker.arrived([message("a")], Arrival(), world.now)
    world.broker.arrived([message("b"), message("b")], Arrival(), world.now)
    world.broker.caught_up(message("c"), stamp, world.now)
    seen = [(line["what"], line["via"], line["client"]) for line in watch.documents()]
    assert seen == [("in", "mesh", "far"), ("out", "client", "r")] * 4
    watch.end()
    narrow = Watch(world, "only/this")
    world.broker.arrived([message("b"), message("b")], Arrival(), world.now)
    assert narrow.told() == []
    assert world.broker.vitals.messages_out == 1 + 4 + 2


def test_one_client_can_be_watched() -> None:
    world = World()
    for name in ("r", "other"):
        world.connected(name).subscribe("t")
    watch = Watch(world, client="r")
    world.connected("w").publish("t")
    assert watch.told() == ["out r"]


def test_the_broker_s_own_topics_are_seen_only_by_name() -> None:
    world = World()
    world.connected("r").subscribe("$SYS/broker/uptime")
    every, own = Watch(world, "#", "+/broker/#"), Watch(world, "$SYS/#")
    world.pass_s(11)
    assert every.told() == []
    assert own.told() == ["out r"]


def test_filters_that_overlap_show_a_message_once() -> None:
    world = World()
    watch = Watch(world, "t/#", "t/+", "t/a", "t/a")
    world.connected("w").publish("t/a")
    assert watch.told() == ["in w"]


def test_traces_do_not_see_each_other_s_topics() -> None:
    world = World()
    one, two = Watch(world, "a"), Watch(world, "b", "a")
    writer = world.connected("w")
    writer.publish("a")
    writer.publish("b")
    assert (len(one.told()), len(two.told())) == (1, 2)
    one.end()
    writer.publish("a")
    assert (one.told(), len(two.told())) == ([], 1)


def test_there_are_not_more_than_a_few_traces() -> None:
    world = World()
    watches = [Watch(world) for _ in range(TRACES_MAX)]
    more = Trace(("#",), "", lambda: None)
    assert not world.broker.watching.trace(more)
    watches[0].end()
    assert world.broker.watching.trace(more)
    assert len(world.broker.watching) == TRACES_MAX


def publish_many(writer: Client, count: int, topic: str = "t", payload: bytes = b"x") -> None:
    writer.send(*(Publish(topic, payload) for _ in range(count)))


def test_a_slow_reader_loses_lines_and_is_told_how_many_and_where() -> None:
    world = World()
    watch = Watch(world)
    writer = world.connected("w")
    publish_many(writer, LINES_MAX + 5)
    first = watch.trace.take()
    assert isinstance(first, Line)
    writer.publish("late")
    lines = watch.lines()
    assert len(lines) == LINES_MAX + 1
    assert lines[-2] == 5
    assert isinstance(lines[-1], Line) and lines[-1].topic == "late"
    publish_many(writer, LINES_MAX + 7)
    assert watch.lines()[-1] == 7  # also when nothing more comes
    assert watch.lines() == []


def test_lines_of_long_topics_are_bounded_in_bytes() -> None:
    world = World()
    watch = Watch(world)
    publish_many(world.connected("w"), 40, "x" * 60_000)
    *lines, lost = watch.lines()
    assert isinstance(lost, int) and lost + len(lines) == 40
    assert LINES_BYTES_MAX / 2 < 60_000 * len(lines) <= LINES_BYTES_MAX


def test_a_reader_is_woken() -> None:
    world = World()
    watch = Watch(world, "t")
    writer = world.connected("w")
    writer.publish("x")
    assert watch.woken == 0
    writer.publish("t")
    assert watch.woken == 1


@pytest.mark.parametrize(
    ("payload", "text", "digits"),
    [
        (b"", "", None),
        (b"21.5", "21.5", None),
        ("Gr\u00f6\u00dfe \u2603".encode(), "Gr\u00f6\u00dfe \u2603", None),
        (b'{\n\t"a": 1\r\n}', '{\n\t"a": 1\r\n}', None),
        (b"\x00\x01\xff", None, "0001ff"),
        (b"abc\x1b[2J", None, "6162631b5b324a"),
        (b"cut \xe2\x98", None, "63757420e298"),
        (b"a" * 500, "a" * PAYLOAD_BYTES_MAX, None),
        (b"a" * (PAYLOAD_BYTES_MAX - 1) + "\u2603".encode(), "a" * (PAYLOAD_BYTES_MAX - 1), None),
        (b"\xff" * 500, None, "ff" * PAYLOAD_BYTES_MAX),
        (
            b"a" * (PAYLOAD_BYTES_MAX - 2) + b"\xffa" + b"a",
            None,
            "61" * (PAYLOAD_BYTES_MAX - 2) + "ff61",
        ),
    ],
)
def test_a_payload_is_shortened_and_readable(
    payload: bytes, text: str | None, digits: str | None
) -> None:
    world = World()
    watch = Watch(world)
    writer = world.connected("w")
    writer.publish("t", payload)
    writer.publish("t", payload)
    (shown,) = [line.document(True) for line in watch.lines()[:1]]  # type: ignore[union-attr]
    assert (shown["payload"], shown["payload_hex"], shown["bytes"]) == (text, digits, len(payload))


def test_payloads_can_be_left_out() -> None:
    world = World()
    watch = Watch(world)
    world.connected("w").publish("t", b"secret")
    (shown,) = watch.documents(payload=False)
    assert (shown["payload"], shown["payload_hex"], shown["bytes"]) == (None, None, 6)
