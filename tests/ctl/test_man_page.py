"""The manual page: up to date, complete, and liked by groff."""

import re
import subprocess
from pathlib import Path

from gateway.control_commands import COMMANDS
from tests.requires import needs
from tools.man_page import page

PAGE = Path(__file__).parents[2] / "docs/man/gwctl.1"
WAIT_S = 20


def test_the_page_is_as_the_table_of_commands() -> None:
    assert PAGE.read_text() == page(), "run: .venv/bin/python -m tools.man_page > docs/man/gwctl.1"


def test_groff_reads_it_without_a_warning_and_shows_every_command() -> None:
    ran = subprocess.run(
        [needs("groff"), "-man", "-Tascii", "-ww", "-P-c", str(PAGE)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    assert ran.stderr == ""
    shown = [re.sub(".\b", "", line).strip() for line in ran.stdout.splitlines()]
    assert "EXIT STATUS" in shown
    for command in COMMANDS:
        assert any(line.startswith(command.words) for line in shown), command.words
