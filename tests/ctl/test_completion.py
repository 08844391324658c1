"""Completion, by the shells that use it."""

import os
import pty
import select
import subprocess
import time
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
        ("gwctl clus", ["cluster"]),
        ("gwctl cluster ", ["rejoin", "key"]),
        ("gwctl cluster key r", ["rotate"]),
        ("gwctl cluster key rotate --k", ["--key"]),
        ("gwctl status --wa", ["--watch"]),
        ("gwctl clients --wa", []),
        ("gwctl completion z", ["zsh"]),
        ("gwctl --host ", []),
        ("gwctl doctor --config gwctl.", ["gwctl.bash"]),
    ],
)
def test_bash_offers_what_may_come_next(tmp_path: Path, line: str, offered: list[str]) -> None:
    assert completed(tmp_path, line) == offered


SCRIPTS = Path(__file__).parents[2] / "docs/completion"


@pytest.mark.parametrize(("shell", "name"), [("bash", "gwctl.bash"), ("zsh", "_gwctl")])
def test_the_scripts_that_are_installed_are_as_the_table_of_commands(shell: str, name: str) -> None:
    remedy = (
        f"run: .venv/bin/python -m gateway.ctl.main completion {shell} > docs/completion/{name}"
    )
    assert (SCRIPTS / name).read_text() == script(shell), remedy


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    ["source {}/_gwctl", "fpath=({} $fpath); autoload -U compinit && compinit -u -D"],
    ids=["sourced", "found"],
)
def test_zsh_completes_a_line(settings: str, tmp_path: Path) -> None:
    here, there = pty.openpty()
    zsh = subprocess.Popen(
        [needs("zsh"), "-fi"],
        stdin=there,
        stdout=there,
        stderr=there,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "TERM": "dumb", "PATH": os.environ["PATH"]},
        start_new_session=True,
    )
    os.close(there)
    try:
        begin = (
            f'{settings.format(SCRIPTS)}; gwctl() {{ print "ran: $*" }}; print ready-${{:-yes}}\n'
        )
        os.write(here, begin.encode())
        wait_for(here, "ready-yes")
        os.write(here, b"gwctl retai\t--lim\t5\n")
        wait_for(here, "ran: retained --limit 5")
    finally:
        zsh.kill()
        zsh.wait(WAIT_S)
        os.close(here)


def wait_for(terminal: int, words: str) -> None:
    """Reads the terminal until the words stand there."""
    shown, end = "", time.monotonic() + WAIT_S
    while words not in shown:
        ready, _, _ = select.select([terminal], [], [], end - time.monotonic())
        assert ready, f"no {words!r} in {shown!r}"
        shown += os.read(terminal, 4096).decode(errors="replace")
