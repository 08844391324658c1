"""How long a client waits for its session at another gateway, with so many messages in its queue.

From CONNECT at one gateway to the last message of what waited at the other, each acknowledged as it
comes. Knows bytes; must not know rows.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import wire
from bench.measure import Round
from bench.stream import Address
from bench.wire import Connection

PAYLOAD = b"x" * 64
WINDOW = 100
TOPIC = "bench/takeover"
READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Session:
    """It is at one gateway, with its queue, and its client is away."""

    client_id: str
    there: Address
    queued: int

    def resume(self) -> Round:
        """Milliseconds until the client has all of it elsewhere; the details say when CONNACK came."""
        queued, begun = self.queued, time.perf_counter()
        client = Connection(self.there, self.client_id, kept=True, present=True)
        connack_ms = (time.perf_counter() - begun) * 1e3
        try:
            came = _drain(client, queued)
            ends_ms = (time.perf_counter() - begun) * 1e3
        finally:
            client.close()
        result = Round(ends_ms, details={"CONNACK, ms": connack_ms}, published=queued)
        result.received, result.missing = came, queued - came
        return result


@contextmanager
def waiting(here: Address, there: Address, queued: int) -> Iterator[Session]:
    """A session at `here` with so many messages; whatever becomes of it is removed at `there`."""
    client_id = f"bench-roams-{queued}"
    Connection(here, client_id).close()  # whatever an earlier round left is over
    client = Connection(here, client_id, kept=True)
    client.subscribe(TOPIC, 1)
    client.close()
    _fill(here, queued)
    try:
        yield Session(client_id, there, queued)
    finally:
        Connection(there, client_id).close()


def _fill(address: Address, queued: int) -> None:
    publisher = Connection(address, "bench-fills")
    for first in range(0, queued, WINDOW):
        count = min(WINDOW, queued - first)
        ids = range(1, count + 1)
        publisher.socket.sendall(b"".join(wire.publish(TOPIC, 1, each, PAYLOAD) for each in ids))
        for _ in ids:
            publisher.read_packet()
    publisher.close()


def _drain(client: Connection, queued: int) -> int:
    """Takes and acknowledges what comes, in whole runs."""
    buffer, held, came = bytearray(READ_BYTES), 0, 0
    id_offset = wire.HEADER_BYTES + 2 + len(TOPIC)
    while came < queued:
        held += client.receive_into(memoryview(buffer)[held:])
        end = 0
        for run in wire.runs(buffer, held):
            came += run.count
            client.socket.sendall(wire.answers(wire.PUBACK, buffer, run, id_offset))
            end = run.start + run.count * run.size
        buffer[: held - end] = buffer[end:held]
        held -= end
    return came
