"""The table of rows: what is measured, in which unit, and what is to be reached.

A new row is a new entry here; a new kind of load is a function of (Running, Timing) that returns a
Round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import account, idle, starts, takeover
from bench.beside import Kept, KeptRun, quiet_beside_flood
from bench.brokers import Cores, Product, Running, SlowDisk
from bench.many import Many, ManyRun
from bench.measure import Round, Timing
from bench.stream import Stream, StreamRun

Measure = Callable[[Running, Timing], Round]
Starting = Callable[[Product, Cores], Round]
STALL_MS = 2000.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, measured by either of `measure` and `starting`."""

    name: str  # as in --rows
    title: str
    measure: Measure | None = None  # a load on running brokers
    starting: Starting | None = None  # starts the brokers itself
    brokers: int = 1
    unit: str = "msg/s"
    at_least: float | None = None  # ours / Mosquitto's
    at_most: float | None = None  # ours, in the unit, where less is better
    share_of: str = ""  # another row of the same run, of which ours is to reach
    share_least: float = 0.0
    config: str = "config"  # ours: which of settings.gateway_files
    disk: SlowDisk | None = None  # ours: another disk than this machine's
    theirs: str | None = "mosquitto_config"  # of settings.mosquitto_files; None: no comparison
    rounds_max: int | None = None  # where one is long and holds several

    @property
    def is_rate(self) -> bool:
        """Whether the brokers set the pace, thus a generator that must prove itself."""
        return self.unit == "msg/s" and self.disk is None

    @property
    def is_plain(self) -> bool:
        """Whether our side is the gateway as any other broker, so that another may take its place."""
        return self.config == "config" and self.disk is None and self.theirs is not None


def _stream(load: Stream) -> Measure:
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


def _two_copies(running: Running, timing: Timing) -> Round:
    """To a session at the first of two gateways, the second of which keeps the copy."""
    account.wait_for_two_copies(running.control)
    other = running.control.with_name("control1.sock")
    run = StreamRun(Stream(1, kept=True, away=True), running.doors[0], running.doors[0])
    before = account.read(running.control), account.read(other)
    try:
        result = run.run(timing, running.pids)
    finally:
        run.close()
    after = account.read(running.control), account.read(other)
    here, there = (
        account.between(*each, result.published) for each in zip(before, after, strict=True)
    )
    result.details |= here
    result.details["bytes a message, at the copy"] = there.get("bytes a message", 0.0)
    result.details["bytes a message, on the link"] = account.shipped(
        before[0], after[0], result.published
    )
    return result


def _never_written(running: Running, timing: Timing) -> Round:
    """Of messages that are acknowledged one by one, the share that the disk never saw."""
    result = _stream(Stream(1, kept=True, window=1))(running, timing)
    result.details["msg/s"] = result.value
    result.value = result.details.pop(account.NEVER_WRITTEN)
    return result


def _many(load: Many) -> Measure:
    def measure(running: Running, timing: Timing) -> Round:
        run = ManyRun(load, running.doors[0])
        try:
            return run.run(timing, running.pids)
        finally:
            run.close()

    return measure


def _kept(load: Kept) -> Measure:
    def measure(running: Running, timing: Timing) -> Round:
        run = KeptRun(load, running.doors[0], running.control)
        try:
            return run.run(timing, running.pids)
        finally:
            run.close()

    return measure


def _quiet(running: Running, timing: Timing) -> Round:
    return quiet_beside_flood(running.doors[0], timing, running.pids)


def _memory(running: Running, _: Timing) -> Round:
    return idle.memory_mb(running.pids[0], running.doors[0])


def _subscribed(running: Running, _: Timing) -> Round:
    return idle.subscribed_mb(running.pids[0], running.doors[0])


def _connection(running: Running, _: Timing) -> Round:
    return idle.connection_kb(running.pids[0], running.doors[0])


def _takeover(queued: int) -> Row:
    def measure(running: Running, _: Timing) -> Round:
        return takeover.resumed_ms(running.doors[0], running.doors[-1], queued)

    return Row(
        f"takeover-{queued}",
        f"session moves, {queued:,} queued",
        measure,
        brokers=2,
        unit="ms",
        at_most=1_000,
        theirs=None,
    )


def _on_disk(sync_ms: float, stall_ms: float = 0.0) -> Row:
    name = "stall" if stall_ms else f"{sync_ms:g}"
    stalls = f", once {stall_ms / 1e3:g} s" if stall_ms else ""
    return Row(
        f"disk-{name}",
        f"kept and away, sync {sync_ms:g} ms{stalls}",
        _kept(Kept(stall_s=stall_ms / 1e3)),
        disk=SlowDisk(sync_ms, stall_ms),
        theirs=None,
    )


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
    Row(
        "kept-twice",
        "QoS 1, kept and away, two copies",
        _two_copies,
        brokers=2,
        share_of="kept-away",
        share_least=0.4,
        theirs=None,
    ),
    Row("fanout", "QoS 0, one to twenty", _stream(Stream(0, subscribers=20)), at_least=10),
    Row("many", "500 publishers, window 1, heard", _many(Many()), at_least=1),
    Row("many-unheard", "500 publishers, window 1, unheard", _many(Many(heard=False)), at_least=1),
    Row("two-qos0", "QoS 0 across two brokers", _stream(Stream(0)), brokers=2, at_least=1),
    Row("two-qos1", "QoS 1 across two brokers", _stream(Stream(1)), brokers=2, at_least=2),
    Row("two-qos2", "QoS 2 across two brokers", _stream(Stream(2)), brokers=2, at_least=1),
    _takeover(0),
    _takeover(1_000),
    _takeover(10_000),
    Row(
        "never-written",
        "never written, acknowledged at once",
        _never_written,
        unit="%",
        theirs=None,
    ),
    _on_disk(0),
    _on_disk(5),
    _on_disk(20),
    _on_disk(50),
    _on_disk(5, STALL_MS),
    Row("quiet", "p99 of a quiet client beside a flood", _quiet, unit="ms"),
    Row("memory", "idle memory, alone", _memory, unit="MB", at_most=40),
    Row(
        "memory-tls",
        "idle memory, alone, TLS",
        _memory,
        unit="MB",
        at_most=40,
        config="tls_config",
        theirs=None,
    ),
    Row(
        "memory-mesh",
        "idle memory, in a mesh",
        _memory,
        unit="MB",
        config="mesh_config",
        theirs=None,
    ),
    Row("connection", "memory of an idle connection", _connection, unit="kB", at_most=3),
    Row(
        "memory-10000",
        "10,000 clients, a subscription each",
        _subscribed,
        unit="MB",
        at_most=80,
        rounds_max=1,
    ),
    Row("start", "start, empty store", starting=starts.empty, unit="ms", at_most=150),
    Row(
        "start-mesh",
        "start, empty store, in a mesh",
        starting=starts.empty,
        unit="ms",
        config="mesh_config",
        theirs=None,
    ),
    Row(
        "start-full",
        "start, 10,000 sessions, 100,000 msg",
        starting=partial(starts.full, load=starts.Full()),
        unit="ms",
        at_most=2000,
        theirs="mosquitto_kept_config",
        rounds_max=1,
    ),
)
