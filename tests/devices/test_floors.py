"""The pure floors of gateway-devices touch nothing of the world, and imports go down."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "gateway" / "devices"
WORLD = {"asyncio", "socket", "time", "os", "sqlite3", "logging", "serial", "aiomqtt", "termios"}
FLOORS = (  # lowest first; a file imports from lower floors only
    {"events", "backoff", "lines", "topics", "formats"},
    {"outbox", "port"},
    {"status"},
    {"station"},
    {"tasks"},
    {"channel", "broker_client"},
    {"runtime"},
    {"daemon"},
)
SHELLS = {"tasks", "channel", "broker_client", "runtime", "daemon"}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_every_file_has_a_floor() -> None:
    files = {file.stem for file in FOLDER.glob("*.py")} - {"__init__"}
    assert files == set.union(*FLOORS)


@pytest.mark.parametrize("name", sorted(set.union(*FLOORS)))
def test_imports_go_down(name: str) -> None:
    floor = next(number for number, names in enumerate(FLOORS) if name in names)
    lower: set[str] = set().union(*FLOORS[:floor])
    for module in imports(FOLDER / f"{name}.py"):
        top, *rest = module.split(".")
        if top == "gateway" and rest[:1] == ["devices"]:
            assert rest == ["devices"] or rest[1] in lower
        elif top == "gateway" and rest:
            assert rest[0] in {"config", "config_loader", "errors", "limits", "notify"}
        if name not in SHELLS:
            assert top not in WORLD
            assert rest[:1] not in (["notify"], ["config_loader"])
