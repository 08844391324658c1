"""gw-shell: the login shell of the operator's user. It runs gwctl and nothing else.

    ssh gw@gw1.local gwctl status      sshd runs  gw-shell -c 'gwctl status'
    ssh gw@gw1.local                   a prompt for such lines

Rules: a line is words of a few characters, or of printable ones in single quotes, or it is refused as
a whole; no program is started and no shell reads the line, for gwctl runs in this process; the
environment is emptied of all but what a terminal needs. Must not
know what gwctl's commands are.
"""

import os
import re
import signal
import sys

from gateway.ctl.exits import MISTYPED
from gateway.ctl.main import main as gwctl

LINE_CHARACTERS_MAX = 256
REFUSED = "This account runs gwctl and nothing else; try: gwctl status"
HELP = "gwctl status | gwctl status --watch | gwctl clients | gwctl --help | exit"

# What names of clients, users and topics are made of; nothing else means anything to gwctl either.
_WORD = r"[A-Za-z0-9._=/+#$:@,%-]+|'[ -&(-\[\]-~]*'"
_LINE = re.compile(rf" *gwctl(?P<words>(?: +(?:{_WORD}))*) *", re.ASCII)
_ENVIRONMENT = re.compile(r"TERM|LANG|LC_[A-Z]+|NO_COLOR", re.ASCII)


def words_of(line: str) -> list[str] | None:
    """The arguments for gwctl; None when the line is anything but a call of gwctl."""
    match = _LINE.fullmatch(line) if len(line) <= LINE_CHARACTERS_MAX else None
    if match is None:
        return None
    return [word.strip("'") for word in re.findall(_WORD, match["words"])]


def run_line(line: str) -> int:
    """The exit status of gwctl, or MISTYPED after one sentence."""
    words = words_of(line)
    if words is None:
        print(REFUSED, file=sys.stderr)
        return MISTYPED
    try:
        return gwctl(words, only_here=True)
    except SystemExit as error:  # argparse: --help, or a mistake that it has already told
        return error.code if isinstance(error.code, int) else MISTYPED


def _prompt() -> int:
    """Reads lines from a terminal until its end or `exit`; the status of the last one."""
    prompt = f"{os.uname().nodename.split('.')[0]}> "
    print(f"{HELP}", flush=True)
    status = 0
    while True:
        try:
            print(prompt, end="", flush=True)
            line = sys.stdin.readline(LINE_CHARACTERS_MAX + 1)
        except KeyboardInterrupt:
            print()
            continue
        match line.strip():
            case "exit" | "quit" | "logout":
                return status
            case "" if not line:
                print()
                return status
            case "":
                continue
            case "help" | "?":
                print(HELP)
            case typed:
                status = run_line(typed)


def main(arguments: list[str] | None = None) -> int:
    """Runs the line behind -c, or asks for lines where a person sits at a terminal."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for name in list(os.environ):
        if not _ENVIRONMENT.fullmatch(name):
            del os.environ[name]
    os.umask(0o077)
    match arguments:
        case ["-c", line]:
            return run_line(line)
        case [] if sys.stdin.isatty() and sys.stdout.isatty():
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # nobody could bring it back
            return _prompt()
        case _:
            return run_line("")


if __name__ == "__main__":
    sys.exit(main())
