"""The port that Prometheus asks: GET /metrics over HTTP/1.1, one answer a connection.

Deliberately not a web server: one path, no body, no keep-alive. Bounded in connections, bytes and time,
for the port may be open to a LAN. Must not know what the page says.
"""

import asyncio
from collections.abc import Callable

from gateway.metrics import CONTENT_TYPE

CONNECTIONS_MAX = 8  # at once; a Prometheus has one, and dials anew each time
REQUEST_BYTES_MAX = 8_192  # with all headers; Prometheus sends 300
TIMEOUT_S = 5.0  # for the request, and for taking the answer

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class MetricsServer:
    """Answers with what `page` makes."""

    def __init__(self, page: Callable[[], str], timeout_s: float = TIMEOUT_S) -> None:
        self._page = page
        self._timeout_s = timeout_s
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def listen(self, address: str, port: int) -> None:
        """Opens the port. Raises OSError."""
        self._server = await asyncio.start_server(
            self._serve, address, port, limit=REQUEST_BYTES_MAX
        )

    async def close(self) -> None:
        """Ends listening, and everybody who is being answered."""
        if self._server is not None:
            self._server.close()
        for writer in self._serving.values():
            writer.transport.abort()  # what serves it sees the end and ends
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            if len(self._serving) > CONNECTIONS_MAX:
                writer.write(_answer(503, "too many ask at once\n"))
                return  # nobody waits for one too many
            writer.write(await self._answered(reader))
            await asyncio.wait_for(writer.drain(), self._timeout_s)
            writer.write_eof()
            # A peer that is still sending would get a reset, and lose the answer with it.
            await asyncio.wait_for(reader.read(REQUEST_BYTES_MAX), self._timeout_s)
        except (TimeoutError, OSError):
            writer.transport.abort()
        finally:
            del self._serving[task]
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader) -> bytes:
        try:
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self._timeout_s)
        except asyncio.LimitOverrunError:
            return _answer(431, f"a request has at most {REQUEST_BYTES_MAX} bytes\n")
        except TimeoutError:
            return _answer(408, f"the request was not complete after {self._timeout_s:g} s\n")
        except asyncio.IncompleteReadError:
            return _answer(400, "the request is not complete\n")
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _answer(400, "this port speaks HTTP/1.1\n")
        if words[1].split(b"?", 1)[0] != b"/metrics":
            return _answer(404, "there is only /metrics\n")
        if words[0] != b"GET":
            return _answer(405, "only GET is answered\n", "Allow: GET\r\n")
        return _answer(200, self._page())


def _answer(status: int, text: str, more: str = "") -> bytes:
    body = text.encode()
    kind = CONTENT_TYPE if status == 200 else "text/plain; charset=utf-8"
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body
