"""One broker of several is killed: how long until the last of its clients is served by another.

Every client has a kept session. It connects elsewhere in the moment in which it loses its connection,
and tries again when it is turned away. It is served when a message that it then publishes has come
to it through its old subscription. Knows packets; must not know rows.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from statistics import median

from bench import wire
from bench.brokers import Running
from bench.measure import Round
from bench.stream import Address
from bench.wire import Connection

CLIENTS = 200
SERVED_S_MAX = 20.0
RETRY_S = 0.05
READ_BYTES = 4096
CONNACK_BYTES = 4


class Client:
    """At first connected to the broker that is going to be killed."""

    def __init__(self, number: int, home: Address, elsewhere: Address) -> None:
        self.connack_at = self.served_at = 0.0
        self.turned_away = 0
        self.has_session = False
        self._id, self._topic = f"bench-falls-{number}", f"bench/falls/{number}"
        self._payload = f"here again {number}".encode().ljust(64)
        self._elsewhere = elsewhere
        Connection(home, self._id).close()  # begins with an empty session
        connection = Connection(home, self._id, kept=True)
        connection.subscribe(self._topic, 1)
        self.socket = connection.socket
        self._came = b""
        self._next_try_at: float | None = None  # while there is no connection

    @property
    def waits(self) -> bool:
        """Whether it has no connection to read from."""
        return self._next_try_at is not None

    def turn(self, now: float) -> None:
        """Connects elsewhere if it is time."""
        if self._next_try_at is None or now < self._next_try_at:
            return
        try:
            self.socket = socket.create_connection(self._elsewhere, wire.ANSWER_TIMEOUT_S)
            self.socket.sendall(wire.connect(self._id, kept=True))
            self._next_try_at = None
        except OSError:
            self._away(now)

    def receive(self, now: float) -> None:
        """Takes what came; after the end of a connection comes the next try, the first at once."""
        try:
            data = self.socket.recv(READ_BYTES)
        except OSError:
            data = b""
        self._came += data
        if not data:
            self._away(now)
        elif not self.connack_at and len(self._came) >= CONNACK_BYTES:
            self._answered(now)
        elif self._payload in self._came:
            self.served_at = now

    def _answered(self, now: float) -> None:
        present, reason = self._came[2:CONNACK_BYTES]
        if reason:
            self._away(now)
            return
        self.connack_at, self.has_session = now, bool(present)
        self.socket.sendall(wire.publish(self._topic, 1, 1, self._payload))

    def _away(self, now: float) -> None:
        self.socket.close()
        self.turned_away += 1
        self._came = b""
        self.connack_at = 0.0
        self._next_try_at = now if self.turned_away == 1 else now + RETRY_S


def served_elsewhere(running: Running, count: int = CLIENTS) -> Round:
    """Seconds from kill -9 of the first broker until the last of its clients is served."""
    home, *others = running.doors
    clients = [Client(number, home, others[number % len(others)]) for number in range(count)]
    try:
        killed_at = time.monotonic()
        os.kill(running.pids[0], signal.SIGKILL)
        _serve(clients, killed_at + SERVED_S_MAX)
    finally:
        for client in clients:
            client.socket.close()
    served = [client for client in clients if client.served_at]
    result = Round(SERVED_S_MAX, published=count, received=len(served))
    result.missing = count - len(served)
    if served:
        result.value = max(client.served_at for client in served) - killed_at
        result.details = {
            "median, s": median(client.served_at for client in served) - killed_at,
            "last CONNACK, s": max(client.connack_at for client in served) - killed_at,
            "turned away": float(sum(client.turned_away - 1 for client in clients)),
        }
    if bare := sum(not client.has_session for client in served):
        result.remarks.append(f"{bare} clients did not find their session")
    return result


def _serve(clients: Sequence[Client], until: float) -> None:
    left = list(clients)
    while left and (now := time.monotonic()) < until:
        for client in left:
            client.turn(now)
        by_socket = {client.socket: client for client in left if not client.waits}
        for readable in select.select(list(by_socket), [], [], RETRY_S)[0]:
            by_socket[readable].receive(time.monotonic())
        left = [client for client in left if not client.served_at]
