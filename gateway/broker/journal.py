"""What must survive: records collected in a turn, handed to the disk in batches, and who waits for them.

One batch is under way at a time; what comes meanwhile is the next one, so that all clients share a sync.
Answers wait for it by tickets, QoS 2 deliveries by their packet id. What is acknowledged by every
subscriber before its batch begins leaves the batch, and its publisher is answered at once: most messages
of healthy consumers never see the disk. What nobody waits for (acknowledgements, packet ids of QoS 1)
begins no batch, it rides. A batch that failed is offered again; what waited for it is told.

    urgent    somebody waits: begins as soon as the disk is free and has rested
    patient   everybody it is for is connected: begins after `patience`, if they have not acknowledged
    lazy      nobody waits: rides, or begins LAZY_S later

Must not know files, connections or sessions' insides.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from gateway.broker.records import (
    BOOT_SHIFT,
    Done,
    Enqueued,
    Received,
    Record,
    Released,
    Rewrite,
    Row,
    Sent,
    Stored,
    Target,
)
from gateway.clock import MeshClock
from gateway.mqtt.message import Message
from gateway.tickets import Ticket
from gateway.timers import FOREVER

LAZY_S = 10.0  # what a power cut may cost: messages delivered in this time are delivered again
PATIENCE_MIN_S = 0.002  # a subscriber on the LAN has answered by then
PATIENCE_MAX_S = 0.020
REST_MAX_S = 0.020  # between two commits: the slower the card, the more are put together
RETRY_S = 1.0  # a disk that failed is tried again this often
ASK_AGAIN_S = 5.0  # a full disk is asked this often whether there is room again
REWRITE_BYTES_MAX = 131_072  # of what is written again, in one batch: others wait behind it
LEFT_MAX = 1_000  # while the disk is slow, what it need not have must not pile up before it
_SMOOTHING = 0.2  # share of the newest commit in the smoothed time


class Waiter(Protocol):
    """A session, which may send a QoS 2 message only when its packet id is on disk."""

    def committed(self, packet_id: int, now: float) -> None:
        """The packet id is on disk."""


@dataclass(slots=True)
class Batch:
    """What is committed together. `records` is the shell's to write; the rest is the journal's."""

    records: list[Record]
    rewrite: Rewrite
    tickets: list[Ticket]
    waiters: list[tuple[Waiter, int]]


@dataclass(slots=True)
class _Run:
    """Messages on their way into a batch, which may yet leave it."""

    first: int
    messages: Sequence[Message]
    targets: list[Target]
    ticket: Ticket | None
    done: dict[int, set[int]] = field(default_factory=dict)  # mids by session

    def finished(self) -> bool:
        """Whether every target has acknowledged every message."""
        count = len(self.messages)
        return all(len(self.done.get(target.session, ())) == count for target in self.targets)


class Journal:
    """`keeping` is False for a broker without a disk: then nothing is collected and nobody waits.

    `refusing` says why no message can be kept now, or nothing: the disk is full or has failed.
    """

    def __init__(self, boot: int = 0, clock: MeshClock | None = None) -> None:
        self.keeping = clock is not None
        self.refusing = ""
        self.now = 0.0
        self.never_written = 0  # messages that were acknowledged before their batch began
        self._clock = clock
        self._next = boot << BOOT_SHIFT | 1
        self._entries: list[Record | _Run] = []
        self._runs: list[_Run] = []
        self._firsts: list[int] = []
        self._rows: dict[tuple[str, str], bytes | None] = {}
        self._done: dict[int, list[int]] = {}
        self._tickets: list[Ticket] = []
        self._waiters: list[tuple[Waiter, int]] = []
        self._left = 0  # runs among the entries that need no disk any more
        self._due = FOREVER
        self._lazy_due = FOREVER  # of what nobody waits for: it comes, however many messages leave
        self._rested = 0.0
        self._commit_s = 0.0
        self._under_way: Batch | None = None
        self._offered = False
        self._rewriting: _Rewriting | None = None

    # what the broker reports

    def number(self) -> int:
        """A new id, for a session or a message; larger than every one before."""
        self._next += 1
        return self._next - 1

    def put(self, kind: str, key: str, value: bytes | None, wait: Ticket | None = None) -> None:
        """Keeps `value` under (kind, key); with None, nothing. Without `wait` it rides."""
        if not self.keeping:
            return
        self._rows[kind, key] = value
        self._want(wait)

    def enqueue(
        self, messages: Sequence[Message], targets: list[Target], patient: bool, wait: Ticket | None
    ) -> None:
        """Messages of one publisher and topic, numbered in a row, were given to these sessions."""
        run = _Run(messages[0].mid, messages, targets, wait)
        self._entries.append(run)
        self._runs.append(run)
        self._firsts.append(run.first)
        if wait is not None:
            wait.hold()
        self._by(self.now + self._patience() if patient else self.now)

    def sent(self, session: int, mid: int, packet_id: int) -> None:
        """A message left the session's queue; for QoS 2 `await_commit` follows."""
        self._entries.append(Sent(session, mid, packet_id))
        self._lazily(LAZY_S)
        if self._rewriting is not None:
            self._rewriting.sent[session, mid] = packet_id

    def wait(self, wait: Ticket) -> None:
        """Holds the ticket until all that was reported so far is on disk.

        For what is asked a second time while the first is on its way: the answer must not overtake it.
        """
        collected = self._entries or self._rows or self._done
        if self.keeping and (self._under_way is not None or collected):
            self._want(wait)

    def await_commit(self, waiter: Waiter, packet_id: int) -> None:
        """`waiter.committed` is called when all that was reported so far is on disk."""
        self._waiters.append((waiter, packet_id))
        self._by(self.now)

    def received(self, session: int, mid: int, wait: Ticket) -> None:
        """PUBREC came for the message; PUBREL waits."""
        self._entries.append(Received(session, mid))
        if self._rewriting is not None:
            self._rewriting.received.add((session, mid))
        self._want(wait)

    def done(self, session: int, mid: int) -> None:
        """The session needs the message no longer: it was acknowledged, or is given up."""
        if self._rewriting is not None:
            self._rewriting.done.add((session, mid))
        run = self._run(mid)
        if run is None:
            self._done.setdefault(session, []).append(mid)
            self._lazily(LAZY_S)
            return
        run.done.setdefault(session, set()).add(mid)
        if run.finished():
            self._leave(run)

    def ticket_of(self, mid: int) -> Ticket | None:
        """Who waits for this message to be on disk, if it is not yet on its way there."""
        run = self._run(mid)
        return None if run is None else run.ticket

    def stored(self, session: int, packet_id: int, message: Message, wait: Ticket) -> None:
        """A client handed over a QoS 2 message; PUBREC waits."""
        message.mid = self.number()
        self._entries.append(self._stored(session, packet_id, message.mid, message))
        self._want(wait)

    def released(self, mid: int, wait: Ticket | None) -> None:
        """The stored message went its way; PUBCOMP waits."""
        self._entries.append(Released(mid))
        if self._rewriting is not None:
            self._rewriting.done.add((0, mid))
        self._want(wait)

    # what the shell asks

    def deadline(self) -> float:
        """When `take` has a batch; FOREVER while nothing is due or one is under way."""
        if self._under_way is not None:
            return FOREVER if self._offered else self._rested
        due = min(self._due, self._lazy_due)
        return FOREVER if due == FOREVER else max(due, self._rested)

    def take(self, now: float) -> Batch | None:
        """The batch to commit now, if there is one; `committed` or `failed` must follow."""
        if self.deadline() > now:
            return None
        if self._under_way is None:
            self._under_way = self._close()
        self._offered = True
        return self._under_way

    def committed(self, seconds: float, rewrite_wanted: Callable[[], "Rewriter"] | None) -> None:
        """The batch under way is on disk; what waited for it goes on before this returns."""
        self.refusing = ""
        batch, self._under_way, self._offered = self._under_way, None, False
        assert batch is not None, "nothing was under way"
        self._commit_s += _SMOOTHING * (seconds - self._commit_s)
        self._rested = self.now + min(self._commit_s, REST_MAX_S)
        if batch.rewrite in (Rewrite.END, Rewrite.WHOLE):
            self._rewriting = None
        elif rewrite_wanted is not None and self._rewriting is None:
            self._rewriting = _Rewriting(rewrite_wanted())
        if self._rewriting is not None:
            self._by(self.now)
        for waiter, packet_id in batch.waiters:
            waiter.committed(packet_id, self.now)
        for ticket in batch.tickets:
            ticket.release()

    def failed(self, why: str) -> None:
        """The batch could not be written: it is offered again, and what waited for it is told."""
        batch = self._under_way
        assert batch is not None, "nothing was under way"
        self._offered = False
        self.refusing = why
        self._rested = self.now + RETRY_S
        tickets, batch.tickets = batch.tickets, []
        for ticket in tickets:
            ticket.fail(why)

    def last(self) -> list[Record]:
        """A planned stop: all that is not known to be on disk. Nothing may be reported after it."""
        under_way = self._under_way.records if self._under_way is not None else []
        self._rewriting = None
        return [*under_way, *self._close().records]

    def refuse(self, why: str) -> None:
        """No message can be kept until the next batch says otherwise, though the disk still trims."""
        self.refusing = why
        if why:
            self._lazily(ASK_AGAIN_S)  # nothing else may come that would show the room

    def mesh_ms(self, when: float | None) -> int | None:
        """A monotonic time as the disk keeps it."""
        if when is None or self._clock is None:
            return None
        return self._clock.read(self.now) + round((when - self.now) * 1000)

    def monotonic_s(self, mesh_ms: int | None) -> float | None:
        """A time that the disk kept, as this boot counts."""
        if mesh_ms is None or self._clock is None:
            return None
        return self.now + (mesh_ms - self._clock.read(self.now)) / 1000

    # inside

    def _want(self, wait: Ticket | None) -> None:
        if wait is None:
            self._lazily(LAZY_S)
            return
        wait.hold()
        self._tickets.append(wait)
        self._by(self.now)

    def _lazily(self, seconds: float) -> None:
        self._lazy_due = min(self._lazy_due, self.now + seconds)

    def _by(self, when: float) -> None:
        self._due = min(self._due, when)

    def _patience(self) -> float:
        return min(max(self._commit_s, PATIENCE_MIN_S), PATIENCE_MAX_S)

    def _run(self, mid: int) -> _Run | None:
        """The run in which the message waits; None if its batch has begun."""
        at = bisect_right(self._firsts, mid) - 1
        if at < 0:
            return None
        run = self._runs[at]
        return run if mid < run.first + len(run.messages) else None

    def _leave(self, run: _Run) -> None:
        """All have the messages: the disk need not."""
        at = bisect_right(self._firsts, run.first) - 1
        del self._firsts[at], self._runs[at]
        run.targets.clear()
        self.never_written += len(run.messages)
        run.messages = ()
        self._left += 1
        if self._left > LEFT_MAX and 2 * self._left > len(self._entries):
            self._entries = [e for e in self._entries if not isinstance(e, _Run) or e.targets]
            self._left = 0
        if run.ticket is not None:
            run.ticket.release()
        if not (self._runs or self._tickets or self._waiters or self._rewriting):
            self._due = FOREVER

    def _close(self) -> Batch:
        """What has been collected becomes a batch; what comes next belongs to another."""
        records: list[Record] = [Row(*key, value) for key, value in self._rows.items()]
        tickets = self._tickets
        for entry in self._entries:
            if not isinstance(entry, _Run):
                records.append(entry)
            elif entry.targets:
                records += self._enqueued(entry)
                if entry.ticket is not None:
                    tickets.append(entry.ticket)
        records += [Done(session, _ranges(mids)) for session, mids in self._done.items()]
        rewrite = self._rewrite(records)
        batch = Batch(records, rewrite, tickets, self._waiters)
        self._entries, self._runs, self._firsts, self._left = [], [], [], 0
        self._rows, self._done, self._tickets, self._waiters = {}, {}, [], []
        self._due = self._lazy_due = FOREVER
        return batch

    def _enqueued(self, run: _Run) -> Iterator[Record]:
        """What of the run is not acknowledged yet."""
        messages, targets = run.messages, run.targets
        skip = _acknowledged(run)
        if skip:
            self.never_written += skip
            messages = messages[skip:]
            targets = [_later(target, skip) for target in targets]
        yield self._record(run.first + skip, messages, targets)
        for session, mids in run.done.items():
            rest = [mid for mid in sorted(mids) if mid >= run.first + skip]
            if rest:
                yield Done(session, _ranges(rest))

    def _record(self, first: int, messages: Sequence[Message], targets: list[Target]) -> Enqueued:
        message = messages[0]
        return Enqueued(
            first,
            message.topic_field,
            [each.payload for each in messages],
            message.qos,
            message.retain,
            message.publisher,
            message.properties_field(),
            self.mesh_ms(message.expires_at),
            targets,
        )

    def _stored(self, session: int, packet_id: int, mid: int, message: Message) -> Stored:
        return Stored(
            session,
            packet_id,
            mid,
            message.topic_field,
            message.payload,
            message.retain,
            message.publisher,
            message.properties_field(),
            self.mesh_ms(message.expires_at),
        )

    def _rewrite(self, records: list[Record]) -> Rewrite:
        """Adds a slice of what lives, while that is being written again."""
        rewriting = self._rewriting
        if rewriting is None:
            return Rewrite.NONE
        begins, size = not rewriting.begun, 0
        rewriting.begun = True
        for item in rewriting.items:
            size += len(item.message.payload) + len(item.message.topic_field) + 100
            records += self._again(rewriting, item)
            if size > REWRITE_BYTES_MAX:
                return Rewrite.BEGIN if begins else Rewrite.NONE
        return Rewrite.WHOLE if begins else Rewrite.END

    def _again(self, rewriting: "_Rewriting", item: "Living") -> Iterator[Record]:
        mid = item.mid
        if item.stored is not None:
            if (0, mid) not in rewriting.done:
                yield self._stored(*item.stored, mid, item.message)
            return
        targets: list[Target] = []
        received: list[Record] = []
        for target in item.targets:
            key = (target.session, mid)
            if key in rewriting.done:
                continue
            packet_id = rewriting.sent.get(key)
            if packet_id is not None:
                target = _sent_as(target, packet_id)
            targets.append(target)
            if item.received(target.session) or key in rewriting.received:
                received.append(Received(*key))
        if targets:
            yield self._record(mid, [item.message], targets)
            yield from received


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

    def received(self, session: int) -> bool:
        """Whether this session's client has said PUBREC."""
        return session in self.received_by


Rewriter = Iterator[Living]


@dataclass(slots=True)
class _Rewriting:
    """All that lives, on its way to the end of the log, and what became of it since that began."""

    items: Rewriter
    begun: bool = False
    done: set[tuple[int, int]] = field(default_factory=set)
    sent: dict[tuple[int, int], int] = field(default_factory=dict)
    received: set[tuple[int, int]] = field(default_factory=set)


def _acknowledged(run: _Run) -> int:
    """How many messages from the first on every target has acknowledged."""
    count = len(run.messages)
    for target in run.targets:
        done = run.done.get(target.session, ())
        prefix = 0
        while prefix < count and run.first + prefix in done:
            prefix += 1
        count = prefix
    return count


def _later(target: Target, skip: int) -> Target:
    ids = None if target.packet_ids is None else target.packet_ids[skip:]
    return replace(target, packet_ids=ids)


def _sent_as(target: Target, packet_id: int) -> Target:
    return replace(target, packet_ids=[packet_id])


def _ranges(mids: list[int]) -> list[tuple[int, int]]:
    """Numbers as ranges of neighbours: (first, last)."""
    ranges: list[tuple[int, int]] = []
    first = last = mids[0]
    for mid in mids[1:]:
        if mid == last + 1:
            last = mid
            continue
        ranges.append((first, last))
        first = last = mid
    ranges.append((first, last))
    return ranges
