"""MQTT over TCP: sockets on one side, connections of the broker on the other.

Carries bytes and back-pressure both ways. Must not know what a packet is.
"""

import asyncio
import ipaddress
import logging
import socket
from typing import cast

from gateway.broker.connection import Connection
from gateway.broker.outbox import Outbox
from gateway.shell.runtime import Runtime
from gateway.shell.unsent import Line

logger = logging.getLogger("gatewayd")

WRITE_BYTES_HIGH = 1_048_576  # unsent to one client: from here on it is congested
WRITE_BYTES_LOW = 262_144
# A client may announce no keep-alive and lose its power: the kernel asks after it when it was silent
# for KEEP_IDLE_S, and gives up after a minute, or when what was sent is not acknowledged for that long.
KEEP_IDLE_S, KEEP_INTERVAL_S, KEEP_PROBES = 60, 15, 4
UNACKNOWLEDGED_MS = 60_000
FULL_READ_BYTES = 250_000  # about what the event loop reads at once: the socket holds more
UNIX = "unix"  # stands for the address of a local socket's client, which has none
CLOSE_TIMEOUT_S = 5.0  # for a client that does not read what is said before the close


def watch_for_dead_peers(listening: socket.socket) -> None:
    """Sets the kernel's own keep-alive; what is accepted inherits it from the listening socket."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, KEEP_IDLE_S),
        (socket.TCP_KEEPINTVL, KEEP_INTERVAL_S),
        (socket.TCP_KEEPCNT, KEEP_PROBES),
        (socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS),
    ):
        listening.setsockopt(socket.IPPROTO_TCP, option, value)


def is_local(transport: asyncio.BaseTransport) -> bool:
    """Whether the other end is on this machine: by loopback, or from the address it connects to."""
    peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if not isinstance(own, tuple):
        return isinstance(own, str)  # a local socket has a path
    if not isinstance(peer, tuple):
        return False  # gone before it could be asked for; what it sent is read all the same
    ip = ipaddress.ip_address(peer[0].split("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return peer[0] == own[0] or (mapped or ip).is_loopback


def address_of(transport: asyncio.BaseTransport) -> str:
    """The other end's IP address, or what stands for it; empty when it is gone already."""
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple):
        return str(peer[0])
    return "" if peer is None else UNIX


class Guest:
    """An admitted connection whose client cannot speak MQTT yet: something comes before it."""

    def __init__(
        self, runtime: Runtime, connection: Connection, transport: asyncio.Transport
    ) -> None:
        self.connection = connection
        self._runtime = runtime
        self._transport = transport
        connection.outbox.owner = self
        runtime.schedule()  # another may have had to go for it

    def flush(self) -> None:
        """It took too long, or had to make way."""
        if self.connection.outbox.ended:
            self._transport.abort()

    def gone(self) -> None:
        """Its socket is closed."""
        self.connection.outbox.owner = None
        self.connection.lost(self._runtime.now())
        self._runtime.node.broker.entrance.left(self.connection)
        self._runtime.schedule()


# [MQTT-4.2.0-1]
class ClientProtocol(asyncio.Protocol):
    """One client's socket. `connection` is given for one that was admitted before."""

    __slots__ = ("_connection", "_full", "_line", "_paused", "_runtime", "_transport")

    def __init__(self, runtime: Runtime, connection: Connection | None = None) -> None:
        self._runtime = runtime
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._line: Line | None = None
        self._full = False  # the socket takes no more for now
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(WRITE_BYTES_HIGH, WRITE_BYTES_LOW)
        runtime = self._runtime
        if self._connection is None:
            broker, local = runtime.node.broker, is_local(transport)
            self._connection = broker.entrance.admit(address_of(transport), local, runtime.now())
        if self._connection is None:
            self._transport.abort()
            return
        self._connection.outbox.owner = self
        self._line = runtime.unsent.joined(self)
        runtime.schedule()  # another may have had to go for it

    def data_received(self, data: bytes) -> None:
        if self._connection is None:
            return  # it was not admitted
        try:
            self._connection.receive(data, self._runtime.now())
        except Exception:
            self._fail(self._connection)
        if not self._runtime.scheduled:
            self._runtime.schedule()
        if len(data) >= FULL_READ_BYTES:
            self._let_others_come()

    def _fail(self, connection: Connection) -> None:
        """A mistake of ours costs this client its connection, and nobody else."""
        logger.exception("a client's bytes were not understood; it is cut off")
        try:
            connection.failed(self._runtime.now())
        except Exception:
            logger.exception("the client could not be told")
            assert self._transport is not None
            self._transport.abort()

    def _let_others_come(self) -> None:
        """There is more, and the loop would read it up to 32 times over before it looks elsewhere."""
        if not self._paused:
            assert self._transport is not None
            self._transport.pause_reading()
            self._runtime.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        assert self._transport is not None
        if not (self._paused or self._transport.is_closing()):
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is None:
            return  # it was not admitted
        self._connection.outbox.owner = None
        assert self._line is not None
        self._runtime.unsent.left(self._line)
        self._connection.lost(self._runtime.now())
        self._runtime.node.broker.entrance.left(self._connection)
        self._runtime.schedule()

    def pause_writing(self) -> None:
        self._full = True
        self._tell_congested()

    def resume_writing(self) -> None:
        self._full = False
        self._tell_congested()

    def hold(self, held: bool) -> None:
        """All clients together have too much unsent, and this one is behind, or must wait."""
        self._tell_congested()

    def unsent(self) -> int:
        """Bytes that were written and not taken."""
        assert self._transport is not None
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    def cut_off(self) -> None:
        """It takes nothing, and keeps others waiting."""
        assert self._connection is not None and self._transport is not None
        self._runtime.node.broker.closed_unread(self._connection, self._runtime.now())
        self._transport.abort()

    def flush(self) -> None:
        """Writes the outbox; closes, or stops and starts reading, as the connection asks."""
        assert self._connection is not None and self._transport is not None
        outbox, unsent = self._connection.outbox, self._runtime.unsent
        if outbox.ready and (unsent.used <= unsent.half or self._may_write(outbox)):
            data = outbox.take()
            self._transport.write(data)  # says nothing if the connection is over already
            self._runtime.node.broker.vitals.bytes_out += len(data)
            if self._line is not None:
                unsent.wrote(self._line, len(data))
        if outbox.look:
            outbox.look = False
            self._look(self._connection, self._transport)

    def _look(self, connection: Connection, transport: asyncio.Transport) -> None:
        if transport.is_closing():
            return
        if connection.outbox.ended:
            transport.close()
            self._runtime.loop.call_later(CLOSE_TIMEOUT_S, transport.abort)
        elif self._paused == connection.reading:
            self._paused = not self._paused
            if self._paused:
                transport.pause_reading()
            else:
                transport.resume_reading()
                try:
                    connection.resume()
                except Exception:
                    self._fail(connection)
                self._runtime.schedule()

    def _may_write(self, outbox: Outbox) -> bool:
        """Whether all clients together, who have much unsent, leave room for what is in the outbox."""
        if outbox.ended or self._line is None:
            return True
        return self._runtime.unsent.takes(self._line, sum(map(len, outbox.pieces)))

    def _tell_congested(self) -> None:
        assert self._connection is not None and self._line is not None
        congested = self._full or self._line.held
        runtime = self._runtime
        if congested != self._connection.outbox.congested:
            runtime.node.broker.congested(self._connection, congested, runtime.now())
            runtime.schedule()
