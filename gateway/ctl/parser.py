"""gwctl's command line, made from the table of commands. Must not know what a command does."""

import argparse
import sys
from typing import Any, NoReturn

from gateway import __version__
from gateway.control_commands import COMMANDS, STATUS, Argument, Command, Kind

MISTYPED = 64
WATCH_SECONDS_MIN, WATCH_SECONDS_MAX = 0.1, 3600.0
HOSTS_MAX = 32  # the largest mesh
EXIT_STATUSES = "Exit status: 0 healthy or done, 1 degraded or refused, 2 unreachable, 64 mistyped."
PREFIX = "argument_"  # keeps the commands' arguments apart from gwctl's own options


class Parser(argparse.ArgumentParser):
    """As argparse's, but a mistyped command does not look like an unreachable gateway."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(MISTYPED, f"{self.prog}: {message}\n")


def make_parser(only_here: bool) -> Parser:
    """`only_here`: for who may ask the gateway of this box and nothing else."""
    parser = Parser(prog="gwctl", description="Asks a gateway how it and its mesh are.")
    parser.set_defaults(host=None, socket=None, watch=None)
    parser.add_argument("--version", action="version", version=f"gwctl {__version__}")
    if not only_here:
        parser.add_argument(
            "--host",
            type=_hosts,
            metavar="[USER@]HOST[,...]",
            help="run the command there, over ssh; several hosts one after the other",
        )
    levels = {"": parser.add_subparsers(title="commands", required=True, metavar="COMMAND")}
    for command in COMMANDS:
        above, _, word = command.words.rpartition(" ")
        _add(_level(levels, above), word, command, only_here)
    return parser


def _level(levels: dict[str, Any], words: str) -> Any:
    """Where commands stand that begin with these words."""
    if words not in levels:
        above, _, word = words.rpartition(" ")
        group = _level(levels, above).add_parser(word, help=group_help(words))
        levels[words] = group.add_subparsers(required=True, metavar="COMMAND")
    return levels[words]


def group_help(words: str) -> str:
    """The line for commands that begin with the same words."""
    behind = [
        c.words.removeprefix(f"{words} ") for c in COMMANDS if c.words.startswith(f"{words} ")
    ]
    return ", ".join(dict.fromkeys(each.partition(" ")[0] for each in behind))


def arguments_of(options: argparse.Namespace) -> dict[str, Any]:
    """What was typed for the command itself, secrets excepted."""
    command: Command = options.command
    typed = [argument for argument in command.arguments if argument.kind is not Kind.SECRET]
    return {argument.name: getattr(options, PREFIX + argument.name) for argument in typed}


def secrets_of(options: argparse.Namespace) -> list[str]:
    """The names of the secrets that are to be asked for."""
    command: Command = options.command
    secrets = [argument for argument in command.arguments if argument.kind is Kind.SECRET]
    return [s.name for s in secrets if not s.option or getattr(options, PREFIX + s.name)]


def needs_secret(command: Command) -> bool:
    """Whether the command is not done without one."""
    return any(each.kind is Kind.SECRET and not each.option for each in command.arguments)


def words_of(options: argparse.Namespace) -> list[str]:
    """The same command as words, without the hosts: what another box is to run."""
    command: Command = options.command
    words = ["gwctl", *command.words.split()]
    values, secrets = arguments_of(options), secrets_of(options)
    standing: list[str] = []
    for argument in command.arguments:
        value = values.get(argument.name)
        if argument.kind is Kind.SECRET:
            words += [f"--{argument.name}"] if argument.option and argument.name in secrets else []
            continue
        if value == argument.default:
            continue
        if argument.many:
            standing += value or []
        elif not argument.option:
            standing.append(str(value))
        elif argument.kind is Kind.SWITCH:
            words.append(f"--{argument.name}")
        else:
            words += [f"--{argument.name}", str(value)]
    words += ["--json"] if options.json else []
    words += ["--watch", f"{options.watch:g}"] if options.watch else []
    words += ["--socket", options.socket] if options.socket else []
    dashed = any(word.startswith("-") for word in standing)
    return [*words, *(["--"] if dashed else []), *standing]


def _add(level: Any, word: str, command: Command, only_here: bool) -> None:
    parser = level.add_parser(
        word,
        help=command.help,
        description=command.description or f"{command.help[:1].upper()}{command.help[1:]}.",
        epilog=EXIT_STATUSES,
    )
    parser.set_defaults(command=command)
    for argument in command.arguments:
        _add_argument(parser, argument)
    parser.add_argument("--json", action="store_true", help="the document, for programs")
    if command.words == STATUS:
        parser.add_argument(
            "--watch",
            nargs="?",
            type=_seconds,
            const=1.0,
            metavar="SECONDS",
            help="show it anew every second, or as often as said, until Ctrl-C",
        )
    if not only_here and not command.here:
        parser.add_argument("--socket", metavar="PATH", help="the control socket of gatewayd")


def _add_argument(parser: argparse.ArgumentParser, argument: Argument) -> None:
    if argument.kind is Kind.SECRET and not argument.option:
        return
    form: dict[str, Any] = {"help": argument.help}
    if argument.kind in (Kind.SWITCH, Kind.SECRET):
        form["action"] = "store_true"
    else:
        form |= {"metavar": argument.metavar, "default": argument.default}
        form["choices"] = argument.choices or None
        form["type"] = _whole(argument) if argument.kind is Kind.COUNT else str
    if argument.option:
        names = [f"-{argument.short}"] if argument.short else []
        parser.add_argument(*names, f"--{argument.name}", dest=PREFIX + argument.name, **form)
        return
    if argument.many:
        form["nargs"] = "*" if argument.default is not None else "+"
    elif argument.default is not None:
        form["nargs"] = "?"
    parser.add_argument(PREFIX + argument.name, **form)


def _whole(argument: Argument) -> Any:
    def whole(text: str) -> int:
        if not text.isdecimal() or not argument.low <= int(text[:12]) <= argument.high:
            allowed = f"a whole number from {argument.low} to {argument.high}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}")
        return int(text)

    return whole


def _hosts(text: str) -> list[str]:
    hosts = [host.strip() for host in text.split(",")]
    if len(hosts) > HOSTS_MAX:
        raise argparse.ArgumentTypeError(f"more than {HOSTS_MAX} hosts")
    for host in hosts:
        if not host or host.startswith("-") or not host.isprintable() or " " in host:
            raise argparse.ArgumentTypeError(f"{host!r} is not a host")
    return hosts


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not WATCH_SECONDS_MIN <= seconds <= WATCH_SECONDS_MAX:
        allowed = f"{WATCH_SECONDS_MIN:g} to {WATCH_SECONDS_MAX:g} seconds"
        raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}")
    return seconds
