"""Many publishers, each with one message under way: the load that leaves a broker nothing to batch.

A thousand small sockets cost the generator a system call for each message sent, as they cost the
broker one for each received and one for each acknowledged. So that the generator stays ahead, it
does not read each PUBACK: with one message under way, an edge-triggered event *is* the
acknowledgement. What gathers in the socket is read and checked every READ_EVERY messages and at the
end.

    payload    publisher (2 bytes) | number (4 bytes) | filler
"""

import select
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import wire
from bench.measure import Phases, Round, Timing
from bench.numbers import FILLER, PAYLOAD_BYTES, Tally
from bench.stream import Address
from bench.wire import BrokerError, Connection

PUBACKED = wire.packet(wire.PUBACK, b"\0\1")
READ_EVERY = 64
POLL_S = 0.1
NUMBER = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Many:
    """The load: `publishers` at QoS 1, window 1, each on its own topic; one subscriber or none."""

    publishers: int = 500
    heard: bool = True  # one subscriber at QoS 1; otherwise none
    outstanding_max: int = 2000  # published and not yet received by the subscriber


class Hearer:
    """The subscriber of all topics: counts each publisher's numbers, acknowledges in batches."""

    def __init__(
        self, connection: Connection, frame: bytes, id_offset: int, publishers: int
    ) -> None:
        self.connection = connection
        self.tallies = [Tally() for _ in range(publishers)]
        self.received = 0
        self.altered = 0
        self.pings = 0
        self._size = len(frame)
        self._id_offset = id_offset
        after = self._size - id_offset - 8
        self._fields = struct.Struct(f">{id_offset + 2}xHI{after}x")
        self._buffer = bytearray(1 << 20)
        self._view = memoryview(self._buffer)
        self._held = 0

    def receive(self) -> None:
        self.connection.flush()
        count = self.connection.receive_into(self._view[self._held :])
        end = self._held + count
        done = 0
        for run in wire.runs(self._buffer, end):
            self._take(run)
            done = run.start + run.count * run.size
        self._held = end - done
        self._buffer[: self._held] = self._buffer[done:end]

    def _take(self, run: wire.Run) -> None:
        if run.first == wire.PINGRESP:
            self.pings += run.count
            return
        if run.first & 0xF7 != wire.PUBLISH | 2 or run.size != self._size:
            self.altered += run.count
            return
        self.received += run.count
        stop = run.start + run.count * run.size
        for publisher, number in self._fields.iter_unpack(self._view[run.start : stop]):
            if publisher < len(self.tallies):
                self.tallies[publisher].one(number)
            else:
                self.altered += 1
        self.connection.send(wire.answers(wire.PUBACK, self._buffer, run, self._id_offset))


class ManyRun:
    """One round of a Many."""

    def __init__(self, load: Many, address: Address) -> None:
        self._load = load
        self._connections: list[Connection] = []
        filler = FILLER[: PAYLOAD_BYTES - 6]
        self._frames = [
            bytearray(
                wire.publish(f"bench/many/{i:05d}", 1, 1, i.to_bytes(2, "big") + bytes(4) + filler)
            )
            for i in range(load.publishers)
        ]
        self._id_offset = wire.HEADER_BYTES + len(wire.text("bench/many/00000"))
        self._hearer: Hearer | None = None
        if load.heard:
            connection = self._connect(address, "bench-hearer")
            connection.subscribe("bench/many/+", 1)
            frame = bytes(self._frames[0])
            self._hearer = Hearer(connection, frame, self._id_offset, load.publishers)
        self._publishers = [
            self._connect(address, f"bench-publisher-{i}") for i in range(load.publishers)
        ]
        self._sent = [0] * load.publishers
        self._read = [0] * load.publishers
        self._published = 0
        self._acknowledged = 0
        self._disordered = 0

    def _connect(self, address: Address, client_id: str) -> Connection:
        connection = Connection(address, client_id)
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def run(self, timing: Timing, pids: Sequence[int]) -> Round:
        """Raises BrokerError when a broker hangs up or breaks the protocol."""
        for connection in self._connections:
            connection.go()
        poll = select.epoll()
        try:
            owners = {c.socket.fileno(): i for i, c in enumerate(self._publishers)}
            for descriptor in owners:
                poll.register(descriptor, select.EPOLLIN | select.EPOLLET)
            if self._hearer:
                poll.register(self._hearer.connection.socket.fileno(), select.EPOLLIN)
            phases = Phases(timing, pids)
            self._publish(range(self._load.publishers))
            ready: list[int] = []
            while phases.publishing(self._acknowledged, time.monotonic()):
                ready += self._turn(poll, owners)
                if self._lag() < self._load.outstanding_max:
                    self._publish(ready)
                    ready = []
            self._drain(poll, owners, timing)
            return self._judge(phases.result())
        finally:
            poll.close()

    def _turn(self, poll: select.epoll, owners: dict[int, int]) -> list[int]:
        """Serves the subscriber; returns the publishers whose message was acknowledged."""
        ready = []
        for descriptor, _ in poll.poll(POLL_S, len(owners) + 1):
            owner = owners.get(descriptor)
            if owner is not None:
                ready.append(owner)
            elif self._hearer:
                self._hearer.receive()
        self._acknowledged += len(ready)
        return ready

    def _lag(self) -> int:
        return self._acknowledged - self._hearer.received if self._hearer else 0

    def _publish(self, publishers: Sequence[int]) -> None:
        frames, sent, at = self._frames, self._sent, self._id_offset + 4
        for index in publishers:
            number = sent[index]
            if number and number % READ_EVERY == 0:
                self._read_acknowledgements(index)
            frame = frames[index]
            NUMBER.pack_into(frame, at, number)
            sent[index] = number + 1
            try:
                self._publishers[index].socket.send(frame)
            except OSError as error:
                raise BrokerError(f"a publisher's connection broke ({error.strerror})") from error
        self._published += len(publishers)

    def _read_acknowledgements(self, index: int) -> None:
        try:
            data = self._publishers[index].socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            raise BrokerError(f"a publisher's connection broke ({error.strerror})") from error
        if not data:
            raise BrokerError("the broker closed a publisher's connection")
        count = len(data) // wire.ACK_BYTES
        if data != PUBACKED * count or self._read[index] + count > self._sent[index]:
            self._disordered += 1
        self._read[index] += count

    def _drain(self, poll: select.epoll, owners: dict[int, int], timing: Timing) -> None:
        end = time.monotonic() + timing.drain_s
        while time.monotonic() < end and (
            self._acknowledged < self._published
            or (self._hearer and self._hearer.received < self._published)
        ):
            self._turn(poll, owners)
        if self._hearer:
            self._hearer.connection.send(wire.PING)
            while time.monotonic() < end and not self._hearer.pings:
                self._turn(poll, owners)
        for index in range(len(self._publishers)):
            self._read_acknowledgements(index)

    def _judge(self, result: Round) -> Round:
        result.published = self._published
        unanswered = self._published - sum(self._read)
        if unanswered:
            result.remarks.append(f"{unanswered} messages never acknowledged")
        if self._disordered:
            result.remarks.append(f"{self._disordered} wrong acknowledgements")
        hearer = self._hearer
        if hearer:
            pairs = list(zip(hearer.tallies, self._sent, strict=True))
            result.received = hearer.received
            result.missing = sum(tally.missing(sent) for tally, sent in pairs)
            result.duplicates = sum(tally.duplicates for tally in hearer.tallies)
            result.late = sum(tally.late for tally in hearer.tallies)
            result.altered = hearer.altered
        return result
