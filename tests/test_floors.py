"""The house rules of the code, read from its syntax: floors, circles, the world, lengths.

Imports go down. What stands on one floor and is no part of the same package is a neighbour; only
the small modules of floors 0 and 1 may know their neighbours. What stands beside the floors has a
list of its own. An import under TYPE_CHECKING is an import.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FUNCTION_LINES_MAX = 60
MEASURED = ("gateway", "bench", "demo", "firmware-clients")

# Every module and package of gateway/ by floor. A new one must be given its place.
FLOORS: dict[str, int] = {
    **dict.fromkeys(("durability", "errors", "limits", "ids", "tickets"), 0),
    **dict.fromkeys(("timers", "wording"), 0),
    **dict.fromkeys(("arrival", "clock", "config", "copy_place", "digest"), 1),
    **dict.fromkeys(("effects", "moves"), 1),
    **dict.fromkeys(("keyring", "table"), 1),
    **dict.fromkeys(("control", "control_commands", "control_lines"), 1),
    **dict.fromkeys(("config_checks", "config_file", "config_keys", "config_report"), 1),
    **dict.fromkeys(("config_document", "config_reader", "config_rules", "proxy_protocol"), 1),
    "toml_lines": 1,
    "mqtt": 2,
    "broker": 3,
    "mesh": 3,
    **dict.fromkeys(("node", "copy_report", "courier_report"), 4),
    **dict.fromkeys(("report", "metrics"), 5),
    "shell": 6,
}
SMALL_FLOORS = {0, 1}
# What stands beside, and what it may import of gateway/ besides itself and the version.
BESIDE: dict[str, set[str]] = {
    "board": set(),
    "config_loader": {"config", "config_file", "config_reader", "errors"},
    "notify": set(),
    "devices": {"config", "config_loader", "errors", "limits", "notify"},
    "ctl": {"control", "control_commands", "control_lines", "doctor", "wording"},
    "doctor": {"config", "config_document", "config_loader", "wording"},
    "setup": {
        *("config", "config_checks", "config_keys", "config_reader", "config_report"),
        *("config_rules", "config_loader", "board", "ids", "notify"),
    },
}
# What the shell may take from beside.
FOR_THE_SHELL = {"board", "config_loader", "notify"}

# The core knows no clock, no dice, no sockets, no disk and no log.
CORE = {place for place, floor in FLOORS.items() if floor < FLOORS["shell"]}
WORLD = {"asyncio", "socket", "time", "os", "sqlite3", "logging", "random"}
# The type of what is injected may be named; making one is for the shell.
INJECTED = {("random", "Random")}


def modules() -> dict[str, ast.Module]:
    """Every module of gateway/ by its dotted name."""
    found = {}
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(), path.name)
    return found


MODULES = modules()


def imports(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, module and name ("" for a plain import) of everything that is imported anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the import's full name"
            assert node.module is not None
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)


def target(module: str, name: str) -> str:
    """The module of gateway/ that an import reaches."""
    longer = f"{module}.{name}"
    return longer if longer in MODULES else module


def place(module: str) -> str:
    """The module or package of gateway/ that stands on a floor; "" for gateway itself."""
    return module.removeprefix("gateway").lstrip(".").partition(".")[0]


def inner_imports(module: str) -> Iterator[tuple[int, str]]:
    for line, imported, name in imports(MODULES[module]):
        if imported.partition(".")[0] == "gateway":
            yield line, target(imported, name)


def may_import(importer: str, imported: str) -> bool:
    """Whether one place of gateway/ may know another."""
    if imported in ("", importer):
        return True
    if importer in BESIDE:
        return imported in BESIDE[importer]
    if imported in BESIDE:
        return importer == "shell" and imported in FOR_THE_SHELL
    if FLOORS[importer] == FLOORS[imported]:
        return FLOORS[importer] in SMALL_FLOORS
    return FLOORS[imported] < FLOORS[importer]


def test_every_module_has_its_place() -> None:
    assert {place(module) for module in MODULES} - {""} <= FLOORS.keys() | BESIDE.keys()


@pytest.mark.parametrize("module", [m for m in MODULES if place(m)])
def test_imports_go_down(module: str) -> None:
    wrong = [
        f"line {line}: {module} must not import {imported}"
        for line, imported in inner_imports(module)
        if not may_import(place(module), place(imported))
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle() -> None:
    known = {module: {imported for _, imported in inner_imports(module)} for module in MODULES}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]), pytrace=False)


@pytest.mark.parametrize("module", [m for m in MODULES if place(m) in CORE])
def test_the_core_does_not_touch_the_world(module: str) -> None:
    wrong = [
        f"line {line}: {imported} {name}"
        for line, imported, name in imports(MODULES[module])
        if imported.partition(".")[0] in WORLD and (imported, name) not in INJECTED
    ]
    made = [
        f"line {node.lineno}: {node.func.id}() is made in the core"
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {name for _, name in INJECTED}
    ]
    assert not wrong + made


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"
        for folder in MEASURED
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(), path.name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and (length := node.end_lineno - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long


def test_the_rules_find_what_breaks_them() -> None:
    assert not may_import("broker", "mesh")
    assert not may_import("mqtt", "broker")
    assert not may_import("ctl", "config")
    assert not may_import("node", "notify")
    hidden = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gateway.shell.tls\n"
    assert (3, "gateway.shell.tls", "") in list(imports(ast.parse(hidden)))
