"""The way from an accepted socket to the one who speaks MQTT on it, for all but plain TCP.

    socket -> TLS handshake -> WebSocket opening -> MQTT        each only where the port has it

The socket is admitted before anything else: from then on it counts at the door, and has as long for all
of this as a client has for its CONNECT. The TLS settings are asked for at each handshake, so that new
ones hold from the next client on. Must not know ports, or where certificates come from.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from gateway.broker.connection import Connection
from gateway.limits import CONNECT_TIMEOUT_S
from gateway.shell.certificate import common_name
from gateway.shell.clients import ClientProtocol, Guest, address_of, is_local
from gateway.shell.runtime import Runtime

logger = logging.getLogger("gatewayd")


@dataclass(frozen=True, slots=True)
class Way:
    """What stands between a port and MQTT. `secure` gives the TLS settings of now."""

    secure: Callable[[], ssl.SSLContext] | None = None
    websocket: bool = False


class Entrance(asyncio.Protocol):
    """One socket, until it is handed over."""

    def __init__(self, runtime: Runtime, way: Way) -> None:
        self._runtime = runtime
        self._way = way
        self._transport: asyncio.Transport | None = None
        self._guest: Guest | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""  # came before the handshake was ready for it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        runtime = self._runtime
        broker, local = runtime.node.broker, is_local(transport)
        connection = broker.admit(address_of(transport), local, runtime.now())
        if connection is None:
            self._transport.abort()
            return
        self._guest = Guest(runtime, connection, self._transport)
        self._go_on()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._early += data
        self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.gone()

    def _go_on(self) -> None:
        loop = self._runtime.loop
        if self._way.secure is not None:
            self._handshake = loop.create_task(self._secure(self._way.secure()))
            # In the turn after this the task has begun, in the next one the handshake can read.
            loop.call_soon(loop.call_soon, self._pass_on_early)
        else:
            assert self._transport is not None
            self._hand_over(self._transport)

    def _pass_on_early(self) -> None:
        assert self._transport is not None
        protocol = self._transport.get_protocol()
        if self._transport.is_closing() or protocol is self:
            return
        handshake = cast(asyncio.BufferedProtocol, protocol)
        data, self._early = self._early, b""
        while data:
            room = memoryview(handshake.get_buffer(len(data)))
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            handshake.buffer_updated(taken)
            data = data[taken:]

    async def _secure(self, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        try:
            secured = await self._runtime.loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=CONNECT_TIMEOUT_S,
            )
        except OSError as error:  # also SSLError
            self._failed(error)
            return
        if secured is None or self._guest is None:
            return  # it was lost, or had to make way
        certificate = secured.get_extra_info("peercert")
        if certificate:
            name = common_name(certificate)
            self._guest.connection.certified = name
            if not name:
                self._failed(ValueError("its certificate has no common name, which is the user"))
                return
        self._hand_over(secured)

    def _failed(self, error: Exception) -> None:
        assert self._transport is not None
        self._transport.abort()
        if self._guest is not None and not self._guest.connection.outbox.ended:
            self._runtime.node.broker.vitals.handshakes_failed += 1
            address = self._guest.connection.address
            logger.info("a client at %s is cut off: no TLS with it: %s", address, _words(error))
        self.connection_lost(error)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        assert self._guest is not None
        connection, self._guest = self._guest.connection, None
        protocol = _speaker(self._runtime, connection, self._way.websocket)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def _speaker(runtime: Runtime, connection: Connection, websocket: bool) -> asyncio.Protocol:
    if not websocket:
        return ClientProtocol(runtime, connection)
    from gateway.shell.websocket import WebSocketProtocol  # a gateway without it does without

    return WebSocketProtocol(runtime, connection)


def _words(error: Exception) -> str:
    """OpenSSL's word for it, made readable, where there is one."""
    reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or ""
    return str(reason).replace("_", " ").lower() or str(error) or "it went away"
