"""How long single messages take beside a load: delays, and the quiet client that collects them.

A probe has one message under way, on a topic of its own that it subscribes to. Its delay is the time
until the message has come back and, at QoS 1, is acknowledged. Knows packets; must not know what
the load beside it is.
"""

from statistics import median

from bench import wire
from bench.stream import Address
from bench.wire import Connection

EVERY_S = 0.002  # from the answer to the next message
PAYLOAD = bytes(64)
PERCENTILE = 0.99


class Delays:
    """Seconds, each with how many messages took them."""

    def __init__(self) -> None:
        self._all: list[tuple[float, int]] = []

    def add(self, seconds: float, messages: int = 1) -> None:
        self._all.append((seconds, messages))

    def clear(self) -> None:
        self._all.clear()

    @property
    def count(self) -> int:
        return sum(messages for _, messages in self._all)

    @property
    def median_ms(self) -> float:
        return 1e3 * median(seconds for seconds, _ in self._all) if self._all else 0.0

    @property
    def p99_ms(self) -> float:
        """The least time within which 99 of 100 were done; 0 without any."""
        left = self.count * (1 - PERCENTILE)
        for seconds, messages in sorted(self._all, reverse=True):
            left -= messages
            if left < 0:
                return 1e3 * seconds
        return 0.0

    @property
    def longest_ms(self) -> float:
        return 1e3 * max((seconds for seconds, _ in self._all), default=0.0)


class Probe:
    """One quiet client. Call `turn` every millisecond or so, and `receive` when it is readable."""

    def __init__(self, address: Address, qos: int) -> None:
        assert qos in (0, 1)
        self.delays = Delays()
        self.connection = Connection(address, f"bench-probe-{qos}")
        topic = f"probe/{qos}"
        self.connection.subscribe(topic, qos)
        self._qos = qos
        self._frame = wire.publish(topic, qos, 1, PAYLOAD)
        self._id_at = wire.HEADER_BYTES + len(wire.text(topic))
        self._buffer = bytearray(1 << 12)
        self._held = 0
        self._due: set[int] = set()  # packet types that are still to come
        self._sent_at = 0.0
        self._next_at = 0.0

    def turn(self, now: float) -> None:
        """Sends the next message if it is time."""
        if not self._due and now >= self._next_at:
            self._due = {wire.PUBLISH, wire.PUBACK} if self._qos else {wire.PUBLISH}
            self._sent_at = now
            self.connection.send(self._frame)

    def receive(self, now: float) -> None:
        """Takes what came. Raises BrokerError for what nobody asked for."""
        view = memoryview(self._buffer)
        end = self._held + self.connection.receive_into(view[self._held :])
        done = 0
        for run in wire.runs(self._buffer, end):
            done = run.start + run.count * run.size
            kind = run.first & 0xF0
            if kind not in self._due or run.count > 1:
                raise wire.BrokerError(f"a probe was sent a packet of type {run.first:#04x}")
            self._due.discard(kind)
            if kind == wire.PUBLISH and self._qos:
                self.connection.send(wire.answers(wire.PUBACK, self._buffer, run, self._id_at))
            if not self._due:
                self.delays.add(now - self._sent_at)
                self._next_at = now + EVERY_S
        self._held = end - done
        self._buffer[: self._held] = self._buffer[done:end]

    def waited(self, now: float) -> None:
        """Counts the message under way with the time that it has taken already."""
        if self._due:
            self.delays.add(now - self._sent_at)
