"""Which files of gateway-setup touch the world."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "gateway" / "setup"
PURE = {"installer", "ssh_keys", "daemon_file", "system_files"}
WORLD = {"os", "socket", "subprocess", "pathlib", "time", "logging"}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", sorted(PURE))
def test_texts_are_made_without_touching_the_world(name: str) -> None:
    assert {module.split(".")[0] for module in imports(FOLDER / f"{name}.py")}.isdisjoint(WORLD)
