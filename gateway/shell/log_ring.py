"""The last lines of the log, kept in memory for `gwctl log`, which may follow them.

A follower has no queue of its own: it remembers the number of the line it read last, and what the ring
lost meanwhile is told to it as a count. Lines may come from any thread. Must not know who logs, and
must not log.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.control_commands import LOG_LINES_MAX
from gateway.control_lines import Document
from gateway.shell.commands import Commands

TEXT_CHARACTERS_MAX = 4_096  # of one line; a Python trace has about 2,000
CHARACTERS_MAX = 262_144  # of all lines: at most 1 MB, where every character is outside of ASCII

_TRACE = logging.Formatter()


class Line(NamedTuple):
    """One call of a logger. Numbers go up by one from 1; `time` is seconds since 1970."""

    number: int
    time: float
    level: str
    text: str

    def document(self, missed: int) -> Document:
        """As `gwctl log --json` shows it; `missed` lines before it were lost to this follower."""
        time = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return {
            "number": self.number,
            "time": time.replace("+00:00", "Z"),
            "level": self.level,
            "text": self.text,
            "missed": missed,
        }


class LogRing(logging.Handler):
    """A handler of Python's logging. Made on the loop on which it is followed."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._guard = threading.Lock()  # logging's own is held while others wait for the disk
        self._lines: deque[Line] = deque()
        self._characters = 0
        self._number = 0
        self._more: set[asyncio.Event] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the line, and lets go of old ones above the bounds."""
        try:
            text = _text(record)[:TEXT_CHARACTERS_MAX]
        except Exception:  # a log call with wrong arguments must not end who made it
            self.handleError(record)
            return
        with self._guard:
            self._number += 1
            line = Line(self._number, record.created, record.levelname.lower(), text)
            self._lines.append(line)
            self._characters += len(text)
            while len(self._lines) > LOG_LINES_MAX or self._characters > CHARACTERS_MAX:
                self._characters -= len(self._lines.popleft().text)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def register(self, commands: Commands) -> None:
        """Adds `gwctl log`."""
        commands.stream("log", lambda given: self.read(given["lines"], given["follow"]))

    async def read(self, lines: int, follow: bool) -> AsyncGenerator[Document, None]:
        """The last `lines`, then each new one until it is closed, or the end without `follow`."""
        more = asyncio.Event()
        with self._guard:
            last = self._number - min(lines, len(self._lines))
            end = self._number
        self._more.add(more)
        try:
            while follow or last < end:
                more.clear()
                for line in self._after(last):
                    yield line.document(line.number - last - 1)
                    last = line.number
                if follow and last == self._number:
                    await more.wait()
        finally:
            self._more.discard(more)

    def _after(self, number: int) -> list[Line]:
        """What is kept of the lines behind this one."""
        with self._guard:
            new = min(self._number - number, len(self._lines))
            return [self._lines[index] for index in range(len(self._lines) - new, len(self._lines))]

    def _wake(self) -> None:
        for more in self._more:
            more.set()


def _text(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info:
        text += "\n" + _TRACE.formatException(record.exc_info)
    return text
