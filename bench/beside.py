"""Quiet clients beside a load: a flood, or messages that must reach a slow disk.

One loop serves the load and the probes, so that a probe's delay holds what a turn of the generator
takes, too; it is the same for every broker.
"""

import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from bench import account, wire
from bench.latency import Delays, Probe
from bench.measure import Phases, Round, Timing
from bench.numbers import Laps
from bench.stream import Address, Publisher
from bench.wire import Connection

POLL_S = 0.001
FLOOD_MESSAGES = 500  # handed to the socket at a time
SINK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """Messages at QoS 1 to a kept session that is away, so that every one must reach the disk."""

    window: int = 100
    stall_s: float = 0.0  # the disk stalls so long, once, in the middle of what is measured


class Flood:
    """One client that publishes at QoS 0 as fast as its socket takes it, and one that reads it."""

    def __init__(self, address: Address) -> None:
        self.sink = Connection(address, "bench-sink")
        self.sink.subscribe("bench/flood", 0)
        self.source = Connection(address, "bench-flood")
        frame = wire.publish("bench/flood", 0, 0, bytes(64))
        self._size = len(frame)
        self._batch = memoryview(frame * FLOOD_MESSAGES)
        self._room = memoryview(bytearray(SINK_BYTES))
        self._bytes = 0

    @property
    def delivered(self) -> int:
        """Messages that came out again."""
        return self._bytes // self._size

    def turn(self) -> None:
        """Sends more if the socket takes it."""
        self.source.flush()
        if self.source.idle:
            self.source.send(self._batch)

    def drink(self) -> None:
        self._bytes += self.sink.receive_into(self._room)


class Turns:
    """The poll object, probes, and what is called when a socket is readable."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._poll = select.epoll()
        self._probes = probes
        self._handlers: dict[int, Callable[[], object]] = {}
        for probe in probes:
            self.add(probe.connection, lambda probe=probe: probe.receive(time.monotonic()))

    def close(self) -> None:
        self._poll.close()

    def add(self, connection: Connection, handler: Callable[[], object], wanted: int = 0) -> None:
        connection.go()
        descriptor = connection.socket.fileno()
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.EPOLLIN | wanted)

    def turn(self) -> None:
        now = time.monotonic()
        for probe in self._probes:
            probe.turn(now)
        for descriptor, _ in self._poll.poll(POLL_S):
            self._handlers[descriptor]()


def quiet_beside_flood(address: Address, timing: Timing, pids: Sequence[int]) -> Round:
    """The p99 of a quiet client at QoS 1, in milliseconds, while another floods."""
    probe, flood = Probe(address, 1), Flood(address)
    connections = [probe.connection, flood.sink, flood.source]
    try:
        with closing(Turns([probe])) as turns:
            alone = _alone(turns, probe, timing)
            turns.add(flood.sink, flood.drink)
            turns.add(flood.source, flood.source.flush, select.EPOLLOUT | select.EPOLLET)
            result = _beside(turns, flood, probe, timing, pids)
    finally:
        for connection in connections:
            connection.close()
    result.details["p99 alone, ms"] = alone
    return result


def _alone(turns: Turns, probe: Probe, timing: Timing) -> float:
    end = time.monotonic() + timing.warm_up_s + timing.seconds / 2
    while time.monotonic() < end:
        turns.turn()
    return probe.delays.p99_ms


def _beside(turns: Turns, flood: Flood, probe: Probe, timing: Timing, pids: Sequence[int]) -> Round:
    phases = Phases(timing, pids)
    while phases.publishing(flood.delivered, time.monotonic()):
        if not phases.measuring:
            probe.delays.clear()
        flood.turn()
        turns.turn()
    probe.waited(time.monotonic())
    result = phases.result()
    result.details = {
        "the flood, msg/s": result.value,
        "median, ms": probe.delays.median_ms,
        "longest, ms": probe.delays.longest_ms,
    }
    result.value = probe.delays.p99_ms
    return result


class TimedPublisher:
    """A publisher, and how long its messages wait for their PUBACK."""

    def __init__(self, connection: Connection, laps: Laps) -> None:
        self.publisher = Publisher(connection, laps)
        self.delays = Delays()
        self._sent: deque[tuple[int, float]] = deque()  # published so many, at that time
        self._timed = 0

    def top_up(self, window: int, now: float) -> None:
        free = window - (self.publisher.published - self.publisher.acknowledged)
        if free:
            self.publisher.publish(free)
            self._sent.append((self.publisher.published, now))

    def receive(self) -> None:
        self.publisher.receive()
        now, acknowledged = time.monotonic(), self.publisher.acknowledged
        while self._timed < acknowledged:
            number, sent_at = self._sent[0]
            until = min(number, acknowledged)
            self.delays.add(now - sent_at, until - self._timed)
            self._timed = until
            if until == number:
                self._sent.popleft()


class KeptRun:
    """One round of a Kept, with a probe at QoS 0 and one at QoS 1 beside it."""

    def __init__(self, load: Kept, address: Address, control: Path) -> None:
        self._load = load
        self._control = control
        Connection(address, "bench-away").close()  # begins with an empty session
        away = Connection(address, "bench-away", kept=True)
        away.subscribe("bench/kept", 1)
        away.close()
        self._timed = TimedPublisher(
            Connection(address, "bench-publisher"), Laps("bench/kept", qos=1)
        )
        self._probes = [Probe(address, qos) for qos in (0, 1)]

    def close(self) -> None:
        self._timed.publisher.connection.close()
        for probe in self._probes:
            probe.connection.close()

    def run(self, timing: Timing, pids: Sequence[int]) -> Round:
        """The rate of PUBACKs; the delays are among the details."""
        longer_s = self._load.stall_s
        timing = replace(
            timing, seconds=timing.seconds + longer_s, stall_s=timing.stall_s + longer_s
        )
        publisher = self._timed.publisher
        before = account.read(self._control)
        with closing(Turns(self._probes)) as turns:
            turns.add(publisher.connection, self._timed.receive, select.EPOLLOUT | select.EPOLLET)
            result = self._measure(turns, timing, pids)
            self._drain(turns, timing)
        result.published, result.received = publisher.published, publisher.acknowledged
        result.details |= account.between(before, account.read(self._control), publisher.published)
        if publisher.disordered:
            result.remarks.append(f"{publisher.disordered} acknowledgements out of order")
        if publisher.acknowledged < publisher.published:
            unanswered = publisher.published - publisher.acknowledged
            result.remarks.append(f"{unanswered} messages never acknowledged")
        return result

    def _measure(self, turns: Turns, timing: Timing, pids: Sequence[int]) -> Round:
        phases = Phases(timing, pids)
        stall_at = time.monotonic() + timing.warm_up_s + (timing.seconds - self._load.stall_s) / 2
        stalling = self._load.stall_s > 0
        while phases.publishing(self._timed.publisher.acknowledged, now := time.monotonic()):
            if not phases.measuring:
                self._forget()
            if stalling and now >= stall_at:
                stalling = False
                os.kill(pids[0], signal.SIGUSR1)
            self._timed.top_up(self._load.window, now)
            turns.turn()
        result = phases.result()
        for name, delays in self._delays().items():
            result.details[f"{name} p99, ms"] = delays.p99_ms
            result.details[f"{name} longest, ms"] = delays.longest_ms
        return result

    def _delays(self) -> dict[str, Delays]:
        zero, one = (probe.delays for probe in self._probes)
        return {"PUBACK": self._timed.delays, "clean QoS 0": zero, "clean QoS 1": one}

    def _forget(self) -> None:
        for delays in self._delays().values():
            delays.clear()

    def _drain(self, turns: Turns, timing: Timing) -> None:
        end = time.monotonic() + timing.drain_s
        publisher = self._timed.publisher
        while publisher.acknowledged < publisher.published and time.monotonic() < end:
            turns.turn()
