"""The control socket and its commands, over a real Unix socket: answers, refusals, streams, bounds."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import control_commands
from gateway.control_commands import Argument, Command, Kind
from gateway.control_lines import REQUEST_BYTES_MAX, ControlError
from gateway.shell.commands import Commands
from gateway.shell.control_socket import CLIENTS_MAX, ControlSocket

WAIT_S = 5
TABLE = (
    Command("double", "twice", (Argument("value", Kind.COUNT, "what"),)),
    Command("later", "an answer that is awaited"),
    Command("refuse", "always no"),
    Command("break", "a mistake of ours"),
    Command(
        "set secret",
        "a change",
        (
            Argument("name", Kind.TEXT, "whose"),
            Argument("password", Kind.SECRET, "the secret"),
        ),
        changes=True,
    ),
    Command("count", "a stream", stream=True),
    Command("nobody", "a command without a handler"),
)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_commands, "COMMANDS", TABLE)


class Counting:
    """A stream whose end is seen."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def start(self, _: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        return self._documents()

    async def _documents(self) -> AsyncGenerator[dict[str, Any], None]:
        number = 0
        try:
            while True:
                yield {"number": number}
                number += 1
                await asyncio.sleep(0)
        finally:
            self.closed.set()


async def later(_: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"done": "later"}


def refuse(_: dict[str, Any]) -> dict[str, Any]:
    raise ControlError("not today", "ask tomorrow")


def broken(_: dict[str, Any]) -> dict[str, Any]:
    raise KeyError("a mistake of ours")


class Line:
    """One client of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: object) -> Any:
        self.writer.write(json.dumps(request).encode() + b"\n")
        return await self.read()

    async def read(self) -> Any:
        line = await asyncio.wait_for(self.reader.readline(), WAIT_S)
        return json.loads(line) if line else None


@asynccontextmanager
async def socket_at(path: Path, counting: Counting) -> AsyncGenerator[ControlSocket, None]:
    commands = Commands()
    commands.answer("double", lambda arguments: {"value": 2 * arguments["value"]})
    commands.answer("later", later)
    commands.answer("refuse", refuse)
    commands.answer("break", broken)
    commands.answer("set secret", lambda _: {"done": "set"})
    commands.stream("count", counting.start)
    control = ControlSocket(str(path), commands)
    await control.listen()
    try:
        yield control
    finally:
        await control.close()


def with_socket(
    tmp_path: Path, check: Callable[[Callable[[], Awaitable[Line]], Counting], Awaitable[None]]
) -> None:
    async def run() -> None:
        path, counting = tmp_path / "s", Counting()
        lines: list[Line] = []

        async def connect() -> Line:
            lines.append(Line(*await asyncio.open_unix_connection(str(path))))
            return lines[-1]

        async with socket_at(path, counting):
            await check(connect, counting)
        assert not path.exists()
        for line in lines:
            line.writer.close()

    asyncio.run(run())


def test_one_line_after_the_other_is_answered(tmp_path: Path) -> None:
    async def check(connect: Callable[[], Awaitable[Line]], _: Counting) -> None:
        line = await connect()
        request = {"command": "double", "arguments": {"value": 21}}
        assert await line.ask(request) == {"ok": True, "result": {"value": 42}}
        assert await line.ask({"command": "later"}) == {"ok": True, "result": {"done": "later"}}

    with_socket(tmp_path, check)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"command": "refuse"}, "not today"),
        ({"command": "break"}, "made a mistake"),
        ({"command": "nobody"}, "does not do nobody"),
        ({"command": "stop"}, "no such command"),
        ({"command": "double"}, "value is missing"),
        ({"command": "double", "arguments": {"value": "x"}}, "value is not a whole number"),
        ([], "not a JSON object"),
    ],
)
def test_a_refusal_has_words_and_the_next_line_is_answered(
    tmp_path: Path, request_: object, words: str
) -> None:
    async def check(connect: Callable[[], Awaitable[Line]], _: Counting) -> None:
        line = await connect()
        answer = await line.ask(request_)
        assert answer["ok"] is False and words in answer["error"] and answer["remedy"]
        assert (await line.ask({"command": "later"}))["ok"] is True

    with_socket(tmp_path, check)


def test_a_request_without_end_is_refused(tmp_path: Path) -> None:
    async def check(connect: Callable[[], Awaitable[Line]], _: Counting) -> None:
        line = await connect()
        line.writer.write(b"x" * (REQUEST_BYTES_MAX + 1))
        assert "too long" in (await line.read())["error"]
        assert await line.read() is None

    with_socket(tmp_path, check)


def test_a_change_is_logged_without_its_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(connect: Callable[[], Awaitable[Line]], _: Counting) -> None:
        line = await connect()
        arguments = {"name": "anna", "password": "correct horse"}
        assert (await line.ask({"command": "set secret", "arguments": arguments}))["ok"]

    with caplog.at_level("INFO", "gatewayd"):
        with_socket(tmp_path, check)
    assert "gwctl set secret: done for 'anna'" in caplog.text
    assert "horse" not in caplog.text


def test_a_stream_ends_when_its_reader_hangs_up(tmp_path: Path) -> None:
    async def check(connect: Callable[[], Awaitable[Line]], counting: Counting) -> None:
        line = await connect()
        assert await line.ask({"command": "count"}) == {"ok": True, "stream": True}
        assert [await line.read() for _ in range(3)] == [{"item": {"number": n}} for n in range(3)]
        assert not counting.closed.is_set()
        line.writer.close()
        await asyncio.wait_for(counting.closed.wait(), WAIT_S)

    with_socket(tmp_path, check)


def test_a_reader_that_is_slow_does_not_let_a_stream_run_on(tmp_path: Path) -> None:
    async def check(connect: Callable[[], Awaitable[Line]], counting: Counting) -> None:
        line = await connect()
        await line.ask({"command": "count"})
        await (await connect()).ask({"command": "later"})
        assert not counting.closed.is_set()

    with_socket(tmp_path, check)  # and closing the socket ends the stream


def test_only_so_many_ask_at_once(tmp_path: Path) -> None:
    async def check(connect: Callable[[], Awaitable[Line]], _: Counting) -> None:
        lines = [await connect() for _ in range(CLIENTS_MAX)]
        for line in lines:
            assert (await line.ask({"command": "later"}))["ok"] is True
        assert "too many" in (await (await connect()).read())["error"]
        lines[0].writer.close()
        await lines[0].writer.wait_closed()
        while "ok" in (answer := await (await connect()).ask({"command": "later"})):
            if answer["ok"]:
                return

    with_socket(tmp_path, check)
