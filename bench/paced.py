"""Messages at a steady pace from one broker to another, and how long each was on its way.

The pace is kept whether or not the messages before have arrived, and a message's time counts from the
moment at which it was due: a broker that stops for a while delays all that was due meanwhile. A
generator that is late delays them, too, the same for every broker. Knows packets; must not know
rows.
"""

import select
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import route, wire
from bench.latency import Delays
from bench.measure import Meter, Round, Timing
from bench.numbers import Laps, Tally
from bench.stream import Address, Publisher
from bench.wire import Connection

BUFFER_BYTES = 1 << 16
NAME = "bench-arrives"


@dataclass(frozen=True, slots=True)
class Pace:
    """So many messages a second at that QoS (0 or 1), to a session that is kept or not."""

    qos: int = 1
    per_s: int = 500
    kept: bool = False
    topic: str = "bench/paced"


class Arrivals:
    """The subscriber: counts what came, and times it."""

    def __init__(self, connection: Connection, laps: Laps) -> None:
        self.connection = connection
        self.tally = Tally()
        self.numbers: list[int] = []  # that came since somebody looked
        self._laps = laps
        self._buffer = bytearray(BUFFER_BYTES)
        self._held = 0

    def receive(self) -> None:
        """Takes what came, and acknowledges it. Raises BrokerError for what nobody asked for."""
        end = self._held + self.connection.receive_into(memoryview(self._buffer)[self._held :])
        done = 0
        for run in wire.runs(self._buffer, end):
            done = run.start + run.count * run.size
            if run.first >> 4 != wire.PUBLISH >> 4 or run.size != self._laps.size:
                raise wire.BrokerError(f"a packet of type {run.first:#04x} came among messages")
            for start in range(run.start, done, run.size):
                number = self._laps.number(self._buffer[start : start + run.size])
                self.tally.one(number)
                self.numbers.append(number)
            if run.first >> 1 & 3:
                answer = wire.answers(wire.PUBACK, self._buffer, run, self._laps.id_offset)
                self.connection.send(answer)
        self._held = end - done
        self._buffer[: self._held] = self._buffer[done:end]


class PacedRun:
    """One round of a Pace."""

    def __init__(self, load: Pace, publish_at: Address, subscribe_at: Address) -> None:
        assert load.qos in (0, 1)
        self._load = load
        self._stack = ExitStack()
        laps = Laps(load.topic, load.qos)
        if load.kept:
            Connection(subscribe_at, NAME).close()  # begins with an empty session
            self._stack.callback(lambda: Connection(subscribe_at, NAME).close())
        far = Connection(subscribe_at, NAME, load.kept)
        self._stack.callback(far.close)
        far.subscribe(load.topic, load.qos)
        near = Connection(publish_at, "bench-leaves")
        self._stack.callback(near.close)
        if publish_at != subscribe_at:
            route.await_route(near, far, load.topic, load.qos)
        for connection in (near, far):
            connection.go()
        self._publisher = Publisher(near, laps)
        self._arrivals = Arrivals(far, laps)
        self._way, self._answers = Delays(), Delays()
        self._begun = 0.0
        self._timed = self._unmeasured = 0

    def close(self) -> None:
        self._stack.close()

    def run(self, timing: Timing, pids: Sequence[int]) -> Round:
        """The p99 on the way, in milliseconds; medians are among the details."""
        count = int(self._load.per_s * (timing.warm_up_s + timing.seconds))
        self._unmeasured = int(self._load.per_s * timing.warm_up_s)
        publisher, meter = self._publisher, Meter(pids)
        self._begun = time.monotonic()
        while publisher.published < count:
            self._turn(self._due(publisher.published))
            if self._due(publisher.published) <= time.monotonic():
                publisher.publish(1)
        spent = meter.read()
        until = time.monotonic() + timing.drain_s
        while not self._complete() and time.monotonic() < until:
            self._turn(until)
        result = self._judge()
        result.seconds = spent.wall
        result.broker_cpu = spent.brokers / spent.wall
        return result

    def _due(self, number: int) -> float:
        return self._begun + number / self._load.per_s

    def _turn(self, until: float) -> None:
        """Takes what comes until then, once."""
        near, far = self._publisher.connection.socket, self._arrivals.connection.socket
        wait_s = max(0.0, until - time.monotonic())
        readable = select.select([near, far], [], [], wait_s)[0]
        if far in readable:
            self._arrivals.receive()
            now = time.monotonic()
            for number in self._arrivals.numbers:
                self._time(self._way, number, now)
            self._arrivals.numbers.clear()
        if near in readable:
            self._publisher.receive()
            now = time.monotonic()
            for number in range(self._timed, self._publisher.acknowledged):
                self._time(self._answers, number, now)
            self._timed = self._publisher.acknowledged

    def _time(self, delays: Delays, number: int, now: float) -> None:
        if number >= self._unmeasured:
            delays.add(now - self._due(number))

    def _complete(self) -> bool:
        published = self._publisher.published
        acknowledged = self._publisher.acknowledged if self._load.qos else published
        return acknowledged == published and not self._arrivals.tally.missing(published)

    def _judge(self) -> Round:
        publisher, tally = self._publisher, self._arrivals.tally
        details = {"p50, ms": self._way.median_ms, "longest, ms": self._way.longest_ms}
        if self._load.qos:
            details["PUBACK p50, ms"] = self._answers.median_ms
            details["PUBACK p99, ms"] = self._answers.p99_ms
        result = Round(self._way.p99_ms, details=details)
        result.published, result.received = publisher.published, tally.received
        result.missing, result.duplicates = tally.missing(publisher.published), tally.duplicates
        result.late = tally.late
        if self._load.qos and publisher.acknowledged < publisher.published:
            unanswered = publisher.published - publisher.acknowledged
            result.remarks.append(f"{unanswered} messages never acknowledged")
        return result
