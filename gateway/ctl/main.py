"""gwctl: what the operator types. Exit status 0 healthy, 1 degraded, 2 unreachable, 64 mistyped.

Starts in a few hundredths of a second of CPU, and so imports only what every call needs; a test
names what must not be imported. Must not know anything of a gateway but `gateway/control.py`.
"""

import argparse
import json
import os
import sys
import time
from typing import NoReturn

from gateway import __version__
from gateway.control import (
    STATUS,
    ControlError,
    Health,
    Status,
    decode_answer,
    encode_request,
    to_document,
)
from gateway.ctl import remote
from gateway.ctl.client import UnreachableError, ask, find_socket
from gateway.ctl.report import report
from gateway.ctl.screen import Screen
from gateway.ctl.text import Span, clean

HEALTHY, DEGRADED, UNREACHABLE, MISTYPED, INTERRUPTED = 0, 1, 2, 64, 130
WATCH_SECONDS_MIN, WATCH_SECONDS_MAX = 0.1, 3600.0
HOSTS_MAX = 32  # the largest mesh


def main(arguments: list[str] | None = None, only_here: bool = False) -> int:
    """Runs one command and returns its exit status.

    `only_here`: it may ask the gateway of this box and nothing else, as for `gw-shell`.
    """
    options = _parser(only_here).parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        if options.host:
            return _on_hosts(options)
        return _watch(options) if options.watch else _once(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `gwctl status | head -1`: nobody reads on, which is no mistake
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return HEALTHY


class _Parser(argparse.ArgumentParser):
    """As argparse's, but a mistyped command does not look like an unreachable gateway."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(MISTYPED, f"{self.prog}: {message}\n")


def _parser(only_here: bool) -> _Parser:
    parser = _Parser(prog="gwctl", description="Asks a gateway how it and its mesh are.")
    parser.set_defaults(host=None, socket=None)
    parser.add_argument("--version", action="version", version=f"gwctl {__version__}")
    if not only_here:
        parser.add_argument(
            "--host",
            type=_hosts,
            metavar="[USER@]HOST[,...]",
            help="run the command there, over ssh; several hosts one after the other",
        )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    status = commands.add_parser(
        STATUS,
        help="the mesh, its serial ports, and what is wrong",
        description="Shows the mesh, its serial ports, and what is wrong, worst first.",
        epilog="Exit status: 0 healthy, 1 degraded, 2 unreachable, 64 mistyped.",
    )
    status.add_argument("--json", action="store_true", help="the document, for programs")
    status.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=1.0,
        metavar="SECONDS",
        help="show it anew every second, or as often as said, until Ctrl-C",
    )
    if not only_here:
        status.add_argument("--socket", metavar="PATH", help="the control socket of gatewayd")
    return parser


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


def _status(options: argparse.Namespace) -> Status:
    """Raises UnreachableError, also for an answer that is none."""
    try:
        return decode_answer(ask(find_socket(options.socket), encode_request(STATUS)))
    except ControlError as error:
        raise UnreachableError(f"{clean(error.text)}. Do: {clean(error.remedy)}") from None


def _exit_status(status: Status) -> int:
    return HEALTHY if status.health is Health.HEALTHY else DEGRADED


def _once(options: argparse.Namespace) -> int:
    try:
        status = _status(options)
    except UnreachableError as error:
        print(f"gwctl: {error}", file=sys.stderr)
        return UNREACHABLE
    if options.json:
        print(json.dumps(to_document(status), indent=2), flush=True)
    else:
        screen = Screen()
        screen.show(report(status, screen.width))
    return _exit_status(status)


def _watch(options: argparse.Namespace) -> int:
    """Until Ctrl-C; the exit status is that of what was shown last."""
    screen = Screen()
    code = INTERRUPTED
    due = time.monotonic()
    try:
        while True:
            seen = _look(options)
            # Known before it is shown: Ctrl-C may come as soon as it can be read.
            code = UNREACHABLE if isinstance(seen, UnreachableError) else _exit_status(seen)
            _draw(seen, screen, options.json)
            due = max(due + options.watch, time.monotonic())
            time.sleep(due - time.monotonic())
    except KeyboardInterrupt:
        return code


def _look(options: argparse.Namespace) -> Status | UnreachableError:
    """Being unreachable is something to see here: the gateway may come back."""
    try:
        return _status(options)
    except UnreachableError as error:
        return error


def _draw(seen: Status | UnreachableError, screen: Screen, as_json: bool) -> None:
    if isinstance(seen, Status):
        if as_json:
            print(json.dumps(to_document(seen), separators=(",", ":")), flush=True)
        else:
            screen.redraw(report(seen, screen.width))
    elif screen.is_terminal and not as_json:
        screen.redraw([[Span(f"gwctl: {seen}")], [], [Span("trying again; Ctrl-C ends")]])
    else:
        print(f"gwctl: {seen}", file=sys.stderr)


def _on_hosts(options: argparse.Namespace) -> int:
    """Each in turn, with a line above each where there are several; the worst exit status."""
    if options.watch and len(options.host) > 1:
        print("gwctl: --watch shows one host; name one", file=sys.stderr)
        return MISTYPED
    command = ["gwctl", STATUS]
    command += ["--json"] if options.json else []
    command += ["--watch", f"{options.watch:g}"] if options.watch else []
    command += ["--socket", options.socket] if options.socket else []
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    worst = HEALTHY
    for host in options.host:
        if len(options.host) > 1 and not options.json:
            print(f"== {host}")
        worst = max(worst, remote.run(host, command, terminal))
    return worst


if __name__ == "__main__":
    sys.exit(main())
