"""Documents of a stream as lines for a person, whole ones, so that `grep` finds them.

A key that a gateway of another version does not send shows as "-". Must not know sockets or terminals.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.ctl.text import Line, Span, Style, clean
from gateway.ctl.views import seconds, words
from gateway.wording import agreed

LEVELS = {"warning": Style.DOUBTFUL, "error": Style.BAD, "critical": Style.BAD}
STEPS = {"waits": Style.DOUBTFUL, "lost": Style.BAD, "refused": Style.BAD}


def lines(command: str, document: dict[str, Any]) -> list[Line]:
    """One document of this command."""
    return _VIEWS[command](document)


def _log(document: dict[str, Any]) -> list[Line]:
    """One call of a logger."""
    level = words(document.get("level"))
    first, *more = str(document.get("text", "")).splitlines() or [""]
    head = Span(f"{words(document.get('time'))} ")
    style = LEVELS.get(level, Style.PLAIN)
    trace: list[Line] = [[Span(f"    {clean(line)}")] for line in more]
    text = Span(f" {clean(first)}")
    return [*_missed(document), [head, Span(f"{level:<8}", style), text], *trace]


def _trace(document: dict[str, Any]) -> list[Line]:
    """One step of a message, with the gateway's name where it is of the whole mesh."""
    if "why" in document:
        gone = f"(without {words(document.get('gateway'))}: {words(document['why'])})"
        return [[Span(gone, Style.DOUBTFUL)]]
    if "what" not in document:
        return _missed(document)
    at = f"{words(document['gateway']):<8} " if document.get("gateway") else ""
    what = words(document["what"])
    size = document.get("bytes")
    line = [words(document.get("topic")), f"{size}B" if isinstance(size, int) else "-"]
    if document.get("payload"):
        line.append(clean(str(document["payload"])))
    elif document.get("payload_hex"):
        line.append(f"0x{words(document['payload_hex'])}")
    if marks := _marks(document):
        line.append(f"({', '.join(marks)})")
    return [
        [
            Span(f"{words(document.get('time'))[11:23] or '-'} {at}"),
            Span(f"{what:<7}", STEPS.get(what, Style.PLAIN)),
            Span(f" {_who(document):<15} {_flags(document)} {' '.join(line)}"),
        ]
    ]


def _who(document: dict[str, Any]) -> str:
    who = words(document.get("client"))
    return f"{who} (mesh)" if document.get("via") == "mesh" else who


def _flags(document: dict[str, Any]) -> str:
    retain, dup = document.get("retain"), document.get("dup")
    return f"q{words(document.get('qos'))}{'r' if retain else '-'}{'d' if dup else '-'}"


def _marks(document: dict[str, Any]) -> list[str]:
    """What only few messages have."""
    identifiers = document.get("identifiers")
    marks = [f"alias {words(document['alias'])}"] if document.get("alias") else []
    if isinstance(identifiers, list) and identifiers:
        marks.append(f"identifier {', '.join(words(each) for each in identifiers)}")
    if document.get("expires_s") is not None:
        marks.append(f"expires in {seconds(document['expires_s'])}")
    return marks + ([words(document["detail"])] if document.get("detail") else [])


def _missed(document: dict[str, Any]) -> list[Line]:
    missed = document.get("missed")
    if not missed:
        return []
    where = document.get("gateway")
    lost = agreed(missed, "line[s] [was|were] lost: this terminal reads too slowly")
    if where:
        left = agreed(missed, "[was|were] left out: too many to show")
        lost = f"{agreed(missed, 'message[s]')} at {words(where)} {left}"
    gap = f"({words(missed)} {lost})"
    return [[Span(gap, Style.DOUBTFUL)]]


def _step(document: dict[str, Any]) -> list[Line]:
    """What a command that takes a while is at."""
    style = Style.BAD if document.get("state") == "failed" else Style.PLAIN
    return [[Span(words(document.get("text")), style)]]


_VIEWS: Mapping[str, Callable[[dict[str, Any]], list[Line]]] = {
    "log": _log,
    "trace": _trace,
    "drain": _step,
    "reboot": _step,
}
