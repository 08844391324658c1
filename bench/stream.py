"""One publisher, any number of subscribers, one QoS: the load of most rows.

The window is what keeps brokers from dropping: at QoS 1 and 2 at most `window` messages are
unacknowledged, and at every QoS at most `outstanding_max` are published and not yet received by the
slowest subscriber. Within that the broker sets the pace, so a generator that has time left proves
itself: its processor share below 100 % is time spent waiting for the broker.

A broker that writes message by message would wake the generator for each. A turn that brought
little is therefore followed by a nap, in which more gathers. It is shorter than the broker needs
for what it has in hand, as the broker's own processor share shows.
"""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import route, wire
from bench.measure import Phases, Round, Timing
from bench.numbers import LAP, Inbox, Laps, Tally
from bench.wire import Connection

Address = tuple[str, int]
Handler = Callable[[], None]
Condition = Callable[[], bool]
POLL_S = 0.1  # the longest a turn of the loop waits
LITTLE = 16  # messages and acknowledgements in one turn
NAP_S = 20e-6  # the kernel makes it 70 or 80
ACK_BUFFER_BYTES = 1 << 18
FETCH_S_MAX = 30.0  # for all that waited for a session
FETCH_PAUSE_S_MAX = 2.0  # nothing comes for so long: the rest is lost


@dataclass(frozen=True, slots=True)
class Stream:
    """The load: `subscribers` of one topic, published to at `qos` and received at `qos`."""

    qos: int
    subscribers: int = 1
    window: int = 100  # unacknowledged messages, QoS 1 and 2
    outstanding_max: int = 2000  # published and not yet received; below LAP
    topic: str = "bench/stream"
    kept: bool = False  # the subscribers' sessions outlive their connections
    away: bool = False  # and they are gone: the rate is that of the acknowledgements


class Publisher:
    """Sends a numbered stream and counts what is acknowledged."""

    def __init__(self, connection: Connection, laps: Laps) -> None:
        self.published = 0
        self.acknowledged = 0  # PUBACK, or PUBCOMP at QoS 2
        self.taken = 0  # PUBACK, or PUBREC at QoS 2: what the window counts
        self.disordered = 0
        self.pings = 0
        self.connection = connection
        self._laps = laps
        self._buffer = bytearray(ACK_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._held = 0
        self._due = {first: _acknowledgements(first) for first in (0x40, 0x50, 0x70)}

    def publish(self, count: int) -> None:
        """Sends the next `count` messages."""
        laps = self._laps
        while count > 0:
            lap, place = divmod(self.published, LAP)
            part = min(count, LAP - place)
            block = memoryview(laps.sent(lap))
            self.connection.send(block[place * laps.size : (place + part) * laps.size])
            self.published += part
            count -= part

    def receive(self) -> None:
        """Takes what the broker answered; sends the PUBRELs that are due."""
        self.connection.flush()
        while count := self.connection.receive_into(self._view[self._held :]):
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
        elif run.first == wire.PUBACK:
            self._check(run, self.taken)
            self.taken += run.count
            self.acknowledged += run.count
        elif run.first == wire.PUBREC:
            self._check(run, self.taken)
            self.taken += run.count
            self.connection.send(wire.answers(wire.PUBREL, self._buffer, run, wire.HEADER_BYTES))
        elif run.first == wire.PUBCOMP:
            self._check(run, self.acknowledged)
            self.acknowledged += run.count
        else:
            raise wire.BrokerError(f"a publisher was sent a packet of type {run.first:#04x}")

    def _check(self, run: wire.Run, done: int) -> None:
        """Acknowledgements come in the order of the messages [MQTT-4.6.0-2]."""
        due, place = self._due[run.first], done % LAP
        stop = run.start + run.count * run.size
        middle = min(stop, run.start + (LAP - place) * run.size)
        same = due.startswith(self._view[run.start : middle], place * run.size)
        if not (same and due.startswith(self._view[middle:stop])):
            self.disordered += run.count


def _acknowledgements(first: int) -> bytes:
    return b"".join(bytes((first, 2)) + (place + 1).to_bytes(2, "big") for place in range(LAP))


class Subscriber:
    """One subscriber's connection with its inbox."""

    def __init__(self, connection: Connection, laps: Laps) -> None:
        self.connection = connection
        self.inbox = Inbox(laps)
        self.tally: Tally = self.inbox.tally

    def receive(self) -> None:
        self.connection.flush()
        count = self.connection.receive_into(self.inbox.room())
        if count and (answer := self.inbox.take(count)):
            self.connection.send(answer)


class StreamRun:
    """One round of a Stream; publisher and subscriber are at two doors where two brokers are."""

    def __init__(self, load: Stream, publish_at: Address, subscribe_at: Address) -> None:
        assert load.outstanding_max < LAP and load.window < LAP
        self._load = load
        self._laps = Laps(load.topic, load.qos)
        self._subscribers = []
        self._connections: list[Connection] = []
        self._subscribe_at = subscribe_at
        for name in self._names():
            if load.kept:
                Connection(subscribe_at, name).close()  # begins with an empty session
            connection = self._connect(subscribe_at, name, load.kept)
            connection.subscribe(load.topic, load.qos)
            if load.away:
                self._connections.pop().close()
            else:
                self._subscribers.append(Subscriber(connection, self._laps))
        self._publisher = Publisher(self._connect(publish_at, "bench-publisher"), self._laps)
        if publish_at != subscribe_at and not load.away:
            route.await_route(self._connections[-1], self._connections[0], load.topic, load.qos)

    def _names(self) -> list[str]:
        return [f"bench-subscriber-{index}" for index in range(self._load.subscribers)]

    def _connect(self, address: Address, client_id: str, kept: bool = False) -> Connection:
        connection = Connection(address, client_id, kept)
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for name in self._names() if self._load.kept else ():
            Connection(self._subscribe_at, name).close()  # what waits for it is given up

    def run(self, timing: Timing, pids: Sequence[int]) -> Round:
        """Raises BrokerError when a broker hangs up or breaks the protocol."""
        poll = select.epoll()
        try:
            handlers = self._register(poll)
            phases = Phases(timing, pids)
            before = 0
            while phases.publishing(self._delivered(), time.monotonic()):
                self._top_up()
                for descriptor, _ in poll.poll(POLL_S):
                    handlers[descriptor]()
                moved = self._delivered() + self._publisher.taken
                if moved - before < LITTLE:
                    time.sleep(NAP_S)
                before = moved
            self._drain(poll, handlers, timing)
            return self._judge(phases.result())
        finally:
            poll.close()

    def fetch(self, result: Round) -> None:
        """Sessions that were away come back for all that was published; `result` counts it."""
        assert self._load.away and self._load.subscribers == 1
        (name,) = self._names()
        connection = Connection(self._subscribe_at, name, kept=True, present=True)
        self._connections.append(connection)
        subscriber = Subscriber(connection, self._laps)
        tally, until = subscriber.tally, time.monotonic() + FETCH_S_MAX
        connection.go()
        while tally.missing(result.published) and time.monotonic() < until:
            if not select.select([connection.socket], [], [], FETCH_PAUSE_S_MAX)[0]:
                break
            subscriber.receive()
        connection.flush()
        result.received = tally.received
        _count(result, [tally])

    def _register(self, poll: select.epoll) -> dict[int, Handler]:
        handlers: dict[int, Handler] = {}
        peers: list[Publisher | Subscriber] = [self._publisher, *self._subscribers]
        for peer in peers:
            peer.connection.go()
            descriptor = peer.connection.socket.fileno()
            handlers[descriptor] = peer.receive
            wanted = select.EPOLLIN
            if peer is self._publisher:
                wanted |= select.EPOLLOUT | select.EPOLLET  # told once when there is room again
            poll.register(descriptor, wanted)
        return handlers

    def _delivered(self) -> int:
        if self._load.away:
            return self._publisher.acknowledged
        return sum(subscriber.tally.received for subscriber in self._subscribers)

    def _top_up(self) -> None:
        publisher, load = self._publisher, self._load
        nexts = [subscriber.tally.next for subscriber in self._subscribers]
        slowest = min(nexts, default=publisher.acknowledged)
        free = load.outstanding_max - (publisher.published - slowest)
        least = load.outstanding_max // 4
        if load.qos:
            free = min(free, load.window - (publisher.published - publisher.taken))
            least = 1
        if free >= least:
            publisher.publish(free)

    def _drain(self, poll: select.epoll, handlers: dict[int, Handler], timing: Timing) -> None:
        """Waits for what is still on its way, then for a PINGRESP behind it on every connection."""
        self._turn_until(poll, handlers, timing, self._complete)
        for connection in self._connections:
            connection.send(wire.PING)
        self._turn_until(poll, handlers, timing, self._answered)

    def _turn_until(
        self, poll: select.epoll, handlers: dict[int, Handler], timing: Timing, done: Condition
    ) -> None:
        end = time.monotonic() + timing.drain_s
        seen, seen_at = self._delivered(), time.monotonic()
        while not done() and (now := time.monotonic()) < end and now - seen_at < timing.stall_s:
            for descriptor, _ in poll.poll(POLL_S):
                handlers[descriptor]()
            if self._delivered() != seen:
                seen, seen_at = self._delivered(), now

    def _complete(self) -> bool:
        published = self._publisher.published
        acknowledged = self._publisher.acknowledged if self._load.qos else published
        return acknowledged >= published and all(
            subscriber.tally.next >= published and not subscriber.tally.missing(published)
            for subscriber in self._subscribers
        )

    def _answered(self) -> bool:
        return bool(self._publisher.pings) and all(
            subscriber.inbox.pings for subscriber in self._subscribers
        )

    def _judge(self, result: Round) -> Round:
        publisher = self._publisher
        result.published = publisher.published
        result.received = self._delivered()
        _count(result, [subscriber.tally for subscriber in self._subscribers])
        if publisher.disordered:
            result.remarks.append(f"{publisher.disordered} acknowledgements out of order")
        if self._load.qos and publisher.acknowledged < publisher.published:
            unanswered = publisher.published - publisher.acknowledged
            result.remarks.append(f"{unanswered} messages never acknowledged")
        return result


def _count(result: Round, tallies: list[Tally]) -> None:
    result.missing = sum(tally.missing(result.published) for tally in tallies)
    result.duplicates = sum(tally.duplicates for tally in tallies)
    result.late = sum(tally.late for tally in tallies)
    result.altered = sum(tally.altered for tally in tallies)
