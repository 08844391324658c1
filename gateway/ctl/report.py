"""The status document as lines for a person: the mesh, the serial ports, what is wrong.

Everything that is shown is here, and nothing else: no terminal, no socket. The columns are
explained in docs/operating.md. A state is always a word; colour only repeats it.
"""

from gateway.control import (
    CopyState,
    CopyStatus,
    CourierStatus,
    GatewayState,
    GatewayStatus,
    Health,
    PortState,
    ProblemStatus,
    SerialPortStatus,
    Severity,
    Status,
    StoreState,
    StoreStatus,
    TlsStatus,
    worst_first,
)
from gateway.ctl import counters
from gateway.ctl.table import Column, table
from gateway.ctl.text import (
    Line,
    Span,
    Style,
    clean,
    keep_ends,
    keep_head,
    keep_tail,
    wrap,
)
from gateway.ctl.units import celsius, count, duration, load, milliseconds, percent, size
from gateway.wording import agreed, several

WIDTH_MIN = 80
LIFE_DAYS_MAX = 36_500  # a card that outlives its box is shown no longer

STYLES = {
    GatewayState.ALIVE: Style.GOOD,
    GatewayState.SUSPECT: Style.DOUBTFUL,
    GatewayState.DEAD: Style.BAD,
    PortState.OPEN: Style.GOOD,
    PortState.MISSING: Style.BAD,
    PortState.ERROR: Style.BAD,
    PortState.OFFLINE: Style.DOUBTFUL,
    Severity.ERROR: Style.BAD,
    Severity.WARNING: Style.DOUBTFUL,
    Severity.NOTICE: Style.PLAIN,
    Health.HEALTHY: Style.GOOD,
    Health.DEGRADED: Style.BAD,
}


def report(status: Status, width: int = WIDTH_MIN) -> list[Line]:
    """The lines of `gwctl status`, none wider than `width`, which is at least WIDTH_MIN."""
    assert width >= WIDTH_MIN
    lines = _summary(status, width)
    if status.gateways:
        lines += [[], *_gateways(status.gateways, width)]
    if status.store is not None:
        lines += [[], *_store(status.store, width)]
    if status.copies is not None:
        lines += [[], *_copies(status.copies, width)]
    lines += _couriers(status.couriers, width)
    if status.tls is not None:
        lines += [[], *_tls(status.tls, width)]
    if status.broker is not None:
        lines += [[], *counters.lines(status.broker, width)]
    if status.serial_ports:
        lines += [[], *_serial_ports(status.serial_ports, width)]
    return [*lines, [], *_problems(status, width), *_unplugging(status, width)]


def _summary(status: Status, width: int) -> list[Line]:
    mesh = clean(status.cluster) if status.cluster is not None else "no cluster"
    name, version = clean(status.gateway), clean(status.version)
    words = f"{_states(status.gateways)}. Asked {name}: version {version}, up "
    words += f"{duration(status.uptime_s)}."
    first = Span(f"{keep_head(mesh, 32)}: ")
    health = Span(status.health, STYLES[status.health])
    indent = " " * 2
    line, *more = wrap(f"{first.text}{health.text}. {words}", width - len(indent))
    rest = line.removeprefix(f"{first.text}{health.text}")
    lines: list[Line] = [[Span(line)]] if rest == line else [[first, health, Span(rest)]]
    return lines + [[Span(indent + text)] for text in more]


def _store(store: StoreStatus, width: int) -> list[Line]:
    """ "disk: ok. 31 MB written in 1204 commits of 3.1ms; ..."."""
    commits, unwritten = store.commits, store.messages_never_written
    words = f"{size(store.written_bytes)} written"
    words += (
        f" in {count(commits)} {agreed(commits, 'commit[s]')} of {milliseconds(store.commit_ms)}"
    )
    words += f"; {count(unwritten)} {agreed(unwritten, 'message[s]')} needed no disk"
    words += f"; {size(store.free_bytes)} free"
    if store.card_life_days is not None:
        days = min(store.card_life_days, LIFE_DAYS_MAX)
        words += f"; at this rate a card lasts {duration(days * 86_400)}"
    head, indent = f"disk: {store.state}", " " * 2
    first, *more = wrap(f"{head}. {words}.", width - len(indent))
    style = Style.GOOD if store.state is StoreState.OK else Style.BAD
    lines: list[Line] = [[Span("disk: "), Span(store.state, style), Span(first.removeprefix(head))]]
    return lines + [[Span(indent + text)] for text in more]


def _copies(copies: CopyStatus, width: int) -> list[Line]:
    """ "copies: two copies of everything, the second at gw2. ..."."""
    two = copies.state is CopyState.TWO
    head = f"copies: {'two copies of everything' if two else 'one copy only'}"
    at = keep_ends(clean(copies.stand_in or ""), 32)
    words = f", the second at {at}" if two else f" for {duration(copies.since_s)}"
    words += f": {clean(copies.reason)}." if copies.reason else "."
    if copies.behind_bytes:
        words += f" {size(copies.behind_bytes)} on their way."
    if copies.not_waited:
        often = f"{count(copies.not_waited)} {agreed(copies.not_waited, 'time[s]')}"
        words += f" It was too slow to be waited for {often}."
    if copies.keeps:
        names = ", ".join(keep_ends(clean(name), 32) for name in copies.keeps)
        words += f" Copies kept here: of {names}."
    first, *more = wrap(head + words, width - 2)
    style = Style.GOOD if two else Style.DOUBTFUL
    rest = first.removeprefix(head)
    state: Line = [Span("copies: "), Span(head.removeprefix("copies: "), style), Span(rest)]
    return [state, *([Span(f"  {line}")] for line in more)]


def _couriers(couriers: tuple[CourierStatus, ...], width: int) -> list[Line]:
    """ "waiting for gw3: 1204 messages (3.1MB), the oldest for 2h. 350 a second go there now."."""
    lines: list[Line] = []
    for courier in couriers:
        lost = courier.refused + courier.dropped + courier.expired
        if not (courier.messages or courier.messages_per_s >= 1 or lost):
            continue
        number = f"{count(courier.messages)} {agreed(courier.messages, 'message[s]')}"
        words = f"waiting for {keep_ends(clean(courier.gateway), 32)}: {number}"
        if courier.messages:
            words += f" ({size(courier.bytes)}), the oldest for {duration(courier.oldest_s)}"
        words += "."
        if courier.messages_per_s >= 1:
            words += f" {count(courier.messages_per_s)} a second go there now."
        if lost:
            words += f" {count(lost)} {agreed(lost, '[was|were]')} lost at a limit."
        first, *more = wrap(words, width - 2)
        lines += [[Span(first)], *([Span(f"  {line}")] for line in more)]
    return [[], *lines] if lines else []


def _tls(tls: TlsStatus, width: int) -> list[Line]:
    """ "TLS: certificate ends 2027-01-31, in 67 days; ...", and its fingerprint on a line of its own."""
    ends, days = f"ends {clean(tls.ends)[:10]}", round(tls.ends_days)
    if tls.self_made:
        ends += ", made by the gateway itself"
    else:
        ends += f", in {several(days, 'day[s]')}" if tls.ends_days >= 0 else ", which is past"
    words = f"TLS: certificate {ends}; clients' certificates: {clean(tls.client_certificates)}."
    indent = " " * 2
    print_of = f"SHA-256 {clean(tls.certificate_sha256)}"
    first, *more = [*wrap(words, width - len(indent)), *wrap(print_of, width - len(indent))]
    return [[Span(first)], *([Span(indent + text)] for text in more)]


def _states(gateways: tuple[GatewayStatus, ...]) -> str:
    """ "3 gateways: 2 alive, 1 dead"."""
    counts = []
    for state in GatewayState:
        number = sum(gateway.state is state for gateway in gateways)
        if number:
            counts.append(f"{number} {state}")
    return several(len(gateways), "gateway[s]") + (f": {', '.join(counts)}" if counts else "")


def _gateways(rows: tuple[GatewayStatus, ...], width: int) -> list[Line]:
    rtt = ["self" if row.self else milliseconds(row.rtt_ms) for row in rows]
    columns = [
        Column("name", [Span(clean(row.name)) for row in rows], cut=keep_ends),
        Column("address", [Span(clean(row.address)) for row in rows], cut=keep_tail),
        Column("state", [Span(row.state, STYLES[row.state]) for row in rows]),
        _figures("uptime", [duration(row.uptime_s) for row in rows], "up"),
        _figures("clients", [count(row.clients) for row in rows], "conn"),
        _figures("in/s", [count(row.messages_in_per_s) for row in rows]),
        _figures("out/s", [count(row.messages_out_per_s) for row in rows]),
        _figures("waiting", [count(row.waiting) for row in rows], "wait"),
        _figures("rtt", rtt),
        _figures("load", [load(row.load) for row in rows]),
        _figures("mem", [percent(row.memory_percent) for row in rows]),
        _figures("disk", [percent(row.disk_percent) for row in rows]),
    ]
    if any(row.over for row in rows):
        columns.insert(3, Column("over", [Span(clean(row.over)) for row in rows], cut=keep_ends))
    if any(row.temperature_c is not None for row in rows):
        columns.append(_figures("temp", [celsius(row.temperature_c) for row in rows]))
    return table(columns, width)


def _figures(heading: str, figures: list[str], short: str = "") -> Column:
    return Column(heading, [Span(figure) for figure in figures], right=True, short=short)


def _serial_ports(rows: tuple[SerialPortStatus, ...], width: int) -> list[Line]:
    columns = [
        Column("serial port", [Span(clean(row.name)) for row in rows], cut=keep_ends),
        Column("gateway", [Span(clean(row.gateway)) for row in rows], cut=keep_ends),
        Column("state", [Span(row.state, STYLES[row.state]) for row in rows]),
        _figures("readings", [count(row.readings) for row in rows]),
        _figures("errors", [count(row.errors) for row in rows]),
        _figures("last", [duration(row.last_reading_s) for row in rows]),
        Column("device", [Span(clean(row.path)) for row in rows], cut=keep_tail),
    ]
    heading, *lines = table(columns, width)
    result = [heading]
    for row, line in zip(rows, lines, strict=True):
        result.append(line)
        if detail := clean(row.detail):
            result += _indented(detail, "  ", width)
    return result


def _problems(status: Status, width: int) -> list[Line]:
    if status.problems:
        lines: list[Line] = [[Span("what is wrong", Style.HEADING)]]
        for problem in worst_first(status.problems):
            lines += _problem(problem, width)
        return lines
    if status.health is Health.HEALTHY:
        return [[Span("nothing is wrong")]]
    return [[Span("something is wrong, but no reason was given; see journalctl -u gatewayd")]]


def _unplugging(status: Status, width: int) -> list[Line]:
    """ "safe to unplug: gw2, gw3", one of which is meant."""
    if status.safe_to_unplug is None:
        return []
    names = ", ".join(clean(name) for name in status.safe_to_unplug) or "no gateway"
    first, *more = wrap(f"safe to unplug: {names}", width - 2)
    return [[], [Span(first)], *([Span(f"  {line}")] for line in more)]


def _problem(problem: ProblemStatus, width: int) -> list[Line]:
    margin = " " * 9  # the longer severity, and two blanks
    head, *more = _indented(clean(problem.text), margin, width)
    severity = Span(problem.severity, STYLES[problem.severity])
    blanks = Span(margin[len(problem.severity) :])
    first: Line = [severity, blanks, Span(head[0].text.removeprefix(margin))]
    remedy = clean(problem.remedy)
    return [first, *more, *(_remedy(remedy, margin, width) if remedy else [])]


def _remedy(text: str, margin: str, width: int) -> list[Line]:
    arrow = "-> "
    head, *more = _indented(text, margin + " " * len(arrow), width)
    return [[Span(margin + arrow), Span(head[0].text.lstrip())], *more]


def _indented(text: str, margin: str, width: int) -> list[Line]:
    return [[Span(margin + line)] for line in wrap(text, width - len(margin))]
