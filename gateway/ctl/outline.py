"""gwctl's command line as data, read from the parser itself: for completion and the manual page.

What the parser accepts and what these say cannot differ. Must not know how either is written.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

from gateway.control_commands import Command
from gateway.ctl.parser import make_parser


class Word(NamedTuple):
    """An option, or, without `names`, an argument that stands where it stands.

    `value` is the word for its value in a usage line, "" for a switch; `needed`: the value may not
    be left out.
    """

    names: tuple[str, ...]
    value: str
    needed: bool
    help: str
    choices: tuple[str, ...]


class Outline(NamedTuple):
    """One command; that of no words is gwctl itself."""

    words: str
    description: str
    arguments: tuple[Word, ...]


def outlines() -> Iterator[Outline]:
    """gwctl itself, then every command in the order of the table."""
    parser = make_parser(only_here=False)
    yield Outline("", parser.description or "", _words(parser))
    yield from _below(parser)


def _below(parser: argparse.ArgumentParser) -> Iterator[Outline]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for level in action.choices.values():
                command: Command | None = level.get_default("command")
                if command is None:
                    yield from _below(level)
                else:
                    yield Outline(command.words, level.description or "", _words(level))


def _words(parser: argparse.ArgumentParser) -> tuple[Word, ...]:
    return tuple(
        _word(action)
        for action in parser._actions
        if not isinstance(action, argparse._SubParsersAction)
    )


def _word(action: argparse.Action) -> Word:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest)
    needed = action.nargs in (None, "+")
    choices = tuple(str(choice) for choice in action.choices or ())
    return Word(tuple(action.option_strings), value, needed, action.help or "", choices)
