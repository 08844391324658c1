"""gwctl: what the operator types. `exits.py` has the exit statuses.

Starts in a few hundredths of a second of CPU, and so imports only what every call needs; a test
names what must not be imported. Must not know anything of a gateway but the `gateway/control*.py`, and
`gateway/doctor/` for the one command.
"""

import argparse
import os
import sys

from gateway.control_commands import COMPLETION, DOCTOR, STATUS, Command
from gateway.ctl.exits import DONE, INTERRUPTED, MISTYPED
from gateway.ctl.parser import make_parser, words_of


def main(arguments: list[str] | None = None, only_here: bool = False) -> int:
    """Runs one command and returns its exit status.

    `only_here`: it may ask the gateway of this box and nothing else, as for `gw-shell`.
    """
    options = make_parser(only_here).parse_args(arguments)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        if options.host:
            return _on_hosts(options)
        return _run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `gwctl status | head -1`: nobody reads on, which is no mistake
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _run(options: argparse.Namespace) -> int:
    """Each command's own code is imported when it is the one."""
    command: Command = options.command
    if command.words == STATUS:
        from gateway.ctl import status

        return status.run(options)
    if command.words == DOCTOR:
        from gateway.ctl import doctor

        return doctor.run(options)
    if command.words == COMPLETION:
        from gateway.ctl import completion

        return completion.run(options)
    from gateway.ctl import asking

    return asking.run(options)


def _on_hosts(options: argparse.Namespace) -> int:
    """Each in turn, with a line above each where there are several; the worst exit status."""
    from gateway.ctl import remote

    if (options.watch or options.command.stream) and len(options.host) > 1:
        what = "--watch" if options.watch else options.command.words
        print(f"gwctl: {what} shows one host; name one", file=sys.stderr)
        return MISTYPED
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    worst = DONE
    for host in options.host:
        if len(options.host) > 1 and not options.json:
            print(f"== {host}")
        worst = max(worst, remote.run(host, words_of(options), terminal))
    return worst


if __name__ == "__main__":
    sys.exit(main())
