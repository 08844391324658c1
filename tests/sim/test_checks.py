"""Every promise of docs/guarantees.md has a checker in the simulator, and every run asks all of them."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/guarantees.md"
PROMISES = 10


def rows() -> list[str]:
    """The rows of the table of promises."""
    return [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d+ \|", line)]


def test_each_promise_names_who_checks_it_and_what_else_shows_it() -> None:
    assert len(rows()) == PROMISES
    for row in rows():
        named = re.findall(r"`(tests/[\w/.]+)`", row)
        assert any(name.startswith("tests/sim/checks/") for name in named), row
        for name in named:
            assert (HERE.parents[1] / name).exists(), f"{name} is not there: {row}"


def test_each_checker_belongs_to_a_promise() -> None:
    page = "\n".join(rows())
    for path in (HERE / "checks").glob("[a-z]*.py"):
        assert f"tests/sim/checks/{path.name}" in page, (
            f"{path.name} checks nothing that is promised"
        )


@pytest.mark.parametrize(
    "path", sorted((HERE / "checks").glob("[a-z]*.py")), ids=lambda each: each.stem
)
def test_each_run_asks_each_checker(path: Path) -> None:
    tree = ast.parse((HERE / "run.py").read_text())
    asked = {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
    }
    assert {f"{path.stem}.check", f"{path.stem}.look"} & asked
