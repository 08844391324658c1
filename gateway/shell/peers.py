"""Links over TCP and TLS: sockets on one side, links of the mesh on the other.

Dials where the mesh asks, accepts on the link port, tells the mesh who could not prove that it has
the cluster's key. Must not know what a frame is.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Coroutine
from typing import cast

from gateway.effects import Dial
from gateway.limits import HELLO_TIMEOUT_S
from gateway.mesh.link import Link
from gateway.mesh.mesh import Mesh
from gateway.shell.link_keys import LinkKeys
from gateway.shell.runtime import Runtime
from gateway.shell.tls import certified_gateway

logger = logging.getLogger("gatewayd")

ACCEPT_PAUSE_S = 0.5  # after an accept that failed
ACCEPTING_MAX = 64  # handshakes under way at once; more are closed
WRITE_BYTES_HIGH = 262_144  # in the transport; beyond it nothing long is written
UNSENT_BYTES_LOW = 131_072  # in the kernel, beyond what is under way
CLOSE_TIMEOUT_S = 2.0
# why TLS did not come to be: a code of the refusal, and words
ANOTHER_KEY = "key", "its cluster key is another one"
KEY_IS_OVER = "key-over", "it comes with a cluster key that is over"
KEY_NOT_TAKEN = "key-here", "it takes none of the cluster keys here: they are over, or others"


class LinkProtocol(asyncio.Protocol):
    """One link's socket. Until TLS stands it only keeps the connection still."""

    def __init__(self, runtime: Runtime, mesh: Mesh) -> None:
        self._runtime = runtime
        self._mesh = mesh
        self._link: Link | None = None
        self._early: list[bytes] = []  # came with the end of the handshake
        self._lost = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def begin(
        self, transport: asyncio.Transport, address: tuple[str, int], dialled: bool, key: str
    ) -> None:
        """TLS stands, by this key: from here on this is a link. Raises OSError if it is over already."""
        if self._lost:
            raise ConnectionResetError("lost with the end of the handshake")
        self.transport = transport
        transport.set_write_buffer_limits(WRITE_BYTES_HIGH)
        certified = certified_gateway(transport.get_extra_info("peercert"))
        self._link = self._mesh.opened(address, certified, dialled, self._runtime.now(), key)
        self._link.owner = self
        if self._early:
            self._mesh.receive(self._link, b"".join(self._early), self._runtime.now())
        self._runtime.schedule()

    def data_received(self, data: bytes) -> None:
        if self._link is None:
            self._early.append(data)
            return
        self._mesh.receive(self._link, data, self._runtime.now())
        self._runtime.schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._link is None:
            return
        if isinstance(
            exc, ssl.SSLError
        ):  # in TLS 1.3 the accepting side refuses after the handshake
            code, why = ANOTHER_KEY
            self._mesh.refused(code, self._link.address[0], why, self._runtime.now())
        self._link.owner = None
        self._mesh.lost(self._link, self._runtime.now())
        self._runtime.schedule()

    def pause_writing(self) -> None:
        if self._link is not None:
            self._link.blocked = True

    def resume_writing(self) -> None:
        if self._link is not None:
            self._link.blocked = False
            self._runtime.schedule()

    def flush(self) -> None:
        """Writes what stands in the link; closes behind it when the link is over."""
        assert self._link is not None and self.transport is not None
        if self._link.out and not self.transport.is_closing():
            self.transport.write(b"".join(self._link.out))
        self._link.out.clear()
        if self._link.has_more():
            self._runtime.schedule()
        if self._link.closed and not self.transport.is_closing():
            self.transport.close()
            self._runtime.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)


class Peers:
    """All links of one gateway."""

    def __init__(self, mesh: Mesh, keys: LinkKeys, source: str) -> None:
        self._mesh = mesh
        self._keys = keys
        self._source = source  # the address to dial from; empty: the system's choice
        self._runtime: Runtime | None = None
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = 0

    async def listen(self, runtime: Runtime, address: str, port: int) -> None:
        """Opens the link port. Raises OSError if that cannot be."""
        self._runtime = runtime
        self._listening = socket.create_server((address, port), backlog=ACCEPTING_MAX)
        self._listening.setblocking(False)
        self._start(self._accept_all(runtime.loop, self._listening))

    def dial(self, effect: Dial) -> None:
        """Opens a link; the mesh is told how it went."""
        self._start(self._dial((effect.address, effect.port), effect.keys))

    async def close(self) -> None:
        """Ends listening and what is under way; open links are closed by their machines."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        assert self._runtime is not None, "dialled before listening"
        task = self._runtime.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, address: tuple[str, int], keys: tuple[str, ...]) -> None:
        """Tries one key after the other, while it is TLS that refuses."""
        runtime, mesh = self._runtime, self._mesh
        assert runtime is not None
        refused: tuple[str, str] | None = None
        for key in keys:
            try:
                async with asyncio.timeout(HELLO_TIMEOUT_S):
                    await self._connect(address, key)
                runtime.schedule()
                return
            except ssl.SSLError as error:
                unknown = "UNRECOGNIZED_NAME" in (error.reason or "")
                refused = KEY_NOT_TAKEN if unknown else ANOTHER_KEY
            except (OSError, TimeoutError, ValueError, OverflowError):  # or no address at all
                refused = None
                break
        if refused is not None:
            mesh.refused(refused[0], address[0], refused[1], runtime.now())
        mesh.dial_failed(address, runtime.now())
        runtime.schedule()

    async def _connect(self, address: tuple[str, int], key: str) -> None:
        runtime, mesh = self._runtime, self._mesh
        assert runtime is not None
        local = (self._source, 0) if self._source else None
        transport, protocol = await runtime.loop.create_connection(
            lambda: LinkProtocol(runtime, mesh), *address, local_addr=local
        )
        await self._secure(transport, protocol, address, key)

    async def _accept_all(self, loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
        """Hands every connection to a handshake of its own.

        Accepts plain sockets, not transports: uvloop reads on when connection_made has paused it,
        and what the other side says first would be gone before TLS begins.
        """
        while True:
            try:
                plain, address = await loop.sock_accept(listening)
            except OSError as error:  # out of file descriptors, or gone before it was taken
                logger.warning("a link could not be accepted: %s", error)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if self._accepting >= ACCEPTING_MAX:
                plain.close()
                continue
            self._accepting += 1
            self._start(self._accept(plain, address[:2]))

    async def _accept(self, plain: socket.socket, address: tuple[str, int]) -> None:
        runtime, mesh = self._runtime, self._mesh
        assert runtime is not None
        protocol = LinkProtocol(runtime, mesh)
        try:
            _prepare(plain)
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                transport, _ = await runtime.loop.connect_accepted_socket(
                    lambda: protocol, plain, ssl=self._keys.accepting()
                )
            key = self._keys.accepted_by(transport.get_extra_info("ssl_object").context)
            protocol.begin(transport, address, dialled=False, key=key)
        except ssl.SSLError:
            over = self._keys.over(self._keys.stranger())
            code, why = KEY_IS_OVER if over else ANOTHER_KEY
            mesh.refused(code, address[0], why, runtime.now())
            runtime.schedule()
        except (OSError, TimeoutError):
            plain.close()
        finally:
            self._accepting -= 1

    async def _secure(
        self,
        transport: asyncio.Transport,
        protocol: LinkProtocol,
        address: tuple[str, int],
        key: str,
    ) -> None:
        assert self._runtime is not None
        context = self._keys.dialling(key)
        if context is None:
            transport.abort()
            raise ConnectionAbortedError("the key is over")
        plain = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            _prepare(plain)
        secured = await self._runtime.loop.start_tls(
            transport, protocol, context, server_hostname=key
        )
        if secured is None:
            raise ConnectionResetError("closed within the handshake")
        protocol.begin(secured, address, dialled=True, key=key)


def _prepare(plain: socket.socket) -> None:
    """What is said last is soon on the way: it waits neither for more nor behind megabytes."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_LOW)
