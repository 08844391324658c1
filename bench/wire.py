"""As much of MQTT 3.1.1 as a load generator speaks, for whole batches of packets at a time.

A batch is cut into runs: neighbours of one packet type and one length. Within a run every field
stands at a fixed stride, so packet ids are copied and acknowledgements are built by strided slices,
and a message costs no Python of its own. Every packet here has a remaining length below 128, thus a
header of two bytes. Knows bytes and sockets; must not know rows, rounds or brokers.
"""

import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
PUBREC = 0x50
PUBREL = 0x62
PUBCOMP = 0x70
SUBACK = 0x90
PINGREQ = 0xC0
PINGRESP = 0xD0

PING = bytes((PINGREQ, 0))
ACK_BYTES = 4  # PUBACK, PUBREC, PUBREL and PUBCOMP of 3.1.1
HEADER_BYTES = 2
RUN_PACKETS_MAX = 256  # so that a batch of many short runs is not looked through again for each
ANSWER_TIMEOUT_S = 10.0  # a broker that has not answered CONNECT or SUBSCRIBE by then is broken


class BrokerError(Exception):
    """The broker did what no broker may do: it refused, hung up, or broke the protocol."""


@dataclass(slots=True)
class Run:
    """`count` packets of `size` bytes, each with `first` as its first byte, from `start` on."""

    first: int
    start: int
    count: int
    size: int


def runs(buffer: bytearray, end: int) -> Iterator[Run]:
    """Cuts `buffer[:end]` into runs of whole packets; what is left after the last is incomplete.

    Raises BrokerError for a packet of 128 bytes or more, which nobody here asks for.
    """
    start = 0
    while end - start >= HEADER_BYTES:
        first, length = buffer[start], buffer[start + 1]
        if length > 127:
            raise BrokerError(
                f"a packet of type {first:#04x} is longer than any that was asked for"
            )
        size = HEADER_BYTES + length
        count = min((end - start) // size, RUN_PACKETS_MAX)
        if count == 0:
            return
        if count > 1:
            stop = start + count * size
            types = buffer[start:stop:size].lstrip(bytes((first,)))
            lengths = buffer[start + 1 : stop : size].lstrip(bytes((length,)))
            count -= max(len(types), len(lengths))
        yield Run(first, start, count, size)
        start += count * size


def answers(first: int, buffer: bytearray, run: Run, id_offset: int) -> bytearray:
    """A packet beginning with `first` for each packet of `run`, with the same packet id.

    `id_offset` is where the packet id stands within a packet of the run.
    """
    answer = bytearray((first, 2, 0, 0)) * run.count
    high = run.start + id_offset
    stop = run.start + run.count * run.size
    answer[2::ACK_BYTES] = buffer[high : stop : run.size]
    answer[3::ACK_BYTES] = buffer[high + 1 : stop : run.size]
    return answer


def text(value: str) -> bytes:
    """A string as MQTT writes it: two bytes of length, then UTF-8."""
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def packet(first: int, body: bytes) -> bytes:
    """A whole packet of at most 129 bytes."""
    assert len(body) < 128
    return bytes((first, len(body))) + body


def publish(topic: str, qos: int, packet_id: int, payload: bytes) -> bytes:
    """A PUBLISH; `packet_id` is left out at QoS 0."""
    identifier = packet_id.to_bytes(2, "big") if qos else b""
    return packet(PUBLISH | qos << 1, text(topic) + identifier + payload)


def connect(client_id: str, kept: bool) -> bytes:
    """A CONNECT without keep-alive."""
    flags = 0 if kept else 2  # clean session
    return packet(0x10, text("MQTT") + bytes((4, flags, 0, 0)) + text(client_id))


class Connection:
    """One client's connection, no keep-alive; blocking until `go` is called.

    A clean session, or with `kept` one that outlives the connection, and with `present` one that
    must be there already.
    """

    def __init__(
        self, address: tuple[str, int], client_id: str, kept: bool = False, present: bool = False
    ) -> None:
        self.socket = socket.create_connection(address, timeout=ANSWER_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unsent: deque[memoryview] = deque()
        try:
            self.socket.sendall(connect(client_id, kept))
            answer = self.read_packet()
            if answer != bytes((CONNACK, 2, present, 0)):
                raise BrokerError(f"CONNECT was answered with {answer.hex()}")
        except BaseException:
            self.socket.close()
            raise

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Blocks until SUBACK; raises BrokerError unless `qos` was granted."""
        self.socket.sendall(packet(0x82, b"\0\1" + text(topic_filter) + bytes((qos,))))
        answer = self.read_packet()
        if answer != bytes((SUBACK, 3, 0, 1, qos)):
            raise BrokerError(f"SUBSCRIBE at QoS {qos} was answered with {answer.hex()}")

    def read_packet(self) -> bytes:
        """Blocks for one whole packet. Raises BrokerError when the broker hangs up or is silent."""
        header = self._read(HEADER_BYTES)
        return header + self._read(header[1])

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except TimeoutError as error:
                raise BrokerError("no answer from the broker") from error
            if not more:
                raise BrokerError("the broker closed the connection")
            data += more
        return data

    def go(self) -> None:
        """From now on `send` never blocks."""
        self.socket.setblocking(False)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Sends what the socket takes and keeps the rest, in order, for `flush`."""
        self._unsent.append(memoryview(data))
        self.flush()

    @property
    def idle(self) -> bool:
        """Whether the socket has taken all that was sent."""
        return not self._unsent

    def flush(self) -> None:
        """Sends what was kept, as far as the socket takes it."""
        unsent = self._unsent
        while unsent:
            data = unsent[0]
            try:
                sent = self.socket.send(data)
            except BlockingIOError:
                return
            except OSError as error:
                raise BrokerError(f"the broker closed the connection ({error.strerror})") from error
            if sent < len(data):
                unsent[0] = data[sent:]
                return
            unsent.popleft()

    def receive_into(self, view: memoryview) -> int:
        """How many bytes were read into `view`; 0 for none. Raises BrokerError at the end."""
        try:
            count = self.socket.recv_into(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise BrokerError(f"the broker closed the connection ({error.strerror})") from error
        if count == 0:
            raise BrokerError("the broker closed the connection")
        return count

    def close(self) -> None:
        self.socket.close()
