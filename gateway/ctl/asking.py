"""Commands that ask gatewayd one thing, or follow a stream of it, and show what comes.

What a document looks like to a person is in `views.py` and `streams.py`. Must not know what the
commands are.
"""

import argparse
import json
import sys
from typing import Any

from gateway.control_commands import TRACE, Command
from gateway.control_lines import (
    ControlError,
    RefusedError,
    decode_answer,
    decode_item,
    decode_stream,
    encode_request,
    misfit,
)
from gateway.ctl import streams, views
from gateway.ctl.client import UnreachableError, ask, find_socket, follow
from gateway.ctl.exits import DEGRADED, DONE, UNREACHABLE
from gateway.ctl.parser import arguments_of, needs_secret, secrets_of
from gateway.ctl.screen import Screen
from gateway.ctl.text import clean

HINT_AFTER_S = 1.0


def run(options: argparse.Namespace) -> int:
    """Exit status 0; 1 when the gateway refuses, 2 when it cannot be asked."""
    command: Command = options.command
    try:
        path, arguments = find_socket(options.socket), arguments_of(options)
        if needs_secret(command):  # what else is wrong is said before somebody types it
            decode_answer(ask(path, encode_request(command.words, arguments)))
        request = encode_request(command.words, arguments | _secrets(options))
        if command.stream:
            return _follow(command, path, request, options.json)
        return _show(command, decode_answer(ask(path, request)), options.json)
    except UnreachableError as error:
        print(f"gwctl: {error}", file=sys.stderr)
        return UNREACHABLE
    except ControlError as error:
        print(f"gwctl: {clean(error.text)}. Do: {clean(error.remedy)}", file=sys.stderr)
        return DEGRADED if isinstance(error, RefusedError) else UNREACHABLE


def _show(command: Command, document: object, as_json: bool) -> int:
    if not isinstance(document, dict):
        raise misfit("the answer is not an object")
    if as_json:
        print(json.dumps(document, indent=2), flush=True)
    else:
        screen = Screen()
        screen.show(views.lines(command.words, document, screen.width))
    return DEGRADED if document.get("missing") else DONE


def _follow(command: Command, path: str, request: bytes, as_json: bool) -> int:
    """Until Ctrl-C, which is how one leaves, or the gateway's end, or that of what it does."""
    screen = Screen()
    begun, status = False, DONE
    try:
        for line in follow(path, request):
            if not begun:
                decode_stream(line)
                begun = True
                if command.words == TRACE and screen.is_terminal:  # which may stay empty for long
                    print("gwctl: watching; Ctrl-C ends it", file=sys.stderr)
                continue
            document = decode_item(line)
            status = DEGRADED if document.get("state") == "failed" else DONE
            if as_json:
                print(json.dumps(document, separators=(",", ":")), flush=True)
            else:
                screen.show(streams.lines(command.words, document))
    except KeyboardInterrupt:
        return DONE
    return status


def _secrets(options: argparse.Namespace) -> dict[str, Any]:
    """Asked for twice at a terminal; one line of standard input each where there is none."""
    return {name: _secret(name) for name in secrets_of(options)}


def _secret(name: str) -> str:
    """Raises ControlError when it is not to be had; it is in no argument and no process list."""
    if not sys.stdin.isatty():
        _say_what_is_awaited(name)
        line = sys.stdin.readline(1024).rstrip("\r\n")
        if not line:
            raise RefusedError(f"no {name} came", "type it, or write it to standard input")
        return line
    from getpass import getpass  # only here: most commands ask for nothing

    try:
        first = getpass(f"{name}: ")
        again = getpass(f"{name}, again: ")
    except EOFError:
        first = again = ""
    if not first or first != again:
        raise RefusedError(f"the two were not the same {name}", "try again")
    return first


def _say_what_is_awaited(name: str) -> None:
    """For somebody who sits there and sees nothing: what a program writes has come by then."""
    import select  # only here, too

    if not select.select([sys.stdin], (), (), HINT_AFTER_S)[0]:
        text = f"gwctl: the {name} is read from standard input; to be asked for it: ssh -t"
        print(text, file=sys.stderr, flush=True)
