"""A gateway without a mesh says so to the commands that concern one."""

import asyncio

import pytest

from gateway.control_commands import COMMANDS
from gateway.control_lines import ControlError, Request
from gateway.shell.alone import register
from gateway.shell.commands import Commands

OF_THE_MESH = [
    *("drain", "undrain", "reboot", "cluster rejoin"),
    *("cluster key show", "cluster key rotate", "cluster key finish"),
]


@pytest.mark.parametrize("words", OF_THE_MESH)
def test_it_says_what_is_missing(words: str) -> None:
    commands = Commands()
    register(commands)
    with pytest.raises(ControlError, match="this gateway stands alone"):
        asyncio.run(commands.do(Request(words, {})))


def test_other_commands_are_not_refused() -> None:
    commands = Commands()
    register(commands)
    refused = {command.words for command in COMMANDS} - set(commands.missing())
    here = {command.words for command in COMMANDS if command.here}
    assert refused - here == {*OF_THE_MESH, "forget"}
