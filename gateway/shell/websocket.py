"""MQTT over WebSocket: the opening in HTTP, then frames that carry a client's bytes.

A layer between the socket and a `ClientProtocol`, which takes it for a transport, as with TLS. What a
frame brings is handed on as it comes: no frame and no message is ever held whole, so that the limits of
the broker on packets are the only ones needed. There is no compression. Any Origin is welcome: a page
shows who it is as every client does, in CONNECT. Must not know what a packet is.
"""

import asyncio
import logging
from typing import Any, cast

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import RemoteProtocolError

from gateway.broker.connection import Connection
from gateway.shell.clients import (
    CLOSE_TIMEOUT_S,
    WRITE_BYTES_HIGH,
    WRITE_BYTES_LOW,
    ClientProtocol,
    Guest,
)
from gateway.shell.runtime import Runtime

logger = logging.getLogger("gatewayd")

PATH = "/mqtt"
SUBPROTOCOL = "mqtt"
_UNANSWERED = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)  # open: what is no frame came


class FrameTransport(asyncio.Transport):
    """What a `ClientProtocol` writes to: every write leaves as one binary message."""

    def __init__(self, under: asyncio.Transport, frames: WSConnection) -> None:
        super().__init__()
        self._under = under
        self._frames = frames
        self._closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._under.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._under.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._under.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closing():
            self._under.write(self._frames.send(BytesMessage(bytes(data))))  # [MQTT-6.0.0-1]

    def is_closing(self) -> bool:
        return self._closed or self._under.is_closing()

    def close(self) -> None:
        """Says so, and leaves the socket open for the answer; who calls aborts what stays too long."""
        if not self.is_closing():
            self._closed = True
            self._under.write(self._frames.send(CloseConnection(CloseReason.NORMAL_CLOSURE)))
            self._under.resume_reading()

    def abort(self) -> None:
        self._under.abort()

    def pause_reading(self) -> None:
        self._under.pause_reading()

    def resume_reading(self) -> None:
        self._under.resume_reading()


class WebSocketProtocol(asyncio.Protocol):
    """One client's socket, which was admitted: the time for its CONNECT runs during the opening.

    Of a request that is not whole the HTTP library keeps at most 16 KiB; a whole one fits into one read.
    """

    def __init__(self, runtime: Runtime, connection: Connection) -> None:
        self._runtime = runtime
        self._connection = connection
        self._frames = WSConnection(ConnectionType.SERVER)
        self._transport: asyncio.Transport | None = None
        self._guest: Guest | None = None
        self._client: ClientProtocol | None = None
        self._congested = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(WRITE_BYTES_HIGH, WRITE_BYTES_LOW)
        self._guest = Guest(self._runtime, self._connection, self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return  # came behind the last word
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                if self._transport.is_closing():
                    return
                self._handle(event)
        except RemoteProtocolError as error:
            hint = error.event_hint
            if hint is None:
                hint = (
                    CloseConnection(CloseReason.PROTOCOL_ERROR) if self._client else _refusal(400)
                )
            self._end(hint, str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._guest is not None
        if self._client is not None:
            self._client.connection_lost(exc)
        else:
            self._guest.gone()

    def pause_writing(self) -> None:
        self._congested = True
        if self._client is not None:
            self._client.pause_writing()

    def resume_writing(self) -> None:
        self._congested = False
        if self._client is not None:
            self._client.resume_writing()

    def _handle(self, event: Event) -> None:
        assert self._transport is not None
        match event:
            case Request():
                self._open(event)
            case BytesMessage() if self._client is not None:
                # [MQTT-6.0.0-2]
                self._client.data_received(bytes(event.data))
            case TextMessage():  # [MQTT-6.0.0-1]
                self._end(CloseConnection(CloseReason.UNSUPPORTED_DATA), "a text frame")
            case Ping() if not self._congested:  # else the answers would pile up
                self._transport.write(self._frames.send(event.response()))
            case CloseConnection() if self._frames.state in _UNANSWERED:
                self._end(event.response(), "")
            case CloseConnection():  # the answer to ours
                self._transport.close()

    def _open(self, request: Request) -> None:
        assert self._transport is not None
        if request.target.partition("?")[0] != PATH:
            self._end(_refusal(404), f"the path is not {PATH}")
        elif SUBPROTOCOL not in request.subprotocols:  # [MQTT-6.0.0-3]
            self._end(_refusal(400), f"the subprotocol {SUBPROTOCOL} is not offered")
        else:
            accepted = AcceptConnection(subprotocol=SUBPROTOCOL)  # [MQTT-6.0.0-4]
            self._transport.write(self._frames.send(accepted))
            self._client = ClientProtocol(self._runtime, self._connection)
            self._client.connection_made(FrameTransport(self._transport, self._frames))

    def _end(self, last: Event, why: str) -> None:
        """Says the last word and closes."""
        assert self._transport is not None
        if why:
            address = self._connection.address
            logger.info("a WebSocket client at %s is cut off: %s", address, why)
        self._transport.write(self._frames.send(last))
        self._transport.close()
        self._runtime.loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)


def _refusal(status: int) -> RejectConnection:
    return RejectConnection(status_code=status, headers=[(b"connection", b"close")])
