"""The Unix socket on which `gwctl` asks: one line in, one line out.

Who may ask is decided by the rights of the socket file. Must not know what the answers say.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from gateway.control import (
    REQUEST_BYTES_MAX,
    ControlError,
    Status,
    decode_request,
    encode_answer,
    encode_refusal,
)

CLIENTS_MAX = 16  # at once; an operator has a few terminals
IDLE_TIMEOUT_S = 60.0  # for a client that asks nothing more


class ControlSocket:
    """Answers with what `status` returns at that moment."""

    def __init__(self, path: str, status: Callable[[], Status]) -> None:
        self._path = Path(path)
        self._status = status
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def listen(self) -> None:
        """Opens the socket, in place of one that a dead process left. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(
            self._serve, str(self._path), limit=REQUEST_BYTES_MAX
        )
        os.chmod(self._path, 0o660)

    async def close(self) -> None:
        """Ends listening and takes the file away."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients > CLIENTS_MAX:
                writer.write(encode_refusal("too many ask at once", "try again"))
                return
            while line := await asyncio.wait_for(reader.readline(), IDLE_TIMEOUT_S):
                writer.write(self._answer(line))
                await asyncio.wait_for(writer.drain(), IDLE_TIMEOUT_S)
        except ValueError:
            writer.write(encode_refusal("the request is too long", "ask for one thing a line"))
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._clients -= 1
            writer.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            decode_request(line)
        except ControlError as error:
            return encode_refusal(error.text, error.remedy)
        return encode_answer(self._status())
