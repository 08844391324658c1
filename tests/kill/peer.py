"""Clients that keep their promises over broken connections, and remember exactly what happened.

Each has a persistent session (3.1.1, clean session 0), a thread of its own, and connects again for as
long as it is wanted. Must not know who kills the broker.
"""

import socket
import threading
from collections.abc import Callable

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Version,
)

V = Version.MQTT311
READ_TIMEOUT_S = 0.05
RETRY_S = 0.02
PACKET_IDS = 60_000


class Peer:
    """One client; `talk` handles what comes, `begin` is called when a CONNACK came."""

    def __init__(self, address: tuple[str, int], client_id: str) -> None:
        self.address = address
        self.client_id = client_id
        self.connections = 0
        self.lost_sessions = 0
        self.wanted = threading.Event()
        self.problem = ""
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._live, daemon=True)

    def start(self) -> None:
        self.wanted.set()
        self._thread.start()

    def end(self) -> None:
        """The connection is dropped without a word; the session stays."""
        self.wanted.clear()
        self._thread.join(20)
        assert not self._thread.is_alive(), self.client_id
        assert not self.problem, f"{self.client_id}: {self.problem}"

    def begin(self, present: bool) -> None:
        """Connected. What is not acknowledged goes again."""

    def talk(self, packet: Packet) -> None:
        """One packet came."""

    def idle(self) -> None:
        """Nothing came for a moment, or something was handled: say what is to be said."""

    def say(self, *packets: Packet) -> None:
        assert self._socket is not None
        self._socket.sendall(b"".join(encode(packet, V) for packet in packets))

    def _live(self) -> None:
        pause = threading.Event()
        while self.wanted.is_set():
            try:
                with socket.create_connection(self.address, 5) as self._socket:
                    self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._serve()
            except AssertionError as error:
                self.problem = repr(error)
                return
            except OSError:
                pause.wait(RETRY_S)

    def _serve(self) -> None:
        assert self._socket is not None
        self.say(Connect(V, self.client_id, False, 60))
        for packet in self._packets():
            if packet is None:
                self.idle()
            elif isinstance(packet, ConnAck):
                assert packet.reason == 0, packet
                self.connections += 1
                if self.connections > 1 and not packet.session_present:
                    self.lost_sessions += 1
                self.begin(packet.session_present)
            else:
                self.talk(packet)

    def _packets(self):  # type: ignore[no-untyped-def]
        assert self._socket is not None
        self._socket.settimeout(READ_TIMEOUT_S)
        data = b""
        while self.wanted.is_set():
            try:
                came = self._socket.recv(65_536)
            except TimeoutError:
                yield None
                continue
            if not came:
                return
            data += came
            frames, rest = split(data, 1_000_000)
            for first, start, end in frames:
                yield decode(first, data[start:end], V)
            data = data[rest:]
            yield None


class Publisher(Peer):
    """Publishes 1, 2, 3, ... to its topic, at most `window` unanswered.

    `acknowledged` are the numbers whose PUBACK or PUBCOMP came. A number is used until then.
    """

    def __init__(
        self, address: tuple[str, int], client_id: str, qos: int, window: int = 20
    ) -> None:
        super().__init__(address, client_id)
        self.qos = qos
        self.window = window
        self.topic = f"t/{qos}/{client_id}"
        self.number = 0
        self.acknowledged: list[int] = []
        self.enough = threading.Event()
        self._ready = False
        self._open: dict[int, int] = {}  # packet id: number, without an answer
        self._received: dict[int, int] = {}  # the same, PUBREC came

    def begin(self, present: bool) -> None:
        if not present:  # the broker has forgotten what it said PUBREC for: begin again
            self._open = dict(sorted((self._received | self._open).items(), key=lambda e: e[1]))
            self._received = {}
        again = sorted(self._received) and [PubRel(packet_id) for packet_id in self._received]
        self.say(*(again or ()), *(self._publish(*each, dup=True) for each in self._open.items()))
        self._ready = True

    def talk(self, packet: Packet) -> None:
        match packet:
            case PubAck() if self.qos == 1:
                number = self._open.pop(packet.packet_id, None)
                if number is not None:
                    self.acknowledged.append(number)
            case PubRec() if self.qos == 2:
                if packet.packet_id in self._open:
                    self._received[packet.packet_id] = self._open.pop(packet.packet_id)
                self.say(PubRel(packet.packet_id))
            case PubComp() if self.qos == 2:
                number = self._received.pop(packet.packet_id, None)
                if number is not None:
                    self.acknowledged.append(number)
            case _:
                raise AssertionError(f"unexpected {packet}")

    def idle(self) -> None:
        fresh = []
        while (
            self._ready
            and not self.enough.is_set()
            and len(self._open) + len(self._received) < self.window
        ):
            self.number += 1
            packet_id = self.number % PACKET_IDS + 1
            self._open[packet_id] = self.number
            fresh.append(self._publish(packet_id, self.number))
        if fresh:
            self.say(*fresh)

    def answered(self) -> bool:
        """Whether every message has its last answer."""
        return not (self._open or self._received)

    def _serve(self) -> None:
        self._ready = False
        super()._serve()

    def _publish(self, packet_id: int, number: int, dup: bool = False) -> Publish:
        return Publish(self.topic, b"%d" % number, self.qos, dup=dup, packet_id=packet_id)


class Subscriber(Peer):
    """Takes everything below t/; `came` is, by topic, every number in the order of its delivery.

    A QoS 2 message counts when its packet id is new: the client's half of exactly once.
    """

    def __init__(self, address: tuple[str, int], client_id: str, qos: int) -> None:
        super().__init__(address, client_id)
        self.qos = qos
        self.came: dict[str, list[int]] = {}
        self.subscribed = threading.Event()
        self._held: set[int] = set()

    def begin(self, present: bool) -> None:
        if not present:
            self._held.clear()
            self.say(Subscribe(1, (Subscription("t/#", self.qos),)))

    def talk(self, packet: Packet) -> None:
        match packet:
            case SubAck():
                self.subscribed.set()
            case Publish():
                if packet.qos < 2 or packet.packet_id not in self._held:
                    self.came.setdefault(packet.topic, []).append(int(packet.payload))
                if packet.qos == 1:
                    self.say(PubAck(packet.packet_id))
                elif packet.qos == 2:
                    self._held.add(packet.packet_id)
                    self.say(PubRec(packet.packet_id))
            case PubRel():
                self._held.discard(packet.packet_id)
                self.say(PubComp(packet.packet_id))
            case _:
                raise AssertionError(f"unexpected {packet}")


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in that time."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        pause.wait(0.02)
    return condition()
