"""What is found wrong in a configuration file, while it is read. Must not know what is allowed."""

import re
from collections.abc import Iterable

from gateway.config import Problem
from gateway.config_checks import shown
from gateway.toml_lines import Path


class Report:
    """Collects problems, and knows the line of each key."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.wrong: set[Path] = set()

    def add(self, path: Path, text: str, remedy: str) -> None:
        """`path` may be a key that is missing: then the line is that of its table."""
        self.wrong.add(path)
        line, place = 1, path
        while place:
            if place in self.lines:
                line = self.lines[place]
                break
            place = place[:-1]
        name = ".".join(_written(part) for part in path if isinstance(part, str))
        self.problems.append(Problem(line, name, text, remedy))

    def add_to_last_written(self, table: Path, keys: Iterable[str], text: str, remedy: str) -> None:
        """For a rule between keys: the last that is in the file; one is, for defaults agree."""
        paths = [(*table, key) for key in keys]
        written = [path for path in paths if path in self.lines]
        self.add(max(written, key=lambda path: self.lines[path]), text, remedy)

    def sorted(self) -> tuple[Problem, ...]:
        """The problems in the order of the lines."""
        return tuple(sorted(self.problems, key=lambda problem: problem.line))

    def fine(self, table: Path, *keys: str) -> bool:
        """Whether nothing is known to be wrong with these keys."""
        return not any((*table, key) in self.wrong for key in keys)


def _written(part: str) -> str:
    """A part of a key as it stands in the file, quoted where TOML wants quotes."""
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else shown(part)
