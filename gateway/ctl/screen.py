"""Writes frames to stdout, once or again and again in place. Must not know what is in them."""

import os
import sys

from gateway.ctl.report import WIDTH_MIN
from gateway.ctl.text import Line, paint, plain

WIDTH_MAX = 132  # longer names in full, yet lines that an eye can follow

_CLEAR = "\x1b[2J"
_HOME = "\x1b[H"
_REST_OF_LINE = "\x1b[K"
_REST_OF_SCREEN = "\x1b[J"


class Screen:
    """stdout, as a terminal or as a file."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        dumb = os.environ.get("TERM", "") in ("", "dumb")
        self.colour = self.is_terminal and not dumb and not os.environ.get("NO_COLOR")
        self._redraws = self.is_terminal and not dumb
        self._drawn = False

    @property
    def width(self) -> int:
        """For the table: the terminal's, within what the table is made for."""
        return max(WIDTH_MIN, min(self._size().columns, WIDTH_MAX))

    def show(self, lines: list[Line]) -> None:
        """Writes the lines below what is there."""
        self._write("".join(paint(line, self.colour) + "\n" for line in lines))

    def redraw(self, lines: list[Line]) -> None:
        """Writes the lines over the last ones; in a file, below them after an empty line.

        One write, and nothing is cleared that is not written over, so that nothing flickers.
        """
        if not self._redraws:
            self.show([[], *lines] if self._drawn else lines)
        else:
            painted = [paint(line, self.colour) + _REST_OF_LINE for line in self._cropped(lines)]
            start = _HOME if self._drawn else _CLEAR + _HOME
            self._write(start + "\n".join(painted) + "\n" + _REST_OF_SCREEN)
        self._drawn = True

    def _cropped(self, lines: list[Line]) -> list[Line]:
        """What fits above the last row: a screen that scrolls cannot be written over."""
        size = self._size()
        rows_left = size.lines - 1
        for index, line in enumerate(lines):
            rows_left -= max(1, -(-len(plain(line)) // size.columns))
            if rows_left < 0:
                return lines[:index]
        return lines

    def _size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return os.terminal_size((WIDTH_MIN, 24))
        return size if size.columns > 0 and size.lines > 0 else os.terminal_size((WIDTH_MIN, 24))

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
