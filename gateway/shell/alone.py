"""What a gateway without a mesh answers to the commands that concern one.

Light: it must not load the mesh.
"""

from typing import NoReturn

from gateway.control_commands import COMMANDS
from gateway.control_lines import ControlError, Document
from gateway.shell.commands import Commands

OF_THE_MESH = ("cluster ", "forget", "drain", "undrain", "reboot")


def register(commands: Commands) -> None:
    """Adds a refusal for each of them."""
    for command in COMMANDS:
        if not command.words.startswith(OF_THE_MESH):
            continue
        if command.stream:
            commands.stream(command.words, _refuse)
        else:
            commands.answer(command.words, _refuse)


def _refuse(_: Document) -> NoReturn:
    raise ControlError("this gateway stands alone", "give it a [cluster], and restart gatewayd")
