"""What gatewayd answers on its control socket: a handler for each command of the table.

A handler takes the checked arguments by name and returns a document, at once or awaited; it raises
ControlError to refuse, in words for the operator. A stream's handler is an asynchronous iterator of
documents, closed when gwctl hangs up; it refuses before it returns one, and bounds what it keeps for
a reader that is slow. Must not know sockets or what the documents say.
"""

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from gateway.control_commands import AWAITS, COMMANDS, Command, Kind, checked, find
from gateway.control_lines import ControlError, Document, Request

Answerer: TypeAlias = Callable[[Document], Document | Awaitable[Document]]
Streamer: TypeAlias = Callable[[Document], AsyncGenerator[Document, None]]

logger = logging.getLogger("gatewayd")


class Commands:
    """The handlers by command."""

    def __init__(self) -> None:
        self._answerers: dict[str, Answerer] = {}
        self._streamers: dict[str, Streamer] = {}

    def answer(self, words: str, handler: Answerer) -> None:
        """`handler` answers this command."""
        assert not find(words).stream, words
        self._answerers[words] = handler

    def stream(self, words: str, handler: Streamer) -> None:
        """`handler` answers this command, again and again."""
        assert find(words).stream, words
        self._streamers[words] = handler

    def missing(self) -> list[str]:
        """Commands of the table that nobody answers; none, once the daemon has started."""
        there = self._answerers.keys() | self._streamers.keys()
        return [c.words for c in COMMANDS if not c.here and c.words not in there]

    async def do(self, request: Request) -> Document | AsyncGenerator[Document, None]:
        """The answer, or the stream of them. Raises ControlError."""
        command = find(request.command)
        arguments = checked(command, request.arguments)
        if command.words in self._streamers:
            return self._streamers[command.words](arguments)
        handler = self._answerers.get(command.words)
        if handler is None:
            raise ControlError(f"this gateway does not do {command.words}", "see: gwctl --help")
        try:
            answer = handler(arguments)
            document = await answer if inspect.isawaitable(answer) else answer
        except ControlError:
            raise
        except Exception:
            logger.exception("gwctl %s failed", command.words)
            raise ControlError(
                "the gateway made a mistake over this", "see: journalctl -u gatewayd"
            ) from None
        if command.changes and AWAITS not in document:
            logger.info("gwctl %s: done%s", command.words, _named(command, arguments))
        return document


def _named(command: Command, arguments: Document) -> str:
    """The arguments that stand where they stand, for the log; what is secret never does."""
    shown = [
        arguments[argument.name]
        for argument in command.arguments
        if not argument.option and argument.kind is not Kind.SECRET
    ]
    words = [" ".join(each) if isinstance(each, list) else each for each in shown]
    return f" for {' '.join(map(repr, words))}" if words else ""
