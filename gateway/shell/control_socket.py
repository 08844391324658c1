"""The Unix socket on which `gwctl` asks: one line in, one line out, or many until it hangs up.

Who may ask, and change things, is decided by the rights of the socket file. Must not know what the
commands are or what the answers say.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from gateway.control_lines import (
    REQUEST_BYTES_MAX,
    ControlError,
    Document,
    decode_request,
    encode_answer,
    encode_item,
    encode_refusal,
    encode_stream,
)
from gateway.shell.commands import Commands

CLIENTS_MAX = 16  # at once; an operator has a few terminals
STREAM_LINES, STREAM_BYTES = 64, 65_536  # of a stream in one turn of the loop
IDLE_TIMEOUT_S = 60.0  # for a client that asks nothing more, or does not read


class ControlSocket:
    """Answers with what `commands` makes of a request."""

    def __init__(self, path: str, commands: Commands) -> None:
        self._path = Path(path)
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

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
        """Ends listening and every stream, and takes the file away."""
        if self._server is not None:
            self._server.close()
        for writer in self._serving.values():
            writer.transport.abort()  # what serves it sees the end and ends
        await asyncio.gather(*self._serving, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            if len(self._serving) > CLIENTS_MAX:
                writer.write(encode_refusal("too many ask at once", "try again"))
                return
            while line := await asyncio.wait_for(reader.readline(), IDLE_TIMEOUT_S):
                if not await self._answer(line, reader, writer):
                    return
                await asyncio.wait_for(writer.drain(), IDLE_TIMEOUT_S)
        except ValueError:
            writer.write(encode_refusal("the request is too long", "ask for one thing a line"))
        except (TimeoutError, ConnectionError):
            pass
        finally:
            del self._serving[task]
            writer.close()

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection may go on: not behind a stream."""
        try:
            answer = await self._commands.do(decode_request(line))
        except ControlError as error:
            writer.write(encode_refusal(error.text, error.remedy))
            return True
        if isinstance(answer, dict):
            writer.write(encode_answer(answer))
            return True
        await _stream(answer, reader, writer)
        return False


async def _stream(
    documents: AsyncGenerator[Document, None],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Until the documents end, or the other side hangs up or says anything more."""
    writing = asyncio.ensure_future(_write(documents, writer))
    hanging_up = asyncio.ensure_future(reader.read(1))
    both = (writing, hanging_up)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        await documents.aclose()


async def _write(documents: AsyncGenerator[Document, None], writer: asyncio.StreamWriter) -> None:
    writer.write(encode_stream())
    written = 0
    async for document in documents:
        writer.write(encode_item(document))
        written += 1
        # A breath for the others, though not at each line: a turn of a busy loop takes long.
        if written % STREAM_LINES == 0 or writer.transport.get_write_buffer_size() > STREAM_BYTES:
            await asyncio.wait_for(writer.drain(), IDLE_TIMEOUT_S)
