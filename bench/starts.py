"""From exec to the first CONNACK: with an empty store, and with one that holds sessions and messages.

Each start is a process of its own; the figure is the median of several. A broker with a full store is
stopped as planned, as Mosquitto writes its own only then; the gateway is also killed once, after
which it has more to read. Every start with a full store is asked for one session's messages.
"""

import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from bench import wire
from bench.brokers import Cores, Product
from bench.measure import Round
from bench.stream import Address
from bench.wire import BrokerError, Connection

STARTS = 7
AT_ONCE = 100  # sessions or messages under way while the store is filled
TOPIC = "full/{:05d}"


@dataclass(frozen=True, slots=True)
class Full:
    """What the store holds before the starts."""

    sessions: int = 10_000
    messages: int = 100_000

    @property
    def each(self) -> int:
        return self.messages // self.sessions


@dataclass(frozen=True, slots=True)
class Start:
    """One start: on the wall, and of processors, which a busy machine disturbs less."""

    ms: float
    processor_ms: float


def empty(product: Product, cores: Cores, starts: int = STARTS) -> Round:
    """Milliseconds of a start with nothing on disk."""
    took, again = [], []
    for _ in range(starts):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            took.append(_start(product, cores, Path(folder)))
            again.append(_start(product, cores, Path(folder)).ms)
    result = _round(took)
    result.details["with its files there, ms"] = median(again)
    return result


def known(product: Product, cores: Cores, starts: int = STARTS) -> Round:
    """Milliseconds of a start with its files there; at the very first a gateway asks others first."""
    took = []
    for _ in range(starts):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            with product.start(1, cores, Path(folder)):
                pass
            took.append(_start(product, cores, Path(folder)))
    return _round(took)


def full(product: Product, cores: Cores, load: Full, starts: int = STARTS) -> Round:
    """Milliseconds of a start with that much on disk."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        killed: Start | None = None
        with product.start(1, cores, folder) as running:
            fill(running.doors[0], load)
            kills = running.control.exists()  # the gateway: Mosquitto would have nothing left
            if kills:
                psutil.Process(running.pids[0]).kill()
        if kills:
            killed = _start(product, cores, folder, load)
        result = _round([_start(product, cores, folder, load) for _ in range(starts)])
    if killed is not None:
        result.details["after kill -9, ms"] = killed.ms
    return result


def fill(address: Address, load: Full) -> None:
    """Makes sessions that are away, and messages that wait for them. Raises BrokerError."""
    for first in range(0, load.sessions, AT_ONCE):
        _make_sessions(address, range(first, min(first + AT_ONCE, load.sessions)))
    publisher = Connection(address, "bench-filler")
    for first in range(0, load.messages, AT_ONCE):
        count = min(AT_ONCE, load.messages - first)
        frames = [
            wire.publish(TOPIC.format((first + n) % load.sessions), 1, n + 1, bytes(64))
            for n in range(count)
        ]
        publisher.socket.sendall(b"".join(frames))
        for _ in range(count):
            if publisher.read_packet()[0] != wire.PUBACK:
                raise BrokerError("a message for the full store was not acknowledged")
    publisher.close()


def _make_sessions(address: Address, numbers: range) -> None:
    """Several at once: a broker that keeps them answers when they are on disk."""
    lines = []
    for number in numbers:
        line = socket.create_connection(address, wire.ANSWER_TIMEOUT_S)
        subscribe = b"\0\1" + wire.text(TOPIC.format(number)) + b"\1"
        line.sendall(wire.connect(_client(number), kept=True) + wire.packet(0x82, subscribe))
        lines.append(line)
    for line in lines:
        answer = b""
        while len(answer) < 9 and (more := line.recv(9 - len(answer))):
            answer += more
        if answer != bytes.fromhex("20020000 9003000101"):
            raise BrokerError(f"a session for the full store was answered with {answer.hex()}")
        line.close()


def _client(number: int) -> str:
    return f"bench-full-{number:05d}"


def _start(product: Product, cores: Cores, folder: Path, load: Full | None = None) -> Start:
    begin = time.perf_counter()
    with product.start(1, cores, folder) as running:
        Connection(running.doors[0], "bench-first").close()
        took = Start(1e3 * (time.perf_counter() - begin), _processor_ms(running.pids[0]))
        if load is not None:
            _look(running.doors[0], load)
    return took


def _processor_ms(pid: int) -> float:
    """What all threads of a process have run so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def _look(address: Address, load: Full) -> None:
    """The last session is there, with all that waits for it, and keeps it: nothing is acknowledged."""
    client = Connection(address, _client(load.sessions - 1), kept=True, present=True)
    try:
        for _ in range(load.each):
            if client.read_packet()[0] & 0xF0 != wire.PUBLISH:
                raise BrokerError("a message of the full store is missing")
    finally:
        client.close()


def _round(starts: list[Start]) -> Round:
    took = [start.ms for start in starts]
    details = {
        "fastest, ms": min(took),
        "slowest, ms": max(took),
        "starts": float(len(took)),
        "processor time, ms": median(start.processor_ms for start in starts),
    }
    return Round(median(took), details=details)
