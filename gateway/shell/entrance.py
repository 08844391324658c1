"""The way from an accepted socket to the one who speaks MQTT on it, for all but plain TCP.

    socket -> PROXY header -> TLS handshake -> WebSocket opening -> MQTT, where the port has it

The socket is admitted before anything else: from then on it counts at the door, and has as long for all
of this as a client has for its CONNECT. The TLS settings are asked for at each handshake, so that new
ones hold from the next client on. Who comes by a proxy is at the address that the proxy names, and never
counts as local. Must not know ports, or where certificates come from.
"""

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from gateway.broker.connection import Connection
from gateway.proxy_protocol import Origin, ProxyError, read_header
from gateway.shell.certificate import common_name
from gateway.shell.clients import ClientProtocol, Guest, address_of, is_local
from gateway.shell.runtime import Runtime

logger = logging.getLogger("gatewayd")


Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """What stands between a port and MQTT.

    `secure` gives the TLS settings of now; `proxies` are who may connect, with a PROXY header, where
    that is so.
    """

    secure: Callable[[], ssl.SSLContext] | None = None
    websocket: bool = False
    proxies: Networks | None = None


class Entrance(asyncio.Protocol):
    """One socket, until it is handed over."""

    def __init__(self, runtime: Runtime, way: Way) -> None:
        self._runtime = runtime
        self._way = way
        self._transport: asyncio.Transport | None = None
        self._guest: Guest | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._early = b""  # came before what comes next was ready for it
        self._is_named = way.proxies is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        broker, now = self._runtime.node.broker, self._runtime.now()
        address, connection = address_of(transport), None
        if self._way.proxies is None:
            connection = broker.entrance.admit(address, is_local(transport), now)
        elif _is_in(address, self._way.proxies):
            connection = broker.entrance.admit_unnamed(address, now)
        else:
            broker.vitals.refused_proxies += 1
            broker.vitals.last_refused_at = now
        if connection is None:
            self._transport.abort()
            return
        self._guest = Guest(self._runtime, connection, self._transport)
        if self._way.proxies is None:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._guest is None:
            return  # it was not admitted, or is cut off
        self._early += data
        if self._is_named:
            self._transport.pause_reading()
        else:
            self._read_header(self._guest)

    def _read_header(self, guest: Guest) -> None:
        assert self._transport is not None
        broker, now = self._runtime.node.broker, self._runtime.now()
        try:
            header = read_header(self._early)
        except ProxyError as error:
            broker.vitals.malformed_proxies += 1
            broker.vitals.last_refused_at = now
            self._cut_off(f"{error}; see its send-proxy")
            return
        if header is None:
            return
        self._early = self._early[header.length :]
        is_proxys = header.origin is Origin.PROXY
        address = header.address or guest.connection.address
        local = is_proxys and is_local(self._transport)
        if not broker.entrance.named(guest.connection, address, local, now):
            self._cut_off("")
            return
        self._is_named = True
        self._go_on()

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
                ssl_handshake_timeout=self._runtime.node.broker.state.settings.connect_timeout_s,
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
        if self._guest is not None and not self._guest.connection.outbox.ended:
            self._runtime.node.broker.vitals.handshakes_failed += 1
            self._cut_off(f"no TLS with it: {_words(error)}")
        else:
            self._cut_off("")

    def _cut_off(self, why: str) -> None:
        assert self._transport is not None
        self._transport.abort()
        if why and self._guest is not None:
            address = self._guest.connection.address
            logger.info("a client at %s is cut off: %s", address, why)
        self.connection_lost(None)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        assert self._guest is not None
        connection, self._guest = self._guest.connection, None
        protocol = _speaker(self._runtime, connection, self._way.websocket)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(self._early)
            self._early = b""


def _speaker(runtime: Runtime, connection: Connection, websocket: bool) -> asyncio.Protocol:
    if not websocket:
        return ClientProtocol(runtime, connection)
    from gateway.shell.websocket import WebSocketProtocol  # a gateway without it does without

    return WebSocketProtocol(runtime, connection)


def _is_in(address: str, networks: Networks) -> bool:
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False  # it is gone already
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return any((mapped or ip) in network for network in networks)


def _words(error: Exception) -> str:
    """OpenSSL's word for it, made readable, where there is one."""
    reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or ""
    return str(reason).replace("_", " ").lower() or str(error) or "it went away"
