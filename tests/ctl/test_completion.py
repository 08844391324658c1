"""Completion, by the shells that use it."""

import subprocess
from pathlib import Path

import pytest

from gateway.control_commands import COMMANDS
from gateway.ctl.completion import script
from tests.requires import needs

WAIT_S = 20


def completed(tmp_path: Path, line: str) -> list[str]:
    """What bash offers at the end of the line, by the function that the script defines."""
    (tmp_path / "gwctl.bash").write_text(script("bash"))
    words = line.split(" ")
    commands = (
        'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gwctl; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "--norc", "-uc", commands, str(tmp_path / "gwctl.bash"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line for line in ran.stdout.splitlines() if line]


def test_bash_offers_every_command_first(tmp_path: Path) -> None:
    offered = completed(tmp_path, "gwctl ")
    assert {command.words.split()[0] for command in COMMANDS} <= set(offered)
    assert {"--host", "--version", "--help"} <= set(offered)
    assert len(offered) == len(set(offered))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gwctl stat", ["status"]),
        ("gwctl --host gw1 stat", ["status"]),
        ("gwctl client pump-7 --li", ["--limit"]),
        ("gwctl log --fo", ["--follow"]),
        ("gwctl status --wa", ["--watch"]),
        ("gwctl clients --wa", []),
        ("gwctl completion z", ["zsh"]),
        ("gwctl --host ", []),
        ("gwctl doctor --config gwctl.", ["gwctl.bash"]),
    ],
)
def test_bash_offers_what_may_come_next(tmp_path: Path, line: str, offered: list[str]) -> None:
    assert completed(tmp_path, line) == offered


def test_zsh_takes_the_script(tmp_path: Path) -> None:
    (tmp_path / "gwctl.zsh").write_text(script("zsh"))
    ran = subprocess.run(
        [needs("zsh"), "-fc", f"source {tmp_path}/gwctl.zsh; print $_comps[gwctl]"],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "_gwctl" in ran.stdout
