"""What waits for the broker: bounded, in order, in memory.

    oldest [ in flight ... | waiting ... ] newest

Rules: a message leaves when the broker has it, or when room is needed: then the oldest waiting goes
first and is handed back to be counted. What is in flight counts towards the limits but is not
dropped, since it may have arrived. After a lost connection everything in flight waits again, in
order. Must not know the broker or the clock.
"""

from collections import deque

from gateway.devices.events import Message

IN_FLIGHT_MAX = 64  # messages; hides the broker's sync to disk, and is under any receive maximum
MESSAGES_MAX = 10_000  # messages; nearly three hours of one line a second
BYTES_MAX = 4_194_304  # bytes of topics and payloads; the process shall stay under 40 MB


class Outbox:
    """The messages that the broker has not acknowledged."""

    def __init__(self, messages_max: int = MESSAGES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._waiting: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}  # by serial number, oldest first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, message: Message) -> list[Message]:
        """Appends `message`; returns what had to go for it, oldest first (it may be among them)."""
        self._waiting.append(message)
        self._bytes += _size_bytes(message)
        dropped = []
        while self._waiting and self._full():
            oldest = self._waiting.popleft()
            self._bytes -= _size_bytes(oldest)
            dropped.append(oldest)
        return dropped

    def take(self) -> Message | None:
        """The next message to send, now in flight; None when there is none, or no room for it."""
        if not self._waiting or len(self._in_flight) >= IN_FLIGHT_MAX:
            return None
        message = self._waiting.popleft()
        self._in_flight[message.serial] = message
        return message

    def acknowledge(self, serial: int) -> None:
        """The broker has the message. One that is not in flight was sent before a lost connection
        and is already waiting again: it stays, and arrives twice."""
        message = self._in_flight.pop(serial, None)
        if message is not None:
            self._bytes -= _size_bytes(message)

    def rewind(self) -> None:
        """The connection is lost: what was in flight is sent again, before all that waits."""
        self._waiting.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()

    def _full(self) -> bool:
        return len(self) > self._messages_max or self._bytes > self._bytes_max


def _size_bytes(message: Message) -> int:
    return len(message.topic) + len(message.payload)
