"""The bound over all sessions together: what their messages take of this box's memory.

Each place in a queue or a window counts as much as a small message in it; the body of a large one
counts besides, once, however many sessions hold it. A queue may grow as long as it is smaller than
what is left, so that one session alone gets half, two get a third each, and one with little waiting
still gets its messages when others have a lot. When nearly all is used, publishers are refused what
would have to be kept, until a quarter is free again. What is left beyond that is for clients that are
here and take what they get. Must not know sessions, or how a publisher is told.
"""

from collections.abc import Sequence

from gateway.mqtt.message import Message
from gateway.mqtt.packets import Will

PLACE_BYTES = 500  # one message that is not large, in one queue or window
FULL, FREE = 7 / 8, 3 / 4  # shares: publishers are refused from here on, and are taken again
QUEUES, QOS0 = 15 / 16, 1 / 2  # shares that queues may fill, and messages of QoS 0 in them
HERE = 8  # times what a client has not acknowledged must be left, beyond the share of queues
SMALL_WILL_BYTES = 1_000  # with its properties; times all connections 10 MB
MIB = 1_048_576


class Room:
    """`used` of `bytes_max` are taken. `episodes` counts how often it became full."""

    __slots__ = ("_full", "bytes_max", "episodes", "used")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0
        self.episodes = 0
        self._full = False

    def hold(self, message: Message) -> None:
        """A session has the message in one more place."""
        self.used += PLACE_BYTES
        if message.is_large():
            if not message.holders:
                self.used += message.bytes_held()
            message.holders += 1

    def let_go(self, message: Message) -> None:
        """The message is not needed there any more."""
        self.used -= PLACE_BYTES
        self.empty(message)

    def empty(self, message: Message) -> None:
        """The message is not needed there any more, and the place still is (`free`)."""
        if message.holders:  # else it is not large
            message.holders -= 1
            if not message.holders:
                self.used -= message.bytes_held()

    def free(self, places: int) -> None:
        """So many places are free that were empty, or had messages that are not large."""
        self.used -= places * PLACE_BYTES

    def hold_run(self, messages: Sequence[Message]) -> bool:
        """Does what `hold` does, for messages that are all large, or are none of them; which of it."""
        if messages[0].is_large():
            for message in messages:
                self.hold(message)
            return True
        self.used += len(messages) * PLACE_BYTES
        return False

    def let_go_run(self, messages: Sequence[Message]) -> None:
        """Does what `let_go` does, for each."""
        self.free(len(messages))
        for message in messages:
            if message.holders:
                self.empty(message)

    def hold_will(self, will: Will | None) -> None:
        """A client came with this will; `let_will_go` follows when it has none any more."""
        if will is not None:
            self.used += will_bytes(will)

    def let_will_go(self, will: Will | None) -> None:
        """It was sent, or is not to be, or has become a message."""
        if will is not None:
            self.used -= will_bytes(will)

    def takes_will(self, will: Will) -> bool:
        """Whether there is room for it; always for a small one: its client may come for what waits."""
        size = will_bytes(will)
        return size <= SMALL_WILL_BYTES or size <= self.left()

    def is_full(self) -> bool:
        """Whether nothing at all may be added."""
        return self.used >= self.bytes_max

    def takes(self, unacknowledged: int, message: Message | None = None) -> bool:
        """Whether a client that is here, with so many messages in its window, may get one more.

        `message` is that one, where it may be large: a client that does not acknowledge keeps it.
        """
        left = self.bytes_max - self.used
        if left > self.bytes_max * (1 - QUEUES):
            return True
        if unacknowledged and message is not None and message.is_large():
            left -= message.bytes_held()
        return left > 0 and left >= HERE * unacknowledged * PLACE_BYTES

    def left(self) -> int:
        """Bytes that queues may still grow by: a queue of more than this takes nothing."""
        return int(self.bytes_max * QUEUES) - self.used

    def has_for_qos0(self) -> bool:
        """Whether messages that nobody was promised may wait, too."""
        return self.used < self.bytes_max * QOS0

    def refusing(self) -> str:
        """Why no message is taken that must be kept, and what to do; empty: it is taken."""
        full = self.used > self.bytes_max * (FREE if self._full else FULL)
        self.episodes += full and not self._full
        self._full = full
        if not full:
            return ""
        taken = f"messages that wait take {self.used / MIB:.0f} of {self.bytes_max / MIB:.0f} MB"
        return f"{taken}; see gwctl sessions for whose, or raise mqtt.waiting_bytes_max"


def will_bytes(will: Will) -> int:
    """What the will of a connected client costs in memory, near enough."""
    return len(will.payload) + len(will.topic) + 200 + will.properties.bytes_held()
