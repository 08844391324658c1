"""The table of rows: what is measured, in which unit, and which ratio to Mosquitto is the least.

A new row is a new entry here; a new kind of load is a function of (Running, Timing) that returns a
Round.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench import idle
from bench.brokers import Running
from bench.many import Many, ManyRun
from bench.measure import Round, Timing
from bench.stream import Stream, StreamRun

Measure = Callable[[Running, Timing], Round]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str  # as in --rows
    title: str
    measure: Measure
    brokers: int = 1
    unit: str = "msg/s"
    at_least: float | None = None  # ours / Mosquitto's
    at_most: float | None = None  # ours, in the unit, where less is better
    share_of: str = ""  # another row of the same run, of which ours is to reach
    share_least: float = 0.0

    @property
    def is_rate(self) -> bool:
        """Whether there is load, thus a generator that must prove itself."""
        return self.unit == "msg/s"


def _stream(load: Stream) -> Measure:
    def measure(running: Running, timing: Timing) -> Round:
        run = StreamRun(load, running.doors[0], running.doors[-1])
        try:
            return run.run(timing, running.pids)
        finally:
            run.close()

    return measure


def _many(load: Many) -> Measure:
    def measure(running: Running, timing: Timing) -> Round:
        run = ManyRun(load, running.doors[0])
        try:
            return run.run(timing, running.pids)
        finally:
            run.close()

    return measure


def _memory(running: Running, _: Timing) -> Round:
    return idle.memory_mb(running.pids[0], running.doors[0])


def _connection(running: Running, _: Timing) -> Round:
    return idle.connection_kb(running.pids[0], running.doors[0])


ROWS = (
    Row("qos0", "QoS 0, one to one", _stream(Stream(0)), at_least=5),
    Row("qos1", "QoS 1, one to one, window 100", _stream(Stream(1)), at_least=4),
    Row("qos2", "QoS 2, one to one, window 100", _stream(Stream(2)), at_least=4),
    Row(
        "kept",
        "QoS 1 to a kept session, connected",
        _stream(Stream(1, kept=True)),
        share_of="qos1",
        share_least=0.4,
    ),
    Row(
        "kept-away",
        "QoS 1 to a kept session, away",
        _stream(Stream(1, kept=True, away=True)),
        share_of="qos1",
        share_least=0.4,
    ),
    Row("fanout", "QoS 0, one to twenty", _stream(Stream(0, subscribers=20)), at_least=10),
    Row("many", "500 publishers, window 1, heard", _many(Many()), at_least=1),
    Row("many-unheard", "500 publishers, window 1, unheard", _many(Many(heard=False)), at_least=1),
    Row("two-qos0", "QoS 0 across two brokers", _stream(Stream(0)), brokers=2, at_least=1),
    Row("two-qos1", "QoS 1 across two brokers", _stream(Stream(1)), brokers=2, at_least=2),
    Row("two-qos2", "QoS 2 across two brokers", _stream(Stream(2)), brokers=2, at_least=1),
    Row("memory", "idle memory", _memory, unit="MB", at_most=40),
    Row("connection", "memory of an idle connection", _connection, unit="kB", at_most=3),
)
