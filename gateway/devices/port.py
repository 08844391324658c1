"""One serial port: opened, read, written, lost, tried again.

    WAITING --deadline--> OPENING --Opened--> OPEN
       ^                     |                  |
       +-----OpenFailed------+-------Lost-------+      Stop: STOPPED, for good

Rules: no byte that arrives stops a port; what cannot be understood is counted. A change of state is
noted once and not at every attempt; what can happen at every line is noted at most once a minute.
A command is written now or never: one that comes while the port is away is dropped and counted, for
an order carried out hours later is worse than one refused. Must not know the broker, or how a port
is opened.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from random import Random

from gateway.config import SerialPort
from gateway.devices import formats
from gateway.devices.backoff import Backoff
from gateway.devices.events import (
    ClosePort,
    GivenUp,
    Level,
    Lost,
    Note,
    Opened,
    OpenFailed,
    OpenPort,
    Ordered,
    PortEffect,
    PortInput,
    Reading,
    Received,
    Stop,
    WriteToPort,
    Written,
)
from gateway.devices.lines import LineFraming

RETRY_FIRST_S = 0.5  # a plug that wobbles is back within a second
RETRY_MOST_S = 5.0  # an operator who plugs a cable in does not wait longer
STEADY_S = 5.0  # open for so long: the next loss starts again at RETRY_FIRST_S
NOTE_INTERVAL_S = 60.0  # between two notes about lines or commands of one port
COMMANDS_MAX = 64  # waiting to be written; a line at 9600 baud takes its time


class PortState(Enum):
    """What is said of a port to the outside."""

    OPEN = "open"
    MISSING = "missing"
    ERROR = "error"
    OFFLINE = "offline"


class _Phase(Enum):
    WAITING = "waiting"
    OPENING = "opening"
    OPEN = "open"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PortStatus:
    """A port at one moment. `last_reading_at` is on the station's clock, None before the first."""

    name: str
    path: str
    state: PortState = PortState.OFFLINE
    readings: int = 0
    errors: int = 0
    last_reading_at: float | None = None
    detail: str = ""


class Port:
    """One configured port. `status` may be read at any time."""

    def __init__(self, config: SerialPort, random: Random) -> None:
        self.status = PortStatus(config.name, config.path or f"usb {config.usb}")
        self._config = config
        self._read = formats.reader(config.format, config.columns)
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S, random)
        self._phase = _Phase.WAITING
        self._retry_at = -inf
        self._opened_at = inf
        self._lines = LineFraming(config.line_bytes_max)
        self._commands: deque[bytes] = deque()
        self._writing = False
        self._next_note_at = -inf
        self._effects: list[PortEffect] = []

    def receive(self, item: PortInput, now: float) -> None:
        """Something happened to this port."""
        if self._phase is _Phase.STOPPED:
            return
        match item:
            case Received(data=data):
                self._on_bytes(data, now)
            case Written():
                self._writing = False
                self._write_next()
            case Opened(path=path):
                self._on_opened(path, now)
            case OpenFailed(missing=missing, detail=detail):
                self._away(PortState.MISSING if missing else PortState.ERROR, detail, now)
            case Lost(detail=detail):
                self._on_lost(detail, now)
            case Ordered(payload=payload):
                self._on_command(payload, now)
            case GivenUp(detail=detail):
                self._count_error(detail, now)
            case Stop():
                self._on_stop()

    def wake(self, now: float) -> None:
        """Tries to open the port when it is time to."""
        if self._phase is _Phase.WAITING and now >= self._retry_at:
            self._phase = _Phase.OPENING
            self._effects.append(OpenPort(self._config.name))

    def deadline(self) -> float:
        """When to call `wake`; infinity when there is nothing to wait for."""
        return self._retry_at if self._phase is _Phase.WAITING else inf

    def drain(self) -> list[PortEffect]:
        """What is to be done now, in order, once."""
        effects, self._effects = self._effects, []
        return effects

    def _on_command(self, payload: bytes, now: float) -> None:
        if self._phase is not _Phase.OPEN:
            self._count_error("a command came while the port was away, and was dropped", now)
        elif len(payload) > self._config.line_bytes_max:
            self._count_error(f"a command of {len(payload)} bytes was dropped", now)
        elif len(self._commands) >= COMMANDS_MAX:
            self._count_error("the port does not take commands as fast as they come", now)
        else:
            self._commands.append(formats.encode_command(self._config.format, payload))
            self._write_next()

    def _on_opened(self, path: str, now: float) -> None:
        self._phase = _Phase.OPEN
        self._opened_at = now
        self._lines = LineFraming(self._config.line_bytes_max)
        self.status = replace(self.status, path=path)
        self._change(PortState.OPEN, "", Level.INFO)

    def _on_lost(self, detail: str, now: float) -> None:
        self._effects.append(ClosePort(self._config.name))
        if now - self._opened_at >= STEADY_S:
            self._backoff.reset()
        for _ in range(len(self._commands) + self._writing):
            self._count_error("a command was not written before the port went away", now)
        self._commands.clear()
        self._writing = False
        self._away(PortState.MISSING, detail, now)

    def _on_stop(self) -> None:
        self._effects.append(ClosePort(self._config.name))
        self._phase = _Phase.STOPPED
        self._retry_at = inf
        self.status = replace(self.status, state=PortState.OFFLINE, detail="")

    def _away(self, state: PortState, detail: str, now: float) -> None:
        self._phase = _Phase.WAITING
        self._retry_at = now + self._backoff.next_delay_s()
        self._change(state, detail, Level.WARNING)

    def _change(self, state: PortState, detail: str, level: Level) -> None:
        changed = state is not self.status.state
        self.status = replace(self.status, state=state, detail=detail)
        if changed:
            text = f"{self.status.path}: {detail}" if detail else self.status.path
            self._note(level, f"{state.value}: {text}")

    def _on_bytes(self, data: bytes, now: float) -> None:
        for line in self._lines.receive(data):
            if line is None:
                limit = self._config.line_bytes_max
                self._count_error(f"a line was longer than {limit} bytes", now)
                continue
            try:
                payload = self._read(line)
            except formats.LineError as error:
                self._count_error(str(error), now)
                continue
            if payload is not None:
                readings = self.status.readings + 1
                self.status = replace(self.status, readings=readings, last_reading_at=now)
                self._effects.append(Reading(self._config.name, payload))

    def _write_next(self) -> None:
        if self._commands and not self._writing:
            self._writing = True
            self._effects.append(WriteToPort(self._config.name, self._commands.popleft()))

    def _count_error(self, detail: str, now: float) -> None:
        errors = self.status.errors + 1
        detail_shown = detail if self._phase is _Phase.OPEN else self.status.detail
        self.status = replace(self.status, errors=errors, detail=detail_shown)
        if now >= self._next_note_at:
            self._next_note_at = now + NOTE_INTERVAL_S
            self._note(Level.WARNING, f"{detail} ({errors} errors since the start)")

    def _note(self, level: Level, text: str) -> None:
        self._effects.append(Note(level, f"serial port {self._config.name}: {text}"))
