"""A client that keeps its promises over broken connections: what all of them have in common.

Each has a persistent session and a thread of its own, and connects again for as long as it is wanted. A
roaming one also leaves a connection that works for a new one, as a device does that changes its network:
what the old one still holds is never read. One that knows several gateways goes to the next of them each
time. Must not know who kills the broker, or what is said.
"""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Version,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties

V311, V5 = Version.MQTT311, Version.MQTT5
PACKET_BYTES_MAX = 1_000_000
SESSION_EXPIRY_S = 36_000
CONNECT_TIMEOUT_S = 5.0
LET_GO_S = 10.0  # the broker has closed a connection that was left by then
READ_TIMEOUT_S = 0.05
RETRY_S = 0.02
PINGS = 4  # in the time after which silence is the end of a connection

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Habits:
    """`others`: where it goes besides its first gateway, in turn. `patience_s`: after so long without
    a sign of life it gives a connection up; 0: never. `stay_s`: of one that roams, at least and at most.
    """

    others: tuple[Address, ...] = ()
    patience_s: float = 0.0
    stay_s: tuple[float, float] = (0.05, 0.6)


FAITHFUL = Habits()


class Peer:
    """One client; `talk` handles what comes, `begin` is called when a CONNACK came.

    `roams` is the dice of one that changes connections; without, it stays.
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        version: Version = V311,
        roams: Random | None = None,
        habits: Habits = FAITHFUL,
    ) -> None:
        self.address = address
        self.client_id = client_id
        self.version = version
        self.connections = 0
        self.moves = 0
        self.lost_sessions = 0
        self.refused = 0  # by a gateway that said so
        self.path: list[str] = []  # where it was served, and why it left
        self.wanted = threading.Event()
        self.problem = ""
        self._habits = habits
        self._doors = itertools.cycle((*habits.others, address))
        self._heard_at = self._pinged_at = 0.0
        self._roams = roams
        self._move_at = 0.0
        self._socket: socket.socket | None = None
        self._left: socket.socket | None = None  # the connection before, not closed by us
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
        self._socket.sendall(b"".join(encode(packet, self.version) for packet in packets))

    def _live(self) -> None:
        try:
            self._come_and_go()
        finally:
            for line in (self._socket, self._left):
                if line is not None:
                    line.close()

    def _come_and_go(self) -> None:
        pause = threading.Event()
        while self.wanted.is_set():
            try:
                self._socket = connection(
                    self.address, self._habits.patience_s or CONNECT_TIMEOUT_S
                )
                self._serve()
                self._leave()
            except AssertionError as error:
                self.problem = repr(error)
                return
            except OSError as error:
                self.path.append(f"{time.monotonic():.3f} {error!r}")
                self._move_at = 0.0
                self._leave()
                pause.wait(RETRY_S)
            self.address = next(self._doors)

    def _leave(self) -> None:
        """Closes the connection, or keeps it open for the next one to take the session from."""
        line, self._socket = self._socket, None
        if line is not None and self._move_at and self.wanted.is_set():
            self.moves += 1
            self._left = line
        elif line is not None:
            line.close()

    def _serve(self) -> None:
        self._move_at = 0.0
        self._heard_at = self._pinged_at = time.monotonic()
        self.say(session(self.client_id, self.version))
        connected = False
        for packet in packets(self._socket, self.version, self._stays):
            if packet is None:
                self._expect_life(connected)
                self.idle()
                continue
            self._heard_at = time.monotonic()
            match packet:
                case ConnAck():
                    self._connected(packet)
                    connected = True
                case Disconnect():
                    raise ConnectionResetError(f"{packet}")
                case PingResp():
                    pass
                case _:
                    self.talk(packet)

    def _connected(self, packet: ConnAck) -> None:
        if packet.reason:
            assert self._habits.others, packet
            self.refused += 1
            raise ConnectionRefusedError(f"{packet}")
        self._came_over()
        self.connections += 1
        there = "" if packet.session_present else ", no session"
        self.path.append(f"{time.monotonic():.3f} at {self.address[0]}{there}")
        if self.connections > 1 and not packet.session_present:
            self.lost_sessions += 1
        self.begin(packet.session_present)
        if self._roams is not None:
            self._move_at = time.monotonic() + self._roams.uniform(*self._habits.stay_s)

    def _expect_life(self, connected: bool) -> None:
        """Pings now and then, and gives up a connection on which nothing comes."""
        now, patience_s = time.monotonic(), self._habits.patience_s
        if not patience_s:
            return
        if now - self._heard_at > patience_s:
            raise TimeoutError(f"nothing from {self.address}")
        if connected and now - self._pinged_at > patience_s / PINGS:
            self._pinged_at = now
            self.say(PingReq())

    def _stays(self) -> bool:
        return self.wanted.is_set() and not 0 < self._move_at <= time.monotonic()

    def _came_over(self) -> None:
        """The session is taken over: the connection before is closed by the broker, if it can be."""
        line, self._left = self._left, None
        if line is not None and self._habits.others:
            line.close()
        elif line is not None:
            with line, contextlib.suppress(ConnectionError):
                line.settimeout(LET_GO_S)
                while line.recv(65_536):
                    pass


def session(client_id: str, version: Version, **options: object) -> Connect:
    """CONNECT for a session that stays; without a keep-alive, for some say nothing for minutes."""
    properties = NO_PROPERTIES
    if version is V5:
        properties = Properties(session_expiry_interval_s=SESSION_EXPIRY_S)
    return Connect(version, client_id, False, 0, properties=properties, **options)  # type: ignore[arg-type]


def connection(address: Address, within_s: float = CONNECT_TIMEOUT_S) -> socket.socket:
    """A connected socket that sends at once and is read in short turns."""
    line = socket.create_connection(address, within_s)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.settimeout(READ_TIMEOUT_S)
    return line


def packets(
    line: socket.socket | None, version: Version, wanted: Callable[[], bool]
) -> Iterator[Packet | None]:
    """What comes, until the end of it or `wanted` says no; None when there is time for other things."""
    assert line is not None
    data = b""
    while wanted():
        try:
            came = line.recv(65_536)
        except TimeoutError:
            yield None
            continue
        if not came:
            return
        data += came
        frames, rest = split(data, PACKET_BYTES_MAX)
        for first, start, end in frames:
            yield decode(first, data[start:end], version)
        data = data[rest:]
        yield None


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it became true in that time."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        pause.wait(0.02)
    return condition()
