"""Documents as lines for a person: a view for each command, as data where that will do.

A listing is a table with a line below it when not all is shown; a sheet is a line for each figure.
A key that a gateway of another version does not send shows as "-". Must not know sockets or
terminals.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from gateway.control_commands import CONFIG
from gateway.ctl.table import Column, table
from gateway.ctl.text import Line, Span, Style, clean, keep_ends, keep_head, keep_tail, wrap
from gateway.ctl.units import count, duration

Form: TypeAlias = Callable[[Any], str]
Cut: TypeAlias = Callable[[str, int], str]


def words(value: object) -> str:
    """A text, or a figure as it is."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(str(value))


def figure(value: object) -> str:
    """A count in at most four characters."""
    return count(value) if isinstance(value, (int, float)) else "-"


def seconds(value: object) -> str:
    return duration(value) if isinstance(value, (int, float)) else "-"


def names(value: object) -> str:
    """Some names."""
    return ", ".join(words(each) for each in value) if isinstance(value, list) else "-"


def by_scram(value: object) -> str:
    """Whether a user may log in by SCRAM, and what to do if not."""
    return "no: gwctl user passwd" if value is False else words(value)


class Field(NamedTuple):
    """One column of a listing, or one line of a sheet. `cut`: how it is shortened; `rare`: it is left
    out where no document has it."""

    key: str
    heading: str
    form: Form = words
    cut: Cut | None = None
    rare: bool = False

    @property
    def right(self) -> bool:
        return self.form in (figure, seconds)


class Listing(NamedTuple):
    """The rows stand under `rows` in the document, how many there are under "total"."""

    rows: str
    fields: tuple[Field, ...]
    nothing: str  # the sentence for none


class Sheet(NamedTuple):
    """One thing: its figures, then the listings that belong to it."""

    fields: tuple[Field, ...]
    listings: tuple[Listing, ...] = ()


CLIENT = Field("client", "client", words, keep_ends)
GATEWAY = Field("gateway", "gateway", words, keep_ends, rare=True)
TOPIC = Field("topic", "topic", words, keep_ends)
PAYLOAD = Field("payload", "payload", words, keep_head)
WAITING = (Field("in_flight", "sent", figure), Field("queued", "queued", figure))

LISTINGS: Mapping[str, Listing] = {
    "clients": Listing(
        "clients",
        (
            CLIENT,
            GATEWAY,
            Field("address", "address", words, keep_tail),
            Field("version", "MQTT"),
            Field("connected_s", "up", seconds),
            Field("silent_s", "silent", seconds),
            Field("subscriptions_total", "subs", figure),
            *WAITING,
        ),
        "no client is connected",
    ),
    "sessions": Listing(
        "sessions",
        (
            CLIENT,
            GATEWAY,
            Field("connected", "here"),
            Field("expiry_s", "kept for", seconds),
            Field("subscriptions_total", "subs", figure),
            *WAITING,
            Field("queued_bytes", "bytes", figure),
        ),
        "there is no session",
    ),
    "retained": Listing(
        "retained",
        (
            TOPIC,
            Field("qos", "QoS"),
            Field("bytes", "bytes", figure),
            Field("expires_s", "left", seconds),
            PAYLOAD,
        ),
        "no retained message is there",
    ),
    "user list": Listing(
        "users",
        (
            Field("user", "user", words, keep_ends),
            Field("groups", "groups", words, keep_head),
            Field("scram", "SCRAM", by_scram),
        ),
        "there is no user: names and passwords are not looked at",
    ),
    "rule list": Listing(
        "rules", (Field("rule", "rule", words, keep_ends),), "there is no rule: all may do all"
    ),
    "queue": Listing(
        "messages",
        (
            Field("state", "state"),
            TOPIC,
            Field("qos", "QoS"),
            Field("bytes", "bytes", figure),
            Field("expires_s", "left", seconds),
            PAYLOAD,
        ),
        "nothing waits",
    ),
}
SHEETS: Mapping[str, Sheet] = {
    "client": Sheet(
        (
            CLIENT,
            GATEWAY,
            Field("also_at", "a session, too, at", names, rare=True),
            Field("connected", "connected"),
            Field("user", "user"),
            Field("address", "address"),
            Field("version", "MQTT"),
            Field("connected_s", "since", seconds),
            Field("silent_s", "last heard", seconds),
            Field("keep_alive_s", "keep-alive", seconds),
            Field("expiry_s", "session kept", seconds),
            Field("in_flight", "sent, not acknowledged", figure),
            Field("queued", "queued", figure),
            Field("queued_bytes", "queued bytes", figure),
            Field("unreleased", "QoS 2 not released", figure),
            Field("congested", "reads too slowly"),
            Field("slowed", "publishes too fast"),
        ),
        (
            Listing(
                "subscriptions",
                (
                    Field("filter", "subscription", words, keep_ends),
                    Field("qos", "QoS"),
                    Field("no_local", "no local"),
                    Field("identifier", "identifier"),
                ),
                "no subscription",
            ),
        ),
    ),
}


def lines(command: str, document: dict[str, Any], width: int) -> list[Line]:
    """The document of this command; one that has no view of its own says its "done" sentence."""
    if command in LISTINGS:
        return listing(LISTINGS[command], document, width)
    if command in SHEETS:
        return sheet(SHEETS[command], document, width)
    if command == CONFIG:
        return config(document)
    return [[Span(line)] for line in wrap(words(document.get("done", "done")), width)]


def config(document: dict[str, Any]) -> list[Line]:
    """TOML, which JSON's texts, figures and lists are as well: what is seen can be written."""
    sections = {name: each for name, each in document.items() if isinstance(each, dict)}
    shown: list[Line] = [[Span(f"# {words(document['file'])}")]] if "file" in document else []
    shown += [line for name, section in sections.items() for line in _keys(name, section)]
    for name, each in document.items():
        for section in each if isinstance(each, list) else ():
            shown += [[], [Span(f"[[{words(name)}]]", Style.HEADING)], *_keys("", section)]
    return shown


def _keys(name: str, section: object) -> list[Line]:
    head = f"{words(name)}." if name else ""
    known = section.items() if isinstance(section, dict) else ()
    return [
        [Span(f"{head}{words(key)} = {clean(json.dumps(value, ensure_ascii=False))}")]
        for key, value in known
    ]


def listing(form: Listing, document: dict[str, Any], width: int) -> list[Line]:
    given = document.get(form.rows)
    rows = [row for row in given if isinstance(row, dict)] if isinstance(given, list) else []
    total = document.get("total", len(rows))
    if not rows:
        return [[Span(form.nothing)], *_missing(document)]
    columns = [
        Column(
            field.heading,
            [Span(field.form(row.get(field.key))) for row in rows],
            right=field.right,
            cut=field.cut,
        )
        for field in form.fields
        if not field.rare or any(row.get(field.key) for row in rows)
    ]
    shown = table(columns, width)
    if isinstance(total, int) and total > len(rows):
        shown.append([Span(f"{len(rows)} of {total}; --limit shows more")])
    return shown + _missing(document)


def _missing(document: dict[str, Any]) -> list[Line]:
    """The gateways that have not answered."""
    missing = document.get("missing")
    rows = [row for row in missing if isinstance(row, dict)] if isinstance(missing, list) else []
    return [
        [Span(f"without {words(row.get('gateway'))}: {words(row.get('why'))}", Style.DOUBTFUL)]
        for row in rows
    ]


def sheet(form: Sheet, document: dict[str, Any], width: int) -> list[Line]:
    fields = [field for field in form.fields if not field.rare or document.get(field.key)]
    margin = max((len(field.heading) for field in fields), default=0) + 2
    shown: list[Line] = []
    for field in fields:
        head, *more = wrap(field.form(document.get(field.key)), max(width - margin, 20))
        shown.append([Span(field.heading.ljust(margin), Style.HEADING), Span(head)])
        shown += [[Span(" " * margin + line)] for line in more]
    for each in form.listings:
        shown += [
            [],
            *listing(each, document | {"total": document.get(f"{each.rows}_total")}, width),
        ]
    return shown
