"""The state machine of a port, without a port."""

from collections.abc import Callable
from random import Random

import pytest

from gateway.config import SerialPort
from gateway.devices.events import (
    ClosePort,
    Lost,
    Note,
    Opened,
    OpenFailed,
    OpenPort,
    Ordered,
    PortEffect,
    Reading,
    Received,
    Stop,
    WriteToPort,
    Written,
)
from gateway.devices.port import COMMANDS_MAX, RETRY_FIRST_S, RETRY_MOST_S, Port, PortState

CONFIG = SerialPort("p", path="/dev/p", format="text", line_bytes_max=64)


class Bench:
    """A port and a clock."""

    def __init__(self, config: SerialPort = CONFIG) -> None:
        self.port = Port(config, Random(1))
        self.now = 0.0

    def effects(self) -> list[PortEffect]:
        """Without the notes."""
        return [effect for effect in self.port.drain() if not isinstance(effect, Note)]

    def published(self) -> list[bytes]:
        return [effect.payload for effect in self.port.drain() if isinstance(effect, Reading)]

    def notes(self) -> list[str]:
        return [effect.text for effect in self.port.drain() if isinstance(effect, Note)]

    def open(self) -> None:
        self.now = max(self.now, self.port.deadline())
        self.port.wake(self.now)
        self.port.receive(Opened("p", "/dev/p"), self.now)
        self.port.drain()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def opened(bench: Bench) -> Bench:
    bench.open()
    return bench


def test_it_opens_at_once_and_reads(bench: Bench) -> None:
    assert bench.port.deadline() <= bench.now
    bench.port.wake(0.0)
    assert bench.effects() == [OpenPort("p")]
    bench.port.receive(Opened("p", "/dev/p"), 0.0)
    bench.port.receive(Received("p", b"one\ntw"), 1.0)
    bench.port.receive(Received("p", b"o\n"), 2.0)
    assert bench.published() == [b"one", b"two"]
    assert bench.port.status.state is PortState.OPEN
    assert (bench.port.status.readings, bench.port.status.last_reading_at) == (2, 2.0)


def test_it_tries_again_later_and_later_but_never_rarer_than_the_most(bench: Bench) -> None:
    delays = []
    for _ in range(10):
        bench.now = max(bench.now, bench.port.deadline())
        bench.port.wake(bench.now)
        assert bench.effects() == [OpenPort("p")]
        bench.port.receive(OpenFailed("p", missing=True, detail="gone"), bench.now)
        delays.append(bench.port.deadline() - bench.now)
    assert 0.5 * RETRY_FIRST_S <= delays[0] <= RETRY_FIRST_S
    assert 0.5 * RETRY_MOST_S <= delays[-1] <= RETRY_MOST_S
    assert delays[:4] == sorted(delays[:4])


def test_it_does_not_try_while_it_is_trying(bench: Bench) -> None:
    bench.port.wake(0.0)
    bench.port.wake(100.0)
    assert bench.effects() == [OpenPort("p")]
    assert bench.port.deadline() == float("inf")


def test_a_state_is_noted_once_however_often_it_is_met(bench: Bench) -> None:
    for missing in (True, True, True, False, False):
        bench.port.wake(bench.port.deadline())
        bench.port.receive(OpenFailed("p", missing, "no"), bench.now)
    assert bench.notes() == [
        "serial port p: missing: /dev/p: no",
        "serial port p: error: /dev/p: no",
    ]


def test_a_cut_line_is_not_joined_with_the_next_device(opened: Bench) -> None:
    opened.port.receive(Received("p", b"half"), 10.0)
    opened.port.receive(Lost("p", "gone"), 10.0)
    assert opened.effects() == [ClosePort("p")]
    assert opened.port.status.state is PortState.MISSING
    opened.open()
    opened.port.receive(Received("p", b"whole\n"), 20.0)
    assert opened.published() == [b"whole"]


def test_a_port_that_wobbles_is_tried_ever_more_rarely(bench: Bench) -> None:
    delays = []
    for _ in range(6):
        bench.open()
        bench.port.receive(Lost("p", "gone"), bench.now)
        delays.append(bench.port.deadline() - bench.now)
    assert delays[-1] > 3.0
    bench.open()
    bench.port.receive(Lost("p", "gone"), bench.now + 60.0)
    assert bench.port.deadline() <= bench.now + 60.0 + RETRY_FIRST_S


def test_bad_lines_are_counted_one_by_one_and_noted_once_a_minute(opened: Bench) -> None:
    for second in range(59):
        opened.port.receive(Received("p", b"\xff\n" + b"x" * 65 + b"\n"), float(second))
    assert opened.port.status.errors == 118
    assert opened.port.status.state is PortState.OPEN
    assert len(opened.notes()) == 1
    opened.port.receive(Received("p", b"\xff\n"), 60.0)
    assert "119 errors" in opened.notes()[0]


def test_commands_are_written_one_after_the_other(opened: Bench) -> None:
    opened.port.receive(Ordered("p", b"a"), 1.0)
    opened.port.receive(Ordered("p", b"b"), 1.0)
    assert opened.effects() == [WriteToPort("p", b"a\n")]
    opened.port.receive(Written("p"), 2.0)
    assert opened.effects() == [WriteToPort("p", b"b\n")]
    opened.port.receive(Written("p"), 3.0)
    opened.port.receive(Ordered("p", b"c"), 3.0)
    assert opened.effects() == [WriteToPort("p", b"c\n")]
    assert opened.port.status.errors == 0


def too_many(bench: Bench) -> None:
    for _ in range(COMMANDS_MAX + 1 + 1):  # one is being written, and one is too many
        bench.port.receive(Ordered("p", b"x"), 1.0)


def too_long(bench: Bench) -> None:
    bench.port.receive(Ordered("p", b"x" * 65), 1.0)


def lost_in_mid_write(bench: Bench) -> None:
    bench.port.receive(Ordered("p", b"x"), 1.0)
    bench.port.receive(Lost("p", "gone"), 1.0)


def came_while_away(bench: Bench) -> None:
    bench.port.receive(Lost("p", "gone"), 1.0)
    bench.port.receive(Ordered("p", b"x"), 1.0)


@pytest.mark.parametrize("story", [too_many, too_long, lost_in_mid_write, came_while_away])
def test_a_command_that_is_not_written_is_counted(
    opened: Bench, story: Callable[[Bench], None]
) -> None:
    story(opened)
    assert opened.port.status.errors == 1


def test_no_command_outlives_the_port_that_it_was_meant_for(opened: Bench) -> None:
    opened.port.receive(Ordered("p", b"first"), 1.0)
    opened.port.receive(Ordered("p", b"second"), 1.0)
    opened.port.receive(Lost("p", "gone"), 1.0)
    opened.port.drain()
    opened.open()
    assert opened.effects() == []
    opened.port.receive(Ordered("p", b"third"), 2.0)
    assert opened.effects() == [WriteToPort("p", b"third\n")]


def test_after_the_stop_nothing_happens_any_more(opened: Bench) -> None:
    opened.port.receive(Stop(), 1.0)
    assert opened.effects() == [ClosePort("p")]
    opened.port.receive(Received("p", b"late\n"), 9.0)
    opened.port.wake(1e9)
    assert opened.port.drain() == []
    assert opened.port.status.state is PortState.OFFLINE
    assert opened.port.deadline() == float("inf")
