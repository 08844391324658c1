"""Text that a terminal shows as meant: spans with a style, widths in cells, shortening, wrapping.

Whatever came from outside goes through `clean` first: a port's name or an error's words may hold
escape sequences, and those must not reach the terminal. Must not know what the text is about.
"""

import unicodedata
from enum import Enum
from typing import NamedTuple

CUT = "~"


class Style(Enum):
    """What a span is; the value is the terminal's code for it."""

    PLAIN = ""
    HEADING = "1"
    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "31"


class Span(NamedTuple):
    """A piece of a line in one style."""

    text: str
    style: Style = Style.PLAIN


Line = list[Span]


def paint(line: Line, colour: bool) -> str:
    """The line as it is written, with colour codes or without any."""
    if not colour:
        return plain(line)
    return "".join(
        f"\x1b[{style.value}m{text}\x1b[0m" if style is not Style.PLAIN else text
        for text, style in line
    )


def plain(line: Line) -> str:
    return "".join(span.text for span in line)


def clean(text: str) -> str:
    """One line without control characters, at most one blank between words."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    words = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in words)


def cells(text: str) -> int:
    """The columns that cleaned text takes; East Asian characters take two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, width: int, right: bool = False) -> str:
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def keep_head(text: str, width: int) -> str:
    """As much of the beginning as `width` cells hold, with a mark where something is cut off."""
    if cells(text) <= width:
        return text
    return _fitting(text, width - 1) + CUT if width > 0 else ""


def keep_tail(text: str, width: int) -> str:
    """As `keep_head`, of the end: what tells addresses and devices apart stands there."""
    if cells(text) <= width:
        return text
    return CUT + _fitting(text[::-1], width - 1)[::-1] if width > 0 else ""


def keep_ends(text: str, width: int) -> str:
    """As `keep_head`, of both ends: names are often told apart by a number at the end."""
    if cells(text) <= width:
        return text
    tail = _fitting(text[::-1], (width - 1) // 3)[::-1]
    return keep_head(text, width - cells(tail)) + tail


def _fitting(text: str, width: int) -> str:
    used = 0
    for index, char in enumerate(text):
        used += cells(char)
        if used > width:
            return text[:index]
    return text


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at blanks, or within a word that is longer."""
    lines = [""]
    for word in text.split():
        separator = " " if lines[-1] else ""
        if cells(lines[-1]) + cells(separator) + cells(word) <= width:
            lines[-1] += separator + word
            continue
        if lines[-1]:
            lines.append("")
        while cells(word) > width:
            head = _fitting(word, width) or word[0]
            lines[-1] = head
            lines.append("")
            word = word[len(head) :]
        lines[-1] = word
    return lines
