"""On which line of a TOML text each table, key and array element stands.

The standard parser keeps no positions. This walks a text that the parser has already accepted, so
it refuses nothing and only has to know where tokens end. Must not know what the keys mean.

A path is what one would index the parsed document with: ("serial", 0, "columns", 2).
"""

import re
import tomllib
from bisect import bisect_right

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")  # numbers, booleans, and dates, which may hold a space


def locate(text: str) -> dict[Path, int]:
    """The line, from 1, of everything in `text`, which must be TOML that `tomllib` accepts.

    A key has the line where it is written, an array element the line where it begins, a table the
    line of its header, or of the first key or header that implies it.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._tables_of: dict[Path, int] = {}  # arrays of tables: how many tables so far

    def document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> Path:
        line = self._line()
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        *parents, last = self._key()
        self.at += brackets
        table: Path = ()
        for part in parents:
            table = self._newest((*table, part), line)
        table = (*table, last)
        if brackets == 1:
            self.lines[table] = line
            return table
        self.lines.setdefault(table, line)
        self._tables_of[table] = self._tables_of.get(table, 0) + 1
        element = (*table, self._tables_of[table] - 1)
        self.lines[element] = line
        return element

    def _newest(self, table: Path, line: int) -> Path:
        """The table that a header's leading part names: of an array, the one begun last."""
        self.lines.setdefault(table, line)
        if table in self._tables_of:
            return (*table, self._tables_of[table] - 1)
        return table

    def _pair(self, table: Path) -> None:
        line = self._line()
        parts = self._key()
        path = table
        for part in parts:
            path = (*path, part)
            self.lines.setdefault(path, line)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self.text.startswith("[", self.at):
            self._array(path)
        elif self.text.startswith("{", self.at):
            self._inline_table(path)
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self.at += 1
        self._skip(_BLANK)
        index = 0
        while not self.text.startswith("]", self.at):
            element = (*path, index)
            self.lines[element] = self._line()
            self._value(element)
            self._comma()
            index += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self._skip(_BLANK)
        while not self.text.startswith("}", self.at):
            self._pair(path)
            self._comma()
        self.at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self.text.startswith(",", self.at):
            self.at += 1
            self._skip(_BLANK)

    def _key(self) -> list[str]:
        """The parts of a dotted key, and the white space around them."""
        parts = []
        while True:
            self._skip(_SPACE)
            bare = self._skip(_BARE_KEY)
            parts.append(bare or _unquoted(self._skip(_STRING)))
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        """Steps over what the pattern matches here and returns it."""
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def _line(self) -> int:
        return bisect_right(self._line_starts, self.at)


def _unquoted(quoted: str) -> str:
    value = tomllib.loads(f"key = {quoted}")["key"]
    assert isinstance(value, str)
    return value
