"""What every client library can do, in one form, so that a behaviour is written once.

A driver (paho_driver, aiomqtt_driver, javascript_driver) makes `Client`s. All calls block and have
a bound. The words are the specification's; properties are the 5.0 ones that an application sees.
"""

import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

ANSWER_S_MAX = 15.0  # any one answer of a broker, on a busy machine
MANY_S_MAX = 20.0  # a thousand messages


class Version(IntEnum):
    """Protocol level, as CONNECT carries it."""

    MQTT31 = 3
    MQTT311 = 4
    MQTT5 = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """Properties of PUBLISH and of a will (5.0 only)."""

    payload_format_indicator: int | None = None
    message_expiry_interval_s: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: tuple[int, ...] = ()
    user_properties: tuple[tuple[str, str], ...] = ()


NONE = Properties()


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is published, that arrived, or that is somebody's will."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default=NONE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How to connect. `clean` is clean session in 3.1 and 3.1.1 and clean start in 5.0."""

    client_id: str
    clean: bool = True
    keep_alive_s: int = 60
    will: Message | None = None
    session_expiry_s: int = 0  # 5.0; with `clean` false and 3.1.1, the session stays anyway


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a connection: the 5.0 reason code that the server gave, if it gave one."""

    reason: int | None = None


class Client(Protocol):
    """One client of one library, speaking one version."""

    inbox: "Inbox"

    def connect(self, login: Login) -> bool:
        """Connect; true when the server says that a session is present. Refused: `Refused`."""

    def subscribe(
        self,
        topic_filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
    ) -> int:
        """Subscribe and wait for SUBACK; the granted QoS or reason code."""

    def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe and wait for UNSUBACK."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish in order, as fast as the library can; wait for every acknowledgement."""

    def disconnect(self) -> None:
        """Leave in good order: DISCONNECT, then close."""

    def abort(self) -> None:
        """Close the socket without a word."""


class Refused(Exception):
    """CONNACK said no; `code` is its reason or return code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"refused with 0x{code:02x}")
        self.code = code


class Inbox:
    """What reached one client, in order; filled by the library's thread, read by the test."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._closed: queue.SimpleQueue[Closed] = queue.SimpleQueue()

    def put(self, message: Message) -> None:
        self._messages.put(message)

    def close(self, closed: Closed) -> None:
        self._closed.put(closed)

    def next(self, within_s: float = ANSWER_S_MAX) -> Message:
        """The next message; AssertionError when none comes in time."""
        try:
            return self._messages.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"no message within {within_s} s") from None

    def until(self, payload: bytes, within_s: float = ANSWER_S_MAX) -> list[Message]:
        """All messages before the one with this payload, which is taken too.

        A test that wants to see what does *not* come sends such a last message behind it.
        """
        end = time.monotonic() + within_s
        before: list[Message] = []
        while (message := self._next_before(end, payload, before)).payload != payload:
            before.append(message)
        return before

    def _next_before(self, end: float, payload: bytes, before: list[Message]) -> Message:
        try:
            return self._messages.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            raise AssertionError(
                f"{payload!r} did not come; {len(before)} others did, last {before[-3:]}"
            ) from None

    def waiting(self) -> int:
        """How many messages lie here unread."""
        return self._messages.qsize()

    def closed(self, within_s: float = ANSWER_S_MAX) -> Closed:
        """Wait for the end of the connection."""
        try:
            return self._closed.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"still connected after {within_s} s") from None

    def is_open(self) -> bool:
        return self._closed.empty()


class Driver(Protocol):
    """One client library."""

    name: str

    def client(self, host: str, port: int, version: Version) -> Client:
        """A client that is not connected yet."""

    def close_clients(self) -> None:
        """End every connection; a test begins without any."""

    def close(self) -> None:
        """End whatever the driver runs."""
