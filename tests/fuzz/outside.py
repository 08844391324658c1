"""Plays a script against a real daemon: bytes on sockets, several clients at once.

Its clock cannot be turned and its disk not be broken from here, so those actions are left out; it
must not write a traceback, must not grow, and must serve a good client after every script.
"""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.wire import Connection
from tests.fuzz.script import Action
from tests.gateways import Gateway, free_port

GROWN_MB_MAX = 80  # limits of sessions and retained messages leave room for no more
SEND_TIMEOUT_S = 2.0


class Outside:
    """One daemon over many scripts."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.address = ("127.0.0.1", gateway.port)
        assert gateway._process is not None
        self._process = psutil.Process(gateway._process.pid)
        self._begin_bytes = self._process.memory_info().rss

    def play(self, actions: list[Action]) -> None:
        sockets: dict[int, socket.socket] = {}
        for action in actions:
            match action:
                case ["open", int(client), _]:
                    if client in sockets:
                        sockets.pop(client).close()
                    sockets[client] = socket.create_connection(self.address, SEND_TIMEOUT_S)
                case ["say", int(client), str(data)] if client in sockets:
                    self._say(sockets[client], bytes.fromhex(data))
                case ["lose", int(client)] if client in sockets:
                    sockets.pop(client).close()
        for each in sockets.values():
            each.close()
        self._good_client()

    def _say(self, line: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it was closed, or is not read: both are answers
            line.sendall(data)
            line.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                line.recv(65_536)
        line.settimeout(SEND_TIMEOUT_S)

    def _good_client(self) -> None:
        good = Connection(self.address, "good")
        good.subscribe("good", 1)
        good.socket.sendall(bytes.fromhex("3209 0004 676f6f64 0007 21"))
        came = {good.read_packet()[0] & 0xF0, good.read_packet()[0] & 0xF0}
        assert came == {0x30, 0x40}, came
        good.close()
        log = self.gateway.log()
        assert "Traceback" not in log, log[-4_000:]
        grown_mb = (self._process.memory_info().rss - self._begin_bytes) / 1e6
        assert grown_mb < GROWN_MB_MAX, f"grown by {grown_mb:.0f} MB"


@contextlib.contextmanager
def daemon() -> Iterator[Outside]:
    """A gateway of its own for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        limits: dict[str, object] = {"queue_messages_max": 200, "queue_bytes_max": 2_000_000}
        port = free_port()
        gateway = Gateway("fuzz", "127.0.0.1", Path(folder), port=port, mqtt=limits)
        gateway.start()
        try:
            yield Outside(gateway)
        finally:
            gateway.close()
