"""Traces: what becomes of the messages of some topics, live, for an operator who watches.

The short roads do not find the routes of topics that a trace wants (`routes.py`), so that their messages
take the long one, where each step is told here. All others keep their short roads, and where nobody
watches there is nothing to tell. A reader that is slow loses lines, counted; nobody waits for one.
Must not know who reads, nor how a line is shown.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.broker.session import WAITS, Session
from gateway.mqtt.message import Message
from gateway.mqtt.tree import TopicTree
from gateway.wording import several

TRACES_MAX = 4  # at once; an operator looks at one or two
FILTERS_MAX = 16  # of one trace
LINES_MAX = 1_000  # that wait for one reader: a moment of a busy gateway
LINES_BYTES_MAX = 1_048_576  # of these: a topic may have 65,535 bytes
LINE_BYTES = 600  # of a line, without its topic
PAYLOAD_BYTES_MAX = 128  # of a payload that is shown
KNOWN_MAX = 1_000  # topics of which it is remembered who wants them, ...
KNOWN_CHARACTERS_MAX = 512  # ... if they are no longer: real ones have under 200
_WHITE = str.maketrans("", "", "\t\r\n")  # what text has besides what can be printed


class What(StrEnum):
    """What became of a message. REFUSED: its publisher was told so."""

    IN = "in"
    OUT = "out"
    WAITS = "waits"
    LOST = "lost"
    REFUSED = "refused"


class Via(StrEnum):
    """Where it came from or went to: a client here, or other gateways."""

    CLIENT = "client"
    MESH = "mesh"


_PUBLISHED = (What.IN, What.REFUSED)


class Line(NamedTuple):
    """One step of one message. `at` is in monotonic seconds; `client` is whom it is for, or, where it
    came in, was refused or went to other gateways, who published it. `payload` is the beginning."""

    at: float
    what: What
    via: Via
    client: str
    topic: str
    qos: int
    retain: bool
    dup: bool
    packet_id: int  # 0: it has none
    size: int  # of the payload
    payload: bytes
    alias: int  # 0: none was sent with it
    identifiers: tuple[int, ...]
    expires_s: float | None
    detail: str  # what the rest does not say

    def document(self, payload: bool) -> dict[str, Any]:
        """Without the time, which is the reader's; `payload`: whether that is shown."""
        text, digits = _readable(self.payload, self.size) if payload else (None, None)
        return {
            "what": self.what,
            "via": self.via,
            "client": self.client,
            "topic": self.topic,
            "qos": self.qos,
            "retain": self.retain,
            "dup": self.dup,
            "packet_id": self.packet_id or None,
            "bytes": self.size,
            "payload": text,
            "payload_hex": digits,
            "alias": self.alias or None,
            "identifiers": list(self.identifiers),
            "expires_s": self.expires_s,
            "detail": self.detail,
        }


class Trace:
    """What one reader wants and has not read. `more` is called when there is something again.

    `published`: it wants only what clients here publish, and what they are refused.
    """

    def __init__(
        self,
        filters: Iterable[str],
        client: str,
        more: Callable[[], None],
        published: bool = False,
        lines_max: int = LINES_MAX,
    ) -> None:
        self.filters = tuple(dict.fromkeys(filters))
        self._client = client  # "": every one
        self._more = more
        self._published = published
        self._lines_max = lines_max
        self._lines: deque[Line | int] = deque()  # a number: so many lines were lost here
        self._bytes = 0
        self._lost = 0  # behind the last line

    def wants(self, what: What, via: Via, client: str, topic: str) -> bool:
        """Whether it takes a line of this client now; that there is no room is counted."""
        if self._client and client != self._client:
            return False
        if self._published and (via is Via.MESH or what not in _PUBLISHED):
            return False
        if len(self._lines) >= self._lines_max or self._bytes + _bytes_of(topic) > LINES_BYTES_MAX:
            self._lost += 1
            return False
        return True

    def add(self, line: Line) -> None:
        """A step was taken, and is wanted."""
        if self._lost:
            self._lines.append(self._lost)
            self._lost = 0
        self._lines.append(line)
        self._bytes += _bytes_of(line.topic)
        self._more()

    def take(self) -> Line | int | None:
        """The next line, or how many were lost at this place; None: that is all for now."""
        if not self._lines:
            lost, self._lost = self._lost, 0
            return lost or None
        line = self._lines.popleft()
        if not isinstance(line, int):
            self._bytes -= _bytes_of(line.topic)
        return line


class Traces:
    """The traces of one broker, and what is told to them."""

    def __init__(self) -> None:
        self._tree: TopicTree[Trace] = TopicTree()
        self._traces: list[Trace] = []
        self._known: dict[str, list[Trace]] = {}
        self._lost: Message | None = None  # the last that somebody did not get

    def __len__(self) -> int:
        return len(self._traces)

    def begin(self, trace: Trace) -> None:
        """It gets lines from here on."""
        self._traces.append(trace)
        self._known.clear()
        for topic_filter in trace.filters:
            self._tree.add(topic_filter, trace, trace)

    def end(self, trace: Trace) -> None:
        """It gets none any more."""
        self._traces.remove(trace)
        self._known.clear()
        for topic_filter in trace.filters:
            self._tree.remove(topic_filter, trace)

    def sees(self, topic: str) -> bool:
        """Whether a trace wants the topic: its messages must take the long road."""
        return bool(self._wanted(topic))

    def came(
        self,
        message: Message,
        now: float,
        via: Via = Via.CLIENT,
        dup: bool = False,
        packet_id: int = 0,
        alias: int = 0,
        detail: str = "",
    ) -> None:
        """A message was published."""
        self._tell(
            *(message, now, What.IN, message.publisher, message.qos, detail),
            via=via,
            retain=message.retain,
            dup=dup,
            packet_id=packet_id,
            alias=alias,
        )

    def refused(self, message: Message, why: str, now: float) -> None:
        """A client's message was not taken."""
        self._tell(message, now, What.REFUSED, message.publisher, message.qos, why)

    def passed_on(self, message: Message, gateways: int, now: float) -> None:
        """It was offered to other gateways."""
        to = f"to {several(gateways, 'gateway[s]')}"
        self._tell(
            *(message, now, What.OUT, message.publisher, message.qos, to),
            via=Via.MESH,
            retain=message.retain,
        )

    def sent(
        self,
        client: str,
        message: Message,
        qos: int,
        retain: bool,
        now: float,
        packet_id: int = 0,
        dup: bool = False,
    ) -> None:
        """It was written to a client."""
        self._tell(
            *(message, now, What.OUT, client, qos, message.shared),
            retain=retain,
            dup=dup,
            packet_id=packet_id,
        )

    def lost(self, client: str, message: Message, qos: int, why: str, now: float) -> None:
        """A client, or who shares a subscription, does not get it."""
        self._lost = message
        self._tell(message, now, What.LOST, client, qos, why)

    def given(self, session: Session, message: Message, qos: int, result: int, now: float) -> None:
        """A session was given it; `result` is what `Session.deliver` returned. What was written to the
        client, or is larger than it takes, has been told."""
        told, self._lost = self._lost is message, None
        if told or result > WAITS or (not qos and session.is_ready(0)):
            return
        why = "its client is away" if session.outbox is None else "its client reads too slowly"
        if qos and session.is_ready(0):
            why = "its client has not acknowledged what came before"
        backlog = session.backlog
        if result == WAITS if qos else backlog.newest_plain is message:
            self._tell(message, now, What.WAITS, session.client_id, qos, why)
            return
        if qos or backlog.keeps_plain:
            within = backlog.is_within(1, message.bytes_held())
            why = "too much waits for all sessions together" if within else "its queue is full"
        self.lost(session.client_id, message, qos, why, now)

    def _wanted(self, topic: str) -> list[Trace]:
        wanted = self._known.get(topic)
        if wanted is None:
            wanted = list(dict.fromkeys(self._tree.match(topic)))
            if len(topic) <= KNOWN_CHARACTERS_MAX:
                if len(self._known) >= KNOWN_MAX:
                    self._known.clear()
                self._known[topic] = wanted
        return wanted

    def _tell(
        self,
        message: Message,
        now: float,
        what: What,
        client: str,
        qos: int,
        detail: str,
        via: Via = Via.CLIENT,
        retain: bool = False,
        dup: bool = False,
        packet_id: int = 0,
        alias: int = 0,
    ) -> None:
        topic = message.topic
        wanted = [each for each in self._wanted(topic) if each.wants(what, via, client, topic)]
        if not wanted:
            return
        payload, expires_at = message.payload, message.expires_at
        line = Line(
            *(now, what, via, client, message.topic, qos, retain, dup, packet_id),
            *(len(payload), payload[:PAYLOAD_BYTES_MAX], alias),
            message.properties.subscription_identifiers,
            None if expires_at is None else max(0.0, expires_at - now),
            detail,
        )
        for trace in wanted:
            trace.add(line)


def _bytes_of(topic: str) -> int:
    """What a line costs, near enough."""
    return LINE_BYTES + len(topic)


def _readable(piece: bytes, size: int) -> tuple[str | None, str | None]:
    """The beginning of a payload of this size: as text, or else as hexadecimal digits."""
    try:
        text = piece.decode()
    except UnicodeDecodeError as error:
        # a character that was cut in two is no reason
        if size == len(piece) or error.end < len(piece) or error.start < len(piece) - 3:
            return None, piece.hex()
        text = piece[: error.start].decode()
    if not text.translate(_WHITE).isprintable():
        return None, piece.hex()
    return text, None
