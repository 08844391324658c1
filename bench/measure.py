"""What one round of a row measured, and the clock and processor time it is measured with.

Knows processes by number; must not know what the load is or which broker bears it.
"""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil


@dataclass(slots=True)
class Round:
    """One broker under one load for one measured time."""

    value: float  # in the unit of the row; a rate is messages a second
    seconds: float = 0.0
    broker_cpu: float = (
        0.0  # processor time over measured time, all brokers together; 1.0 is one core
    )
    generator_cpu: float = 0.0
    others_cpu: float = 0.0  # what other processes took of all cores meanwhile
    published: int = 0  # the counts are of the whole round, warm-up and draining included
    received: int = 0
    missing: int = 0
    duplicates: int = 0
    late: int = 0  # after a message that was published later
    altered: int = 0  # not what was published
    remarks: list[str] = field(default_factory=list)
    details: dict[str, float] = field(default_factory=dict)  # what else was measured, by name

    @property
    def faults(self) -> str:
        """What went wrong, in words; empty when nothing did."""
        counts = {
            "missing": self.missing,
            "duplicate": self.duplicates,
            "out of order": self.late,
            "altered": self.altered,
        }
        return ", ".join(
            [f"{count} {what}" for what, count in counts.items() if count] + self.remarks
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a round lasts, in seconds; `drain_s` bounds the wait for the last messages."""

    warm_up_s: float = 0.5
    seconds: float = 2.0
    drain_s: float = 5.0
    stall_s: float = 1.0  # nothing arrives for so long while something should: the rest is lost


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since some moment: on the wall, and of processors at work for somebody."""

    wall: float
    brokers: float
    generator: float
    machine: float  # all cores, whoever it was for

    def since(self, before: "Clock") -> "Clock":
        return Clock(
            self.wall - before.wall,
            self.brokers - before.brokers,
            self.generator - before.generator,
            self.machine - before.machine,
        )


class Meter:
    """Processor time of the brokers, of this process and of the machine since `start`."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._brokers = [psutil.Process(pid) for pid in pids]
        self.start()

    def start(self) -> None:
        self._began = self._read()

    def read(self) -> Clock:
        return self._read().since(self._began)

    def _read(self) -> Clock:
        brokers = 0.0
        for process in self._brokers:
            times = process.cpu_times()
            brokers += times.user + times.system
        usage = resource.getrusage(resource.RUSAGE_SELF)
        machine = psutil.cpu_times()
        return Clock(
            time.monotonic(),
            brokers,
            usage.ru_utime + usage.ru_stime,
            sum(machine) - machine.idle - getattr(machine, "iowait", 0.0),
        )


class Phases:
    """Warm-up, the measured time, then draining. `delivered` is whatever count the rate is of."""

    def __init__(self, timing: Timing, pids: Sequence[int]) -> None:
        self._timing = timing
        self._meter = Meter(pids)
        self._measure_at = time.monotonic() + timing.warm_up_s
        self._stop_at = self._measure_at + timing.seconds
        self._measuring = False
        self._delivered_before = 0
        self._seen = 0
        self._seen_at = time.monotonic()
        self._result: Round | None = None
        self.stalled = False

    def publishing(self, delivered: int, now: float) -> bool:
        """True while the load goes on; False once the measured time is over or nothing moves."""
        if delivered != self._seen:
            self._seen, self._seen_at = delivered, now
        self.stalled = now - self._seen_at > self._timing.stall_s
        if not self._measuring and now >= self._measure_at:
            self._measuring = True
            self._delivered_before = delivered
            self._meter.start()
        if now < self._stop_at and not self.stalled:
            return True
        self._finish(delivered)
        return False

    @property
    def measuring(self) -> bool:
        """Whether the warm-up is over."""
        return self._measuring

    def result(self) -> Round:
        """The rates of the measured time; `publishing` must have returned False."""
        assert self._result is not None
        return self._result

    def _finish(self, delivered: int) -> None:
        spent = self._meter.read()
        seconds = spent.wall
        self._result = Round(
            value=(delivered - self._delivered_before) / seconds,
            seconds=seconds,
            broker_cpu=spent.brokers / seconds,
            generator_cpu=spent.generator / seconds,
            others_cpu=max(0.0, spent.machine - spent.brokers - spent.generator) / seconds,
        )
        if self.stalled:
            self._result.remarks.append("stalled")
