"""The table of rows: what is measured, in which unit, and what is to be reached.

A new row is a new entry here; a new kind of load is a function of (Running, Timing) that returns a
Round.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import crowd, joining, loads, starts, tables
from bench.beside import Kept
from bench.brokers import Cores, Product, Running, SlowDisk
from bench.many import Many
from bench.measure import Round, Timing
from bench.paced import Pace
from bench.stream import Stream

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
    at_least: float | None = None  # ours / theirs
    at_most: float | None = None  # ours, in the unit, where less is better
    share_of: str = ""  # another row of the same run, of which ours is to reach
    share_least: float = 0.0
    config: str = "config"  # ours: which of settings.gateway_files
    disk: SlowDisk | None = None  # ours: another disk than this machine's
    theirs: str | None = "mosquitto_config"  # of settings' files; None: no comparison
    rounds_max: int | None = None  # where one is long and holds several
    against_shovel: bool = True  # else no doubt that the brokers set the pace

    @property
    def rival(self) -> str:
        """Whom we are compared with; empty for nobody."""
        return self.theirs.partition("_")[0] if self.theirs else ""

    @property
    def is_rate(self) -> bool:
        """Whether the brokers set the pace, thus a generator that must prove itself."""
        return self.unit == "msg/s" and self.disk is None and self.against_shovel

    @property
    def is_plain(self) -> bool:
        """Whether our side is the gateway as any other broker, so that another may take its place."""
        return self.config == "config" and self.disk is None and self.theirs is not None


def _takeover(queued: int) -> Row:
    title = f"session moves, {queued:,} queued"
    measure = loads.moved(queued)
    return Row(
        f"takeover-{queued}", title, measure, brokers=2, unit="ms", at_most=1_000, theirs=None
    )


def _promotion(queued: int) -> Row:
    title = f"its gateway is killed, {queued:,} queued"
    measure = loads.promoted(queued)
    return Row(
        f"promotion-{queued}", title, measure, brokers=3, unit="ms", at_most=1_000, theirs=None
    )


def _durable_on_disk(sync_ms: float) -> Row:
    return Row(
        f"durable-{sync_ms:g}",
        f"the same with a sync of {sync_ms:g} ms",
        loads.durable,
        brokers=3,
        disk=SlowDisk(sync_ms, 0),
        theirs=None,
        rounds_max=1,  # the sync sets the pace, and rounds do not differ
    )


def _paced(name: str, title: str, load: Pace, theirs: str = "mosquitto_config") -> Row:
    brokers = 2 if theirs == "mosquitto_config" else 3
    return Row(name, title, loads.paced(load), brokers=brokers, unit="ms", theirs=theirs)


def _on_disk(sync_ms: float, stall_ms: float = 0.0) -> Row:
    name = "stall" if stall_ms else f"{sync_ms:g}"
    stalls = f", once {stall_ms / 1e3:g} s" if stall_ms else ""
    return Row(
        f"disk-{name}",
        f"kept and away, sync {sync_ms:g} ms{stalls}",
        loads.kept(Kept(stall_s=stall_ms / 1e3)),
        disk=SlowDisk(sync_ms, stall_ms),
        theirs=None,
    )


ROWS = (
    Row("qos0", "QoS 0, one to one", loads.stream(Stream(0)), at_least=5),
    Row("qos1", "QoS 1, one to one, window 100", loads.stream(Stream(1)), at_least=4),
    Row("qos2", "QoS 2, one to one, window 100", loads.stream(Stream(2)), at_least=4),
    Row(
        "kept",
        "QoS 1 to a kept session, connected",
        loads.stream(Stream(1, kept=True)),
        share_of="qos1",
        share_least=0.4,
    ),
    Row(
        "kept-away",
        "QoS 1 to a kept session, away",
        loads.stream(Stream(1, kept=True, away=True)),
        share_of="qos1",
        share_least=0.4,
    ),
    Row(
        "kept-twice",
        "QoS 1, kept and away, two copies",
        loads.two_copies,
        brokers=2,
        share_of="kept-away",
        share_least=0.4,
        theirs=None,
        against_shovel=False,
    ),
    Row("fanout", "QoS 0, one to twenty", loads.stream(Stream(0, subscribers=20)), at_least=10),
    Row("many", "500 publishers, window 1, heard", loads.many(Many()), at_least=1),
    Row(
        "many-unheard",
        "500 publishers, window 1, unheard",
        loads.many(Many(heard=False)),
        at_least=1,
    ),
    Row("two-qos0", "QoS 0 across two brokers", loads.stream(Stream(0)), brokers=2, at_least=1),
    Row("two-qos1", "QoS 1 across two brokers", loads.stream(Stream(1)), brokers=2, at_least=4),
    Row("two-qos2", "QoS 2 across two brokers", loads.stream(Stream(2)), brokers=2, at_least=1),
    Row(
        "durable",
        "QoS 1, away, at another of three",
        loads.durable,
        brokers=3,
        at_least=2,
        theirs="nats_config",
        against_shovel=False,
    ),
    _durable_on_disk(5),
    _durable_on_disk(20),
    _durable_on_disk(50),
    Row(
        "three-qos0", "QoS 0 across three", loads.stream(Stream(0)), brokers=3, theirs="nats_config"
    ),
    Row(
        "three-qos1", "QoS 1 across three", loads.stream(Stream(1)), brokers=3, theirs="nats_config"
    ),
    _paced("paced-qos0", "p99 at 500 msg/s, QoS 0, across two", Pace(0)),
    _paced("paced-qos1", "p99 at 500 msg/s, QoS 1, across two", Pace(1)),
    _paced("paced-nats", "p99 at 500 msg/s, QoS 1, across 3", Pace(1), "nats_config"),
    _paced("paced-durable", "p99 at 500 msg/s, kept, across 3", Pace(kept=True), "nats_config"),
    _takeover(0),
    _takeover(1_000),
    _takeover(10_000),
    _promotion(0),
    _promotion(1_000),
    _promotion(10_000),
    Row(
        "failover",
        "killed: its 200 clients are served",
        loads.failover,
        brokers=3,
        unit="s",
        at_most=4,
        theirs=None,
    ),
    Row(
        "hung",
        "its gateway hangs, 10,000 queued",
        loads.promoted(10_000, signal.SIGSTOP),
        brokers=3,
        unit="ms",
        at_most=4_000,
        theirs=None,
    ),
    Row("joined", "start to joined, by peers", loads.joined, brokers=2, unit="s", theirs=None),
    Row(
        "joined-mdns",
        "start to joined, by mDNS",
        starting=joining.by_mdns,
        unit="s",
        theirs=None,
    ),
    Row(
        "crowd",
        "message, 31 silent peers / 1",
        starting=lambda *_: crowd.cost(),
        unit="x",
        at_most=1.5,
        theirs=None,
        rounds_max=1,
    ),
    Row(
        "tables",
        "32 gateways, 100,000 sessions known",
        starting=lambda *_: tables.weigh(),
        unit="MB",
        at_most=150,
        theirs=None,
        rounds_max=1,
    ),
    Row(
        "never-written",
        "never written, acknowledged at once",
        loads.never_written,
        unit="%",
        theirs=None,
    ),
    _on_disk(0),
    _on_disk(5),
    _on_disk(20),
    _on_disk(50),
    _on_disk(5, STALL_MS),
    Row("quiet", "p99 of a quiet client beside a flood", loads.quiet, unit="ms"),
    Row("memory", "idle memory, alone", loads.memory, unit="MB", at_most=40),
    Row(
        "memory-tls",
        "idle memory, alone, TLS",
        loads.memory,
        unit="MB",
        at_most=40,
        config="tls_config",
        theirs=None,
    ),
    Row(
        "memory-mesh",
        "idle memory, in a mesh",
        loads.memory,
        unit="MB",
        config="mesh_config",
        theirs=None,
    ),
    Row("connection", "memory of an idle connection", loads.connection, unit="kB", at_most=3),
    Row(
        "memory-10000",
        "10,000 clients, a subscription each",
        loads.subscribed,
        unit="MB",
        at_most=80,
        rounds_max=1,
    ),
    Row("start", "start, empty store", starting=starts.empty, unit="ms", at_most=150),
    Row(
        "start-mesh",
        "start, nobody known, in a mesh",
        starting=starts.known,
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
