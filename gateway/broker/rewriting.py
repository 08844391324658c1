"""Writing again what still lives, by which the log before it becomes free.

Begins with how things are now; what becomes of a message while this is under way is remembered, and
what is over by its turn is left out. It goes in slices, each in a batch that others wait for. Must not
know files or sessions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway.broker.collected import MeshTime, enqueued, stored
from gateway.broker.records import (
    Done,
    Enqueued,
    Received,
    Record,
    Released,
    Rewrite,
    Stored,
    Target,
)
from gateway.mqtt.message import Message
from gateway.mqtt.properties import NO_PROPERTIES

SLICE_BYTES_MAX = 131_072  # in one batch: others wait behind it
SLICE_MESSAGES_MAX = 250  # of sessions: and behind the loop, which makes records of them


@dataclass(slots=True)
class Living:
    """One message that lives on disk: with the sessions that need it, or stored for its release.

    `mid` is its name there, as it was when this was made: a message that is released gets a new one.
    `stored` is (session, packet id) of a QoS 2 message between PUBLISH and PUBREL.
    """

    mid: int
    message: Message
    targets: list[Target] = field(default_factory=list)
    stored: tuple[int, int] | None = None
    received_by: tuple[int, ...] = ()


@dataclass(slots=True)
class Balance:
    """What the log holds, and how much of it is needed, in messages of a session.

    Any other record counts as one that is over. It is an estimate: messages have any length, and what a
    session had when it ended may not have been on disk yet.
    """

    logged: int = 0
    alive: int = 0

    def count(self, records: list[Record]) -> None:
        """These are on disk, or on their way."""
        for record in records:
            messages = 1
            match record:
                case Enqueued():
                    messages = len(record.payloads) * len(record.targets)
                    self.alive += messages
                case Stored():
                    self.alive += 1
                case Done():
                    self.alive -= sum([last - first + 1 for first, last in record.ranges])
                case Released():
                    self.alive -= 1
            self.logged += messages

    def is_worth_it(self) -> bool:
        """Whether writing all that lives again frees about as much as it writes."""
        return 2 * self.alive <= self.logged


class Rewriting:
    """All that lives, on its way to the end of the log, and what became of it since that began."""

    def __init__(self, items: Iterator[Living]) -> None:
        self._items = items
        self._begun = False
        self._done: set[tuple[int, int]] = set()
        self._sent: dict[tuple[int, int], int] = {}
        self._received: set[tuple[int, int]] = set()

    def done(self, session: int, mids: Sequence[int]) -> None:
        """The session needs the messages no longer; session 0: they were stored, and are released."""
        self._done.update([(session, mid) for mid in mids])

    def sent(self, session: int, mid: int, packet_id: int) -> None:
        """It left the session's queue."""
        self._sent[session, mid] = packet_id

    def received(self, session: int, mid: int) -> None:
        """PUBREC came."""
        self._received.add((session, mid))

    def slice(self, records: list[Record], mesh_ms: MeshTime) -> Rewrite:
        """Adds the next slice; says whether it is the first, the last, or both."""
        begins, size, messages = not self._begun, 0, 0
        self._begun = True
        for item in self._items:
            size += len(item.message.payload) + len(item.message.topic_field) + 100
            messages += max(len(item.targets), 1)
            self._add(records, item, mesh_ms)
            if size > SLICE_BYTES_MAX or messages >= SLICE_MESSAGES_MAX:
                return Rewrite.BEGIN if begins else Rewrite.NONE
        return Rewrite.WHOLE if begins else Rewrite.END

    def _add(self, records: list[Record], item: Living, mesh_ms: MeshTime) -> None:
        mid = item.mid
        if item.stored is not None:
            if (0, mid) not in self._done:
                records.append(stored(*item.stored, mid, item.message, mesh_ms))
            return
        targets: list[Target] = []
        received: list[Record] = []
        for target in item.targets:
            key = (target.session, mid)
            if key in self._done:
                continue
            packet_id = self._sent.get(key)
            if packet_id is not None:
                target = replace(target, packet_ids=[packet_id])
            targets.append(target)
            if target.session in item.received_by or key in self._received:
                received.append(Received(*key))
        if not targets:
            return
        if not (records and _goes_with(records[-1], mid, item.message, targets)):
            records.append(enqueued(mid, [item.message], targets, mesh_ms))
        records += received


def _goes_with(record: Record, mid: int, message: Message, targets: list[Target]) -> bool:
    """Adds the message to the record before it, if they differ in the payload only."""
    if not isinstance(record, Enqueued) or record.properties:
        return False
    alike = (
        record.first + len(record.payloads) == mid
        and record.field == message.topic_field
        and message.properties is NO_PROPERTIES
        and (record.qos, record.retain) == (message.qos, message.retain)
        and record.publisher == message.publisher
        and record.targets == targets
        and all(target.packet_ids is None for target in targets)
    )
    if alike:
        record.payloads.append(message.payload)
    return alike
