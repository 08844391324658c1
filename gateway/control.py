"""The status document: what `gwctl status` shows, as plain values that both sides check.

How it travels is in `control_lines.py`. It must stay light, for gwctl is started by hand on small
boxes: tuples with names instead of dataclasses. Must not know where the figures come from or how
they are shown. The document is described in docs/status-json.md.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.control_lines import misfit

NUMBER_MAX = 9e14  # beyond it a figure is a mistake, and would not fit its column


class Health(StrEnum):
    """Whether anything in the document asks for a person."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"


class GatewayState(StrEnum):
    """A gateway as its peers' heartbeats show it."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"


class PortState(StrEnum):
    """A serial port: OFFLINE is one whose gateway-devices, or whole gateway, is away."""

    OPEN = "open"
    MISSING = "missing"
    ERROR = "error"
    OFFLINE = "offline"


class Severity(StrEnum):
    """ERROR: something is lost or out of service. WARNING: it soon may be. NOTICE: good to know.

    A notice does not degrade the health.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class GatewayStatus(NamedTuple):
    """One gateway. None: not known here, or not to be had on that box."""

    name: str
    id: str
    address: str
    state: GatewayState
    self: bool  # the gateway that was asked
    version: str
    uptime_s: float | None
    clients: int | None
    messages_in_per_s: float | None
    messages_out_per_s: float | None
    waiting: int | None  # messages that no subscriber has yet
    rtt_ms: float | None  # None for the gateway itself
    load: float | None  # of one minute, per core
    memory_percent: float | None
    disk_percent: float | None
    temperature_c: float | None
    last_heard_s: float | None  # seconds ago
    over: str  # the gateway over which it is reached; empty: directly, or not at all


class SerialPortStatus(NamedTuple):
    """One serial port of one gateway."""

    gateway: str
    name: str
    path: str
    state: PortState
    readings: int
    errors: int
    last_reading_s: float | None  # seconds ago
    detail: str


class StoreState(StrEnum):
    """What the disk of the asked gateway takes. FULL: it trims and delivers, and takes nothing new."""

    OK = "ok"
    FULL = "full"
    READ_ONLY = "read-only"
    FAILING = "failing"


class StoreStatus(NamedTuple):
    """What the asked gateway keeps on its disk. Counts are since its start, where not said otherwise."""

    state: StoreState
    commits: int  # each is one sync of the disk
    commit_ms: float  # smoothed
    messages_never_written: int  # every subscriber had acknowledged them before
    written_bytes: int
    written_total_bytes: int  # with earlier starts
    log_bytes: int  # the log now
    free_bytes: int
    card_life_days: float | None  # at today's rate, by a rule of thumb; None: not known yet


class CopyState(StrEnum):
    """TWO: all that was acknowledged, and must be kept, lies on the disks of two gateways."""

    TWO = "two"
    ONE = "one"


class CopyStatus(NamedTuple):
    """The copy of the asked gateway's store at another one, and the copies that it keeps itself."""

    state: CopyState
    since_s: float
    stand_in: str | None  # who keeps the copy
    reason: str  # why there is one only; or empty
    behind_bytes: int  # on their way there
    sent_bytes: int  # since the start
    not_waited: int  # times that answers no longer waited for a stand-in that was slow
    made: int  # copies begun since the start
    keeps: tuple[str, ...]  # gateways whose copies lie here


class CourierStatus(NamedTuple):
    """What waits at the asked gateway for sessions of another one that is away. Counts are since the
    start."""

    gateway: str
    messages: int
    bytes: int
    oldest_s: float | None  # for how long the oldest has waited; None: nothing waits
    messages_per_s: float  # on their way there now
    refused: int  # not taken, for too much waited
    dropped: int  # let go for newer ones
    expired: int  # let go because they were too old


class RelayStatus(NamedTuple):
    """Links between others, which do not reach each other, that go over the asked gateway."""

    links: int
    passed_bytes: int  # since the start
    refused: int  # for want of a way or of room, or because an end did not keep to it


class TlsStatus(NamedTuple):
    """What the asked gateway shows to clients by TLS, and asks of them."""

    certificate_sha256: str  # of the certificate in use
    ends: str  # "2027-01-31T23:59:59Z"
    ends_days: float  # below zero: it has ended
    self_made: bool
    client_certificates: str  # off, optional, required


class BrokerStatus(NamedTuple):
    """What the broker of the asked gateway has now, and what it has counted since its start."""

    sessions: int
    subscriptions: int
    shared_subscriptions: int  # of these
    retained: int
    replays: int  # sessions to which retained messages are on their way
    counters: dict[str, int]  # by name; further ones are added over time


class ProblemStatus(NamedTuple):
    """What is wrong, in words, and what to do."""

    severity: Severity
    text: str
    remedy: str


class Status(NamedTuple):
    """The whole document."""

    version: str
    gateway: str  # the one that was asked
    cluster: str | None
    health: Health
    uptime_s: float
    gateways: tuple[GatewayStatus, ...]
    serial_ports: tuple[SerialPortStatus, ...]
    problems: tuple[ProblemStatus, ...]  # worst first
    store: StoreStatus | None = None
    tls: TlsStatus | None = None
    broker: BrokerStatus | None = None
    copies: CopyStatus | None = None
    couriers: tuple[CourierStatus, ...] = ()  # one for each other gateway
    safe_to_unplug: tuple[str, ...] | None = None  # names, one of which may be; None: no mesh
    relay: RelayStatus | None = None


def worst_first(problems: Iterable[ProblemStatus]) -> tuple[ProblemStatus, ...]:
    """Errors, warnings, notices; each in the order in which they were given."""
    order = list(Severity)
    return tuple(sorted(problems, key=lambda problem: order.index(problem.severity)))


def to_document(status: Status) -> dict[str, Any]:
    """Plain values in the order of docs/status-json.md, for JSON."""
    document = status._asdict()
    for key in ("gateways", "serial_ports", "problems", "couriers"):
        document[key] = [row._asdict() for row in document[key]]
    if status.store is not None:
        document["store"] = status.store._asdict()
    if status.tls is not None:
        document["tls"] = status.tls._asdict()
    if status.broker is not None:
        document["broker"] = status.broker._asdict()
    if status.relay is not None:
        document["relay"] = status.relay._asdict()
    if status.copies is not None:
        document["copies"] = status.copies._asdict() | {"keeps": list(status.copies.keeps)}
    if status.safe_to_unplug is not None:
        document["safe_to_unplug"] = list(status.safe_to_unplug)
    return document


def from_document(document: object) -> Status:
    """Raises ControlError when a key is missing or of another kind; further keys are ignored."""
    return Status(**_read(document, _STATUS, "status"))


Reader = Callable[[object, str], Any]


def _read(value: object, readers: Mapping[str, Reader], place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise misfit(f"{place} is not an object")
    missing = [key for key in readers if key not in value]
    if missing:
        raise misfit(f"{place} has no {missing[0]}")
    return {key: read(value[key], f"{place}.{key}") for key, read in readers.items()}


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise misfit(f"{place} is not a text")
    return value


def _texts(value: object, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise misfit(f"{place} is not a list")
    return tuple(_text(each, f"{place}[{index}]") for index, each in enumerate(value))


def _switch(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise misfit(f"{place} is not true or false")
    return value


def _any_number(value: object, place: str) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not -NUMBER_MAX <= value <= NUMBER_MAX:  # type: ignore[operator]
        raise misfit(f"{place} is not a number within reason")
    return value  # type: ignore[return-value]


def _number(value: object, place: str) -> float:
    number = _any_number(value, place)
    if number < 0:
        raise misfit(f"{place} is below zero")
    return number


def _count(value: object, place: str) -> int:
    number = _number(value, place)
    if not isinstance(number, int):
        raise misfit(f"{place} is not a whole number")
    return number


def _or_none(read: Reader) -> Reader:
    return lambda value, place: None if value is None else read(value, place)


def _one_of(options: type[StrEnum]) -> Reader:
    def read(value: object, place: str) -> StrEnum:
        text = _text(value, place)
        if text not in list(options):
            raise misfit(f"{place} is none of {', '.join(options)}")
        return options(text)

    return read


def _rows(shape: Callable[..., Any], readers: Mapping[str, Reader]) -> Reader:
    def read(value: object, place: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise misfit(f"{place} is not a list")
        return tuple(
            shape(**_read(row, readers, f"{place}[{index}]")) for index, row in enumerate(value)
        )

    return read


_GATEWAY: dict[str, Reader] = {
    "name": _text,
    "id": _text,
    "address": _text,
    "state": _one_of(GatewayState),
    "self": _switch,
    "version": _text,
    "uptime_s": _or_none(_number),
    "clients": _or_none(_count),
    "messages_in_per_s": _or_none(_number),
    "messages_out_per_s": _or_none(_number),
    "waiting": _or_none(_count),
    "rtt_ms": _or_none(_number),
    "load": _or_none(_number),
    "memory_percent": _or_none(_number),
    "disk_percent": _or_none(_number),
    "temperature_c": _or_none(_any_number),
    "last_heard_s": _or_none(_number),
    "over": _text,
}

_SERIAL_PORT: dict[str, Reader] = {
    "gateway": _text,
    "name": _text,
    "path": _text,
    "state": _one_of(PortState),
    "readings": _count,
    "errors": _count,
    "last_reading_s": _or_none(_number),
    "detail": _text,
}

_PROBLEM: dict[str, Reader] = {"severity": _one_of(Severity), "text": _text, "remedy": _text}

_STORE: dict[str, Reader] = {
    "state": _one_of(StoreState),
    "commits": _count,
    "commit_ms": _number,
    "messages_never_written": _count,
    "written_bytes": _count,
    "written_total_bytes": _count,
    "log_bytes": _count,
    "free_bytes": _count,
    "card_life_days": _or_none(_number),
}


_COPIES: dict[str, Reader] = {
    "state": _one_of(CopyState),
    "since_s": _number,
    "stand_in": _or_none(_text),
    "reason": _text,
    "behind_bytes": _count,
    "sent_bytes": _count,
    "not_waited": _count,
    "made": _count,
    "keeps": _texts,
}


_COURIER: dict[str, Reader] = {
    "gateway": _text,
    "messages": _count,
    "bytes": _count,
    "oldest_s": _or_none(_number),
    "messages_per_s": _number,
    "refused": _count,
    "dropped": _count,
    "expired": _count,
}


_RELAY: dict[str, Reader] = {"links": _count, "passed_bytes": _count, "refused": _count}


_TLS: dict[str, Reader] = {
    "certificate_sha256": _text,
    "ends": _text,
    "ends_days": _any_number,
    "self_made": _switch,
    "client_certificates": _text,
}


def _counts(value: object, place: str) -> dict[str, int]:
    if not isinstance(value, dict):
        raise misfit(f"{place} is not an object")
    return {str(name): _count(each, f"{place}.{name}") for name, each in value.items()}


_BROKER: dict[str, Reader] = {
    "sessions": _count,
    "subscriptions": _count,
    "shared_subscriptions": _count,
    "retained": _count,
    "replays": _count,
    "counters": _counts,
}


def _broker(value: object, place: str) -> BrokerStatus:
    return BrokerStatus(**_read(value, _BROKER, place))


def _store(value: object, place: str) -> StoreStatus:
    return StoreStatus(**_read(value, _STORE, place))


def _copies(value: object, place: str) -> CopyStatus:
    return CopyStatus(**_read(value, _COPIES, place))


def _relay(value: object, place: str) -> RelayStatus:
    return RelayStatus(**_read(value, _RELAY, place))


def _tls(value: object, place: str) -> TlsStatus:
    return TlsStatus(**_read(value, _TLS, place))


_STATUS: dict[str, Reader] = {
    "version": _text,
    "gateway": _text,
    "cluster": _or_none(_text),
    "health": _one_of(Health),
    "uptime_s": _number,
    "gateways": _rows(GatewayStatus, _GATEWAY),
    "serial_ports": _rows(SerialPortStatus, _SERIAL_PORT),
    "problems": _rows(ProblemStatus, _PROBLEM),
    "store": _or_none(_store),
    "tls": _or_none(_tls),
    "broker": _or_none(_broker),
    "copies": _or_none(_copies),
    "couriers": _rows(CourierStatus, _COURIER),
    "safe_to_unplug": _or_none(_texts),
    "relay": _or_none(_relay),
}
