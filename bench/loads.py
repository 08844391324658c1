"""The loads of the rows: each a function of (Running, Timing) that returns a Round.

Puts a load on brokers that run already, and adds what they say of themselves. Must not know names,
aims or rounds of rows.
"""

import os
import signal
from collections.abc import Callable

from bench import account, idle, joining, takeover, traffic
from bench.beside import Kept, KeptRun, quiet_beside_flood
from bench.brokers import Running
from bench.failover import served_elsewhere
from bench.many import Many, ManyRun
from bench.measure import Round, Timing
from bench.paced import Pace, PacedRun
from bench.stream import Stream, StreamRun

Measure = Callable[[Running, Timing], Round]


def stream(load: Stream) -> Measure:
    """Published at the first broker, subscribed to at the last."""

    def measure(running: Running, timing: Timing) -> Round:
        run = StreamRun(load, running.doors[0], running.doors[-1])
        before = account.read(running.control) if load.kept else None
        try:
            result = run.run(timing, running.pids)
        finally:
            run.close()
        if before is not None:
            after = account.read(running.control)
            result.details |= account.between(before, after, result.published)
        return result

    return measure


def two_copies(running: Running, timing: Timing) -> Round:
    """To a session at the first of two gateways, the second of which keeps the copy."""
    account.wait_for_two_copies(running.control)
    run = StreamRun(Stream(1, kept=True, away=True), running.doors[0], running.doors[0])
    before = [account.read(control) for control in running.controls]
    try:
        result = run.run(timing, running.pids)
    finally:
        run.close()
    after = [account.read(control) for control in running.controls]
    here, there = (
        account.between(*each, result.published) for each in zip(before, after, strict=True)
    )
    result.details |= here
    result.details["bytes a message, at the copy"] = there.get(account.WRITTEN, 0.0)
    result.details["bytes a message, on the link"] = account.shipped(
        before[0], after[0], result.published
    )
    return result


def durable(running: Running, timing: Timing) -> Round:
    """Published at the first of three, to a session of the last that is away; then it gets all."""
    _await_copies(running)
    run = StreamRun(Stream(1, kept=True, away=True), running.doors[0], running.doors[-1])
    before, begun = traffic.read(running), [account.read(each) for each in running.controls]
    try:
        result = run.run(timing, running.pids)
        ended = [account.read(each) for each in running.controls]
        result.details |= traffic.a_message(before, traffic.read(running), result.published)
        result.details |= account.all_between(begun, ended, result.published)
        run.fetch(result)
    finally:
        run.close()
    return result


def paced(load: Pace) -> Measure:
    """Published at the first broker, subscribed to at the last."""

    def measure(running: Running, timing: Timing) -> Round:
        if load.kept:
            _await_copies(running)
        run = PacedRun(load, running.doors[0], running.doors[-1])
        try:
            return run.run(timing, running.pids)
        finally:
            run.close()

    return measure


def failover(running: Running, _: Timing) -> Round:
    """The first of three is killed while its clients are connected."""
    _await_copies(running)
    return served_elsewhere(running)


def moved(queued: int) -> Measure:
    """A session with so many messages moves from the first gateway to the last, both alive."""

    def measure(running: Running, _: Timing) -> Round:
        with takeover.waiting(running.doors[0], running.doors[-1], queued) as session:
            return session.resume()

    return measure


def promoted(queued: int, how: signal.Signals = signal.SIGKILL) -> Measure:
    """The first of three gateways is killed, or stopped in its tracks (SIGSTOP); its session is
    served from the second copy."""

    def measure(running: Running, _: Timing) -> Round:
        _await_copies(running)
        with takeover.waiting(running.doors[0], running.doors[-1], queued) as session:
            _await_copies(running)
            os.kill(running.pids[0], how)
            try:
                return session.resume()
            finally:
                os.kill(running.pids[0], signal.SIGCONT)  # so that it can be ended

    return measure


def joined(running: Running, _: Timing) -> Round:
    """Gateways that know each other's names; the figure is of the one that was started last."""
    return joining.joined_s(running)


def _await_copies(running: Running) -> None:
    for control in running.controls:
        if control.exists():  # it does, where gateways have told each other so much
            account.wait_for_two_copies(control)


def never_written(running: Running, timing: Timing) -> Round:
    """Of messages that are acknowledged one by one, the share that the disk never saw."""
    result = stream(Stream(1, kept=True, window=1))(running, timing)
    result.details["msg/s"] = result.value
    result.value = result.details.pop(account.NEVER_WRITTEN)
    return result


def many(load: Many) -> Measure:
    def measure(running: Running, timing: Timing) -> Round:
        run = ManyRun(load, running.doors[0])
        try:
            return run.run(timing, running.pids)
        finally:
            run.close()

    return measure


def kept(load: Kept) -> Measure:
    def measure(running: Running, timing: Timing) -> Round:
        run = KeptRun(load, running.doors[0], running.control)
        try:
            return run.run(timing, running.pids)
        finally:
            run.close()

    return measure


def quiet(running: Running, timing: Timing) -> Round:
    return quiet_beside_flood(running.doors[0], timing, running.pids)


def memory(running: Running, _: Timing) -> Round:
    return idle.memory_mb(running.pids[0], running.doors[0])


def subscribed(running: Running, _: Timing) -> Round:
    return idle.subscribed_mb(running.pids[0], running.doors[0])


def connection(running: Running, _: Timing) -> Round:
    return idle.connection_kb(running.pids[0], running.doors[0])
