"""`gwctl status`: the status document, once or again and again. Must not know where it comes from."""

import argparse
import json
import sys
import time

from gateway.control import Health, Status, from_document, to_document
from gateway.control_commands import STATUS
from gateway.control_lines import ControlError, decode_answer, encode_request
from gateway.ctl.client import UnreachableError, ask, find_socket
from gateway.ctl.exits import DEGRADED, DONE, INTERRUPTED, UNREACHABLE
from gateway.ctl.report import report
from gateway.ctl.screen import Screen
from gateway.ctl.text import Span, clean


def run(options: argparse.Namespace) -> int:
    """The exit status is the health that was shown last."""
    return _watch(options) if options.watch else _once(options)


def _status(options: argparse.Namespace) -> Status:
    """Raises UnreachableError, also for an answer that is none."""
    try:
        return from_document(
            decode_answer(ask(find_socket(options.socket), encode_request(STATUS)))
        )
    except ControlError as error:
        raise UnreachableError(f"{clean(error.text)}. Do: {clean(error.remedy)}") from None


def _exit_status(status: Status) -> int:
    return DONE if status.health is Health.HEALTHY else DEGRADED


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
