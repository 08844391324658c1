"""The whole of gateway-devices without the world."""

import json
from random import Random
from typing import Any

import pytest

from gateway.config import SerialPort
from gateway.devices.events import (
    Acknowledged,
    BrokerConnected,
    BrokerLost,
    ClosePort,
    Command,
    Connect,
    Effect,
    Finished,
    Input,
    Lost,
    Message,
    Note,
    Opened,
    OpenPort,
    Received,
    Stop,
    WriteToPort,
)
from gateway.devices.outbox import IN_FLIGHT_MAX, Outbox
from gateway.devices.station import RECONNECT_FIRST_S, RECONNECT_MOST_S, Station

PORTS = (
    SerialPort("a", path="/dev/a", format="text"),
    SerialPort("b", path="/dev/b", format="text", qos=0, topic="{gateway}/b"),
)
STATUS = "gateways/box/devices"


class Bench:
    """A station with both ports open, and what it asks for."""

    def __init__(self, outbox: Outbox | None = None) -> None:
        self.station = Station("box", PORTS, 1000, Random(1), outbox)
        self.now = 100.0
        self.station.wake(self.now)
        assert self.effects() == [Connect(), OpenPort("a"), OpenPort("b")]
        for name in "ab":
            self.receive(Opened(name, f"/dev/{name}"))
        self.effects()

    def receive(self, item: Input) -> None:
        self.station.receive(item, self.now)

    def effects(self) -> list[Effect]:
        return [effect for effect in self.station.drain() if not isinstance(effect, Note)]

    def notes(self) -> list[str]:
        return [effect.text for effect in self.station.drain() if isinstance(effect, Note)]

    def sent(self, acknowledge: bool = False) -> list[str]:
        """The readings sent since last asked."""
        sent = [e for e in self.effects() if isinstance(e, Message) and e.topic != STATUS]
        for message in sent if acknowledge else ():
            self.receive(Acknowledged(message.serial))
        return [message.payload.decode() for message in sent]

    def told(self) -> list[dict[str, Any]]:
        """The status documents sent since last asked."""
        sent = [e for e in self.effects() if isinstance(e, Message) and e.topic == STATUS]
        assert all(message.retain and message.qos == 1 for message in sent)
        return [json.loads(message.payload) for message in sent]

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.station.deadline() <= until:
            self.now = max(self.now, self.station.deadline())
            self.station.wake(self.now)
        self.now = until


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def connected(bench: Bench) -> Bench:
    bench.receive(BrokerConnected())
    bench.told()
    return bench


def test_a_reading_goes_to_the_topic_of_its_port(connected: Bench) -> None:
    connected.receive(Received("a", b"1\n"))
    connected.receive(Received("b", b"2\n"))
    first, second = connected.effects()
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert (first.topic, first.qos, first.payload) == ("gateways/box/serial/a", 1, b"1")
    assert (second.topic, second.qos, second.payload) == ("box/b", 0, b"2")


def test_what_was_read_before_the_broker_came_follows_in_order(bench: Bench) -> None:
    bench.receive(Received("a", b"1\n2\n"))
    bench.receive(Received("b", b"3\n"))
    assert bench.sent() == []
    bench.receive(BrokerConnected())
    assert bench.sent() == ["1", "2", "3"]


def test_several_are_in_flight_and_an_answer_lets_the_next_one_go(connected: Bench) -> None:
    connected.receive(Received("a", b"x\n" * (IN_FLIGHT_MAX + 5)))
    messages = connected.effects()
    assert len(messages) == IN_FLIGHT_MAX
    assert isinstance(messages[7], Message)
    connected.receive(Acknowledged(messages[7].serial))
    assert len(connected.sent()) == 1


def test_what_was_not_acknowledged_is_sent_again_before_the_rest(connected: Bench) -> None:
    connected.receive(Received("a", b"1\n2\n3\n"))
    messages = connected.effects()
    assert isinstance(messages[1], Message)
    connected.receive(Acknowledged(messages[1].serial))
    connected.receive(BrokerLost("gone"))
    connected.receive(Received("a", b"4\n"))
    assert connected.sent() == []
    connected.receive(BrokerConnected())
    assert connected.sent() == ["1", "3", "4"]


def test_too_many_readings_lose_the_oldest_and_their_port_counts_them() -> None:
    bench = Bench(Outbox(messages_max=3))
    bench.receive(Received("a", b"1\n2\n"))
    bench.receive(Received("b", b"3\n4\n5\n"))
    bench.receive(BrokerConnected())
    (document,) = [json.loads(e.payload) for e in bench.effects()[:1] if isinstance(e, Message)]
    assert [port["errors"] for port in document["ports"]] == [2, 0]
    assert "2 dropped" in document["ports"][0]["detail"]


def test_a_reading_that_the_broker_would_refuse_for_ever_is_not_sent(connected: Bench) -> None:
    connected.receive(Received("a", b"x" * 990 + b"\nok\n"))
    assert connected.sent() == ["ok"]
    connected.pass_time(5)
    assert connected.told()[-1]["ports"][0]["errors"] == 1


def test_the_broker_is_tried_again_and_its_loss_noted_once(connected: Bench) -> None:
    waits = []
    for _ in range(12):
        connected.receive(BrokerLost("gone"))
        waits.append(connected.station.deadline() - connected.now)
        connected.pass_time(waits[-1])
    effects = connected.station.drain()
    assert sum(isinstance(effect, Connect) for effect in effects) == 12
    assert [e.text for e in effects if isinstance(e, Note)] == [
        "no broker, readings wait in memory: gone"
    ]
    assert 0 < waits[0] < 0.5
    assert RECONNECT_MOST_S / 2 <= waits[-1] <= RECONNECT_MOST_S


def test_a_connection_that_held_is_tried_again_soon(connected: Bench) -> None:
    for _ in range(8):
        connected.receive(BrokerLost("gone"))
    connected.receive(BrokerConnected())
    connected.pass_time(60)
    connected.receive(BrokerLost("gone"))
    assert connected.station.deadline() <= connected.now + RECONNECT_FIRST_S


def test_the_status_takes_the_place_of_the_will_after_each_reconnect(connected: Bench) -> None:
    connected.receive(BrokerLost("gone"))
    connected.receive(BrokerConnected())
    (document,) = connected.told()
    assert document["online"] is True


def test_the_status_is_told_on_connecting_and_then_only_when_it_changes(bench: Bench) -> None:
    bench.receive(BrokerConnected())
    (document,) = bench.told()
    assert document["online"] is True
    assert [port["state"] for port in document["ports"]] == ["open", "open"]
    assert document["ports"][0]["last_reading_s"] is None
    bench.pass_time(3600)
    assert bench.told() == []


def test_counters_are_told_at_most_every_five_seconds(connected: Bench) -> None:
    documents = []
    for _ in range(220):
        connected.receive(Received("a", b"x\n"))
        connected.pass_time(0.1)
        documents += connected.told()
    assert len(documents) == 4
    assert documents[-1]["ports"][0]["last_reading_s"] < 5


def test_a_change_of_state_is_told_at_once(connected: Bench) -> None:
    connected.receive(Lost("b", "gone"))
    (document,) = connected.told()
    assert [port["state"] for port in document["ports"]] == ["open", "missing"]
    assert document["ports"][1]["detail"] == "gone"


def test_a_command_reaches_its_port_and_no_other(connected: Bench) -> None:
    assert connected.station.command_topics == (
        "gateways/box/serial/a/command",
        "gateways/box/serial/b/command",
    )
    connected.receive(Command("gateways/box/serial/b/command", b"go", replayed=False))
    assert connected.effects() == [WriteToPort("b", b"go\n")]
    connected.receive(Command("gateways/box/serial/c/command", b"go", replayed=False))
    connected.receive(Command("gateways/box/serial/a/command", b"go", replayed=True))
    assert connected.effects() == []


def test_the_end_waits_for_readings_on_their_way_and_then_says_goodbye(connected: Bench) -> None:
    connected.receive(Received("a", b"1\n"))
    (reading,) = connected.effects()
    assert isinstance(reading, Message)
    connected.receive(Stop())
    assert connected.effects() == [ClosePort("a"), ClosePort("b")]
    connected.receive(Acknowledged(reading.serial))
    (goodbye,) = connected.effects()
    assert isinstance(goodbye, Message)
    assert json.loads(goodbye.payload)["online"] is False
    assert connected.station.deadline() < connected.now + 5
    connected.receive(Acknowledged(goodbye.serial))
    assert connected.effects() == [Finished()]


def test_the_end_does_not_wait_for_ever(connected: Bench) -> None:
    connected.receive(Received("a", b"1\n"))
    connected.effects()
    connected.receive(Stop())
    connected.pass_time(1)
    connected.receive(Stop())
    connected.pass_time(2)
    effects = connected.effects()
    assert effects[-1] == Finished()
    assert effects.count(Finished()) == 1
    assert connected.station.deadline() == float("inf")


def test_the_end_comes_at_once_without_a_broker(bench: Bench) -> None:
    bench.receive(Received("a", b"1\n"))
    bench.receive(Stop())
    effects = bench.station.drain()
    assert effects[-1] == Finished()
    assert [effect.text for effect in effects if isinstance(effect, Note)] == [
        "1 readings were not delivered"
    ]


def test_the_will_says_that_nothing_is_known_any_more(bench: Bench) -> None:
    will = bench.station.will()
    assert (will.topic, will.retain, will.qos) == (STATUS, True, 1)
    document = json.loads(will.payload)
    assert document["online"] is False
    assert [port["state"] for port in document["ports"]] == ["offline", "offline"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"command_topic": "same"}, {"command_topic": "same"}),
        ({"topic": "loop"}, {"command_topic": "loop"}),
        ({"topic": "a/#"}, {}),
    ],
)
def test_topics_that_cannot_work_are_refused(first: dict[str, str], second: dict[str, str]) -> None:
    ports = (SerialPort("a", path="/a", **first), SerialPort("b", path="/b", **second))
    with pytest.raises(ValueError, match="topic"):
        Station("box", ports, 1000, Random(1))
