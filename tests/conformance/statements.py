"""Every numbered statement of MQTT 5.0 and 3.1.1: who must obey it, what obeys it, what tests it.

`mqtt5.txt` and `mqtt311.txt` hold the statements, a line each:

    number | who must obey: server, client or both | what it says, in our words | a reason

The reason may be missing. "pending: ..." names what is still to be built; "= NUMBER, NUMBER" (3.1.1
only) names the statements of 5.0 that together say the same; anything else says why no line or test
needs to exist. What obeys is a line of gateway/ that cites `[MQTT-NUMBER]`, what tests is a line of
tests/; `[MQTT-NUMBER of 3.1.1]` cites the older one.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
_CITATION = re.compile(r"\[MQTT-(\d+\.\d+\.\d+-\d+)( of 3\.1\.1)?\]")
_WHO = ("server", "client", "both")


@dataclass(slots=True)
class Statement:
    """One statement, and where it is obeyed and tested: file:line, relative to the repository."""

    number: str
    old: bool  # of 3.1.1
    who: str
    text: str
    reason: str
    obeyed: list[str] = field(default_factory=list)
    tested: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.number} of 3.1.1" if self.old else self.number

    @property
    def same(self) -> list[str]:
        """The statements of 5.0 that together say the same."""
        return self.reason.removeprefix("= ").split(", ") if self.reason.startswith("= ") else []

    @property
    def lacks(self) -> str:
        """What is missing for the statement to be proved; nothing when it is, or need not be."""
        missing = [
            word
            for word, places in (("a line", self.obeyed), ("a test", self.tested))
            if not places
        ]
        if not missing or self.who == "client":
            return ""
        if self.reason and not self.pending:
            return ""
        return " and ".join(missing)

    @property
    def pending(self) -> bool:
        return self.reason.startswith("pending: ")


def read(path: Path, old: bool) -> Iterator[Statement]:
    """The statements of one file. Raises ValueError, with the line, for what is not in the form."""
    for line in path.read_text().split("\n\n", 1)[1].splitlines():
        parts = [part.strip() for part in line.split(" | ")]
        if not 3 <= len(parts) <= 4 or parts[1] not in _WHO:
            raise ValueError(f"{path.name}: {line}")
        yield Statement(parts[0], old, parts[1], parts[2], parts[3] if len(parts) > 3 else "")


def citations(folder: Path) -> Iterator[tuple[str, bool, str]]:
    """Number, whether it is 3.1.1's, and file:line of everything that is cited below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".py", ".txt") or path.parent == HERE:
            continue
        for index, line in enumerate(path.read_text().splitlines(), 1):
            for number, old in _CITATION.findall(line):
                yield number, bool(old), f"{path.relative_to(ROOT)}:{index}"


def collect() -> tuple[list[Statement], list[str]]:
    """All statements with their places, and the citations of statements that do not exist."""
    statements = [*read(HERE / "mqtt5.txt", False), *read(HERE / "mqtt311.txt", True)]
    by_name = {(each.number, each.old): each for each in statements}
    assert len(by_name) == len(statements), "a number stands twice"
    unknown = []
    for folder in ("gateway", "tests"):
        for number, old, place in citations(ROOT / folder):
            statement = by_name.get((number, old))
            if statement is None:
                unknown.append(f"{place}: [MQTT-{number}{' of 3.1.1' if old else ''}]")
            else:
                (statement.obeyed if folder == "gateway" else statement.tested).append(place)
    _inherit(by_name, statements)
    return statements, unknown


def _inherit(by_name: dict[tuple[str, bool], Statement], statements: Iterable[Statement]) -> None:
    """What says the same as statements of 5.0 is proved by them; one's lack is told there."""
    for statement in statements:
        others = [by_name[number, False] for number in statement.same]
        if not others:
            continue
        reasons = [_reason(other) for other in others]
        statement.reason = "; ".join(dict.fromkeys(reasons)) if all(reasons) else ""
        for other in others:
            statement.obeyed += [place for place in other.obeyed if place not in statement.obeyed]
            statement.tested += [place for place in other.tested if place not in statement.tested]


def _reason(statement: Statement) -> str:
    return statement.reason or ("binds the client" if statement.who == "client" else "")
