"""What waits for one client: bounded, and the policy says which message a full backlog loses.

    line     QoS 1 and 2, in their order. What was sent on an earlier connection, and is too much for
             the window of this one, stands at its head with its packet id, and is never dropped
    behind   QoS 1 and 2 that came while the line itself is still coming from another gateway
    plain    QoS 0, with DROP_QOS0_FIRST only, and in memory only

There is no order between the two: what is plain leaves as soon as the client reads. Must not know
sessions, connections, or what the disk keeps.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from gateway.broker.room import Room
from gateway.mqtt.message import Message

REFUSE_NEW, DROP_OLDEST, DROP_QOS0_FIRST = "refuse-new", "drop-oldest", "drop-qos0-first"

Delivery = tuple[Message, int, bool]  # message, QoS, retain flag
Redelivery = tuple[Message, int, bool, int]  # and the packet id that it was sent under
Waiting = Delivery | Redelivery

NOTHING_LOST: Sequence[Message] = ()
_NOTHING: Any = ()  # an empty deque costs 700 bytes, and most sessions never need one


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one session's backlog, the same for all sessions; `policy` is one of three above."""

    messages_max: int
    bytes_max: int
    policy: str = REFUSE_NEW


class Backlog:
    """`line` and `behind` may be read by anybody; `bytes` is what all parts hold.

    `behind` is None but between `hold_back` and `join`.
    """

    __slots__ = ("_plain", "_room", "behind", "bounds", "bytes", "line")

    def __init__(self, bounds: Bounds, room: Room) -> None:
        self.bounds = bounds
        self._room = room
        self.line: deque[Waiting] = _NOTHING
        self.behind: deque[Waiting] | None = None
        self.bytes = 0
        self._plain: deque[Delivery] = _NOTHING

    def __len__(self) -> int:
        return len(self.line) + len(self._plain) + len(self.behind or ())

    def __iter__(self) -> Iterator[Waiting]:
        yield from self._plain
        yield from self.line
        yield from self.behind or ()

    @property
    def has_line(self) -> bool:
        """Whether a message of QoS 1 or 2 has to wait, whatever the window is."""
        return bool(self.line) or self.behind is not None

    @property
    def has_plain(self) -> bool:
        """Whether messages of QoS 0 wait."""
        return bool(self._plain)

    @property
    def newest_plain(self) -> Message | None:
        """The message of QoS 0 that came last."""
        return self._plain[-1][0] if self._plain else None

    @property
    def keeps_plain(self) -> bool:
        """Whether messages of QoS 0 may wait."""
        return self.bounds.policy == DROP_QOS0_FIRST

    def is_within(self, messages: int, size: int) -> bool:
        """Whether its own bounds leave room for so many messages, and bytes."""
        full = len(self) + messages > self.bounds.messages_max
        return not full and self.bytes + size <= self.bounds.bytes_max

    def takes(self, message: Message, qos: int) -> bool:
        """Whether `offer` would take it."""
        if self._fits(1, message.bytes_held()):
            return True
        if not self._can_make_room(message):
            return False
        if self.bounds.policy == DROP_OLDEST:
            return self._oldest() is not None
        return bool(qos and self._plain)

    def offer(self, message: Message, qos: int, retain: bool) -> tuple[bool, Sequence[Message]]:
        """Takes it as the last, if there is room; whether it did, and what the policy lost for that."""
        room, lost = self._fits(1, message.bytes_held()), NOTHING_LOST
        if not room and self._can_make_room(message):
            room, lost = self._make_room(message.bytes_held(), qos)
        if room:
            self.push(message, qos, retain)
        return room, lost

    def offer_run(self, messages: list[Message], qos: int) -> bool:
        """Takes these of QoS 1 or 2, alike but for the payload's bytes, if there is room for all."""
        size = len(messages) * messages[0].bytes_held()
        if not self._fits(len(messages), size):
            return False
        self.bytes += size
        self._to_append().extend(zip(messages, repeat(qos), repeat(False), strict=False))
        return True

    def push(self, message: Message, qos: int, retain: bool) -> None:
        """Takes it, room or not: it was taken before."""
        self.bytes += message.bytes_held()
        if qos:
            self._to_append().append((message, qos, retain))
            return
        if self._plain is _NOTHING:
            self._plain = deque()
        self._plain.append((message, 0, retain))

    def hold_back(self) -> None:
        """From here on what comes waits behind a line that is not whole yet; `precede` adds to that."""
        self.behind = deque()

    def precede(self, message: Message, qos: int, retain: bool) -> None:
        """Takes one that stands before all that is held back, room or not."""
        behind, self.behind = self.behind, None
        self.push(message, qos, retain)
        self.behind = behind

    def insert(self, message: Message, qos: int, retain: bool) -> None:
        """Takes one that stands before what is held back and has a larger number, room or not."""
        behind = self.behind
        if not behind or behind[0][0].mid > message.mid:
            self.precede(message, qos, retain)
            return
        self.bytes += message.bytes_held()
        at = bisect_left(behind, message.mid, key=lambda each: each[0].mid)
        behind.insert(at, (message, qos, retain))

    def join(self) -> None:
        """The line is whole: what was held back stands at its end."""
        behind, self.behind = self.behind, None
        if behind:
            self._to_append().extend(behind)

    def put_back(self, sent: Sequence[Redelivery]) -> None:
        """What was sent goes before everything else; beyond the bounds, for nobody may drop it."""
        if not sent:
            return  # most sessions never have a line, and an empty one takes 700 bytes
        if self.line is _NOTHING:
            self.line = deque()
        self.line.extendleft(reversed(sent))
        self.bytes += sum(each[0].bytes_held() for each in sent)

    def pop(self) -> Waiting:
        """The head of the line, which is not empty."""
        waiting = self.line.popleft()
        self.bytes -= waiting[0].bytes_held()
        return waiting

    def pop_plain(self) -> Delivery:
        """The oldest message of QoS 0; there is one."""
        waiting = self._plain.popleft()
        self.bytes -= waiting[0].bytes_held()
        return waiting

    def remove(self, messages: set[Message]) -> list[Message]:
        """Takes these out; returns those that were in it."""
        gone = [waiting[0] for waiting in self if waiting[0] in messages]
        if gone:
            self.line = deque(each for each in self.line if each[0] not in messages) or _NOTHING
            self._plain = deque(each for each in self._plain if each[0] not in messages) or _NOTHING
            if self.behind is not None:
                self.behind = deque(each for each in self.behind if each[0] not in messages)
            self.bytes -= sum(message.bytes_held() for message in gone)
        return gone

    def _fits(self, messages: int, size: int) -> bool:
        return self.is_within(messages, size) and self.bytes + size <= self._room.left()

    def _can_make_room(self, message: Message) -> bool:
        """Whether it is of any use to lose others for the message."""
        fits_alone = message.bytes_held() <= self.bounds.bytes_max
        return fits_alone and not self._room.is_full()

    def _make_room(self, size: int, qos: int) -> tuple[bool, list[Message]]:
        """Loses older messages, as the policy says; whether there is room now.

        If it is the room of all sessions that is short, a backlog gives up as much as it takes.
        """
        lost: list[Message] = []
        before = self.bytes
        while not self._fits(1, size):
            if self.is_within(1, size) and self.bytes + size <= before:
                break
            at = self._oldest() if self.bounds.policy == DROP_OLDEST else None
            if at is not None:
                gone = self.line[at]
                del self.line[at]
            elif qos and self._plain:
                gone = self._plain.popleft()
            else:
                return False, lost
            self.bytes -= gone[0].bytes_held()
            lost.append(gone[0])
        return True, lost

    def _oldest(self) -> int | None:
        """Where the oldest message stands that was never sent: others may have reached the client."""
        return next((at for at, waiting in enumerate(self.line) if len(waiting) == 3), None)

    def _to_append(self) -> deque[Waiting]:
        if self.behind is not None:
            return self.behind
        if self.line is _NOTHING:
            self.line = deque()
        return self.line
