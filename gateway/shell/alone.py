"""What a gateway without a mesh answers to the commands that concern one.

Light: it must not load the mesh.
"""

from gateway.control_commands import COMMANDS
from gateway.control_lines import ControlError, Document
from gateway.shell.commands import Commands

OF_THE_MESH = ("cluster ", "forget")


def register(commands: Commands) -> None:
    """Adds a refusal for each of them."""
    for command in COMMANDS:
        if command.words.startswith(OF_THE_MESH):
            commands.answer(command.words, _refuse)


def _refuse(_: Document) -> Document:
    raise ControlError("this gateway stands alone", "give it a [cluster], and restart gatewayd")
