"""Messages on their way into a batch, which they may yet leave, and the records that are made of them.

A run is messages of one publisher and topic, numbered in a row, for the same sessions. What every
session has acknowledged before the batch begins is left out of it. Must not know sessions' insides.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gateway.broker.records import Done, Enqueued, Record, Stored, Target
from gateway.mqtt.message import Message
from gateway.tickets import Ticket

MeshTime = Callable[[float | None], int | None]  # a monotonic time as the disk keeps it


class Run:
    """`place` is where it stands among what was collected; `ticket` is the publisher's, if it waits."""

    __slots__ = ("_done", "_left", "first", "last", "messages", "place", "targets", "ticket")

    def __init__(
        self, place: int, messages: Sequence[Message], targets: list[Target], ticket: Ticket | None
    ) -> None:
        self.place = place
        self.first = messages[0].mid
        self.last = self.first + len(messages) - 1
        self.messages = messages
        self.targets = targets
        self.ticket = ticket
        self._left = len(messages) * len(targets)  # acknowledgements that are not there yet
        self._done: dict[int, set[int]] = {}  # mids by session

    def done(self, session: int, mids: Sequence[int]) -> bool:
        """The session needs these no longer; True when no session needs any."""
        if not self._done:
            self._done = {target.session: set() for target in self.targets}
        done = self._done.get(session)
        if done is None:
            return False  # it had the messages as one that the disk did not keep
        before = len(done)
        done.update(mids)
        self._left -= len(done) - before
        return self._left == 0

    def records(self, mesh_ms: MeshTime) -> tuple[list[Record], int]:
        """What is to be written of it, and how many of its messages are not."""
        skip = self._acknowledged() if self._done else 0
        messages, targets, first = self.messages, self.targets, self.first + skip
        if skip:
            messages = messages[skip:]
            targets = [_later(target, skip) for target in targets]
        records: list[Record] = [enqueued(first, messages, targets, mesh_ms)]
        for session, mids in self._done.items():
            rest = [mid for mid in sorted(mids) if mid >= first]
            if rest:
                records.append(Done(session, ranges(rest)))
        return records, skip

    def _acknowledged(self) -> int:
        """How many messages from the first on every target has acknowledged."""
        count = len(self.messages)
        for target in self.targets:
            done = self._done.get(target.session, ())
            prefix = 0
            while prefix < count and self.first + prefix in done:
                prefix += 1
            count = prefix
        return count


def enqueued(
    first: int, messages: Sequence[Message], targets: list[Target], mesh_ms: MeshTime
) -> Enqueued:
    """`messages` are alike but for their payloads."""
    message = messages[0]
    return Enqueued(
        first,
        message.topic_field,
        [each.payload for each in messages],
        message.qos,
        message.retain,
        message.publisher,
        message.properties_field(),
        mesh_ms(message.expires_at),
        targets,
    )


def stored(session: int, packet_id: int, mid: int, message: Message, mesh_ms: MeshTime) -> Stored:
    """`mid` is given, for a message that is released gets a new one."""
    return Stored(
        session,
        packet_id,
        mid,
        message.topic_field,
        message.payload,
        message.retain,
        message.publisher,
        message.properties_field(),
        mesh_ms(message.expires_at),
    )


def ranges(mids: list[int]) -> list[tuple[int, int]]:
    """Numbers as ranges of neighbours: (first, last)."""
    if mids[-1] - mids[0] == len(mids) - 1 and mids == list(range(mids[0], mids[-1] + 1)):
        return [(mids[0], mids[-1])]
    found: list[tuple[int, int]] = []
    first = last = mids[0]
    for mid in mids[1:]:
        if mid == last + 1:
            last = mid
            continue
        found.append((first, last))
        first = last = mid
    found.append((first, last))
    return found


def _later(target: Target, skip: int) -> Target:
    ids = None if target.packet_ids is None else target.packet_ids[skip:]
    return replace(target, packet_ids=ids)
