"""`gwctl doctor`: the findings as they are made, and the means to ask. Must not know what is checked."""

import argparse
import json
from typing import Any

from gateway.control_lines import ControlError, decode_answer, encode_request
from gateway.ctl.client import SYSTEM_SOCKET, UnreachableError, ask, find_socket
from gateway.ctl.exits import DEGRADED, DONE
from gateway.ctl.parser import arguments_of
from gateway.ctl.screen import Screen
from gateway.ctl.text import Line, Span, Style, clean, wrap
from gateway.doctor.checkup import checkup
from gateway.doctor.finding import Finding, Level

_STYLES = {Level.OK: Style.GOOD, Level.WARNING: Style.DOUBTFUL, Level.ERROR: Style.BAD}
_MARGIN = 9


def run(options: argparse.Namespace) -> int:
    """Exit status 0, or 1 when there is an error; warnings alone are no reason."""
    findings: list[Finding] = []
    screen = Screen()
    for finding in checkup(arguments_of(options)["config"], asked, _usual_socket()):
        findings.append(finding)
        if not options.json:
            screen.show(lines(finding, screen.width))
    healthy = all(finding.level is not Level.ERROR for finding in findings)
    if options.json:
        print(json.dumps(document(findings), indent=2), flush=True)
    return DONE if healthy else DEGRADED


def asked(path: str, words: str) -> dict[str, Any] | None:
    """What the gatewayd of this control socket answers; None: nothing of use."""
    try:
        answer = decode_answer(ask(path, encode_request(words)))
    except (UnreachableError, ControlError):
        return None
    return answer if isinstance(answer, dict) else None


def _usual_socket() -> str:
    try:
        return find_socket(None)
    except UnreachableError:
        return SYSTEM_SOCKET


def document(findings: list[Finding]) -> dict[str, object]:
    """As in docs/status-json.md."""
    return {
        "healthy": all(finding.level is not Level.ERROR for finding in findings),
        "checks": [finding._asdict() | {"level": finding.level.value} for finding in findings],
    }


def lines(finding: Finding, width: int) -> list[Line]:
    """The finding, and what to do behind an arrow, as in `gwctl status`."""
    head, *more = wrap(clean(f"{finding.check}: {finding.text}"), width - _MARGIN)
    shown: list[Line] = [
        [Span(finding.level.value.ljust(_MARGIN), _STYLES[finding.level]), Span(head)]
    ]
    shown += [[Span(" " * _MARGIN + line)] for line in more]
    if finding.remedy:
        first, *rest = wrap(clean(finding.remedy), width - _MARGIN - 3)
        shown.append([Span(f"{' ' * _MARGIN}-> {first}")])
        shown += [[Span(" " * (_MARGIN + 3) + line)] for line in rest]
    return shown
