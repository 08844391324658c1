"""Which files of gateway-setup touch the world, and what it knows of the rest of the product."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "gateway" / "setup"
FILES = sorted(FOLDER.glob("*.py"))
PURE = {"installer", "ssh_keys", "daemon_file", "system_files"}
WORLD = {"os", "socket", "subprocess", "pathlib", "time", "logging"}
KNOWN = {
    "board",
    "config",
    "config_checks",
    "config_file",
    "config_keys",
    "config_loader",
    "config_reader",
    "config_report",
    "config_rules",
    "errors",
    "ids",
    "limits",
    "notify",
    "setup",
    "__version__",
}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_knows_the_configuration_and_no_daemon(file: Path) -> None:
    ours = {name.split(".")[1] for name in imports(file) if name.startswith("gateway.")}
    assert ours <= KNOWN


@pytest.mark.parametrize("name", sorted(PURE))
def test_texts_are_made_without_touching_the_world(name: str) -> None:
    assert {module.split(".")[0] for module in imports(FOLDER / f"{name}.py")}.isdisjoint(WORLD)
