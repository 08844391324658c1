"""What must survive: records collected in a turn, handed to the disk in batches, and who waits for them.

One batch is under way at a time; what comes meanwhile is the next one, so that all clients share a sync.
Answers wait for it by tickets, QoS 2 deliveries by their packet id. What is acknowledged by every
subscriber before its batch begins leaves the batch, and its publisher is answered at once: most messages
of healthy consumers never see the disk. What nobody waits for (acknowledgements, packet ids of QoS 1)
begins no batch, it rides. A batch that failed is offered again; what waited for it is told.

Batches are numbered as the disk numbers them. Where another gateway keeps a copy, a batch is shipped
there as it begins, and what waits for it goes on when both have it; the next one begins before.

    urgent    somebody waits: begins as soon as the disk is free and has rested
    patient   everybody it is for is connected: begins after `patience`, if they have not acknowledged
    lazy      nobody waits: rides, or begins LAZY_S later

A run of messages on its way into a batch is in `collected.py`, what is written again in `rewriting.py`,
the second copy in `copying.py`.
Must not know files, connections or sessions' insides.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from gateway.broker.collected import Run, ranges, stored
from gateway.broker.copying import Copier, Copying, NoCopier, encoded
from gateway.broker.records import (
    BOOT_SHIFT,
    Done,
    Received,
    Record,
    Released,
    Rewrite,
    Row,
    Sent,
    Target,
)
from gateway.broker.rewriting import Balance, Living, Rewriting
from gateway.clock import MeshClock
from gateway.durability import Durability
from gateway.mqtt.message import Message
from gateway.tickets import Ticket
from gateway.timers import FOREVER

LAZY_S = 10.0  # what a power cut may cost: messages delivered in this time are delivered again
PATIENCE_MIN_S = 0.002  # a subscriber on the LAN has answered by then
PATIENCE_MAX_S = 0.020
REST_MAX_S = 0.020  # between two commits: the slower the card, the more are put together
RETRY_S = 1.0  # a disk that failed is tried again this often
ASK_AGAIN_S = 5.0  # a full disk is asked this often whether there is room again
_SMOOTHING = 0.2  # share of the newest commit in the smoothed time


class Waiter(Protocol):
    """A session, which may send a QoS 2 message only when its packet id is on disk."""

    def committed(self, packet_id: int, now: float) -> None:
        """The packet id is on disk."""


@dataclass(slots=True)
class Batch:
    """What is committed together. `records` is the shell's to write; the rest is the journal's.

    `own` are tickets that wait for this disk, `tickets` wait for the copy, too.
    """

    records: list[Record]
    rewrite: Rewrite
    tickets: list[Ticket]
    waiters: list[tuple[Waiter, int]]
    number: int
    own: list[Ticket] = field(default_factory=list)


class Journal:
    """`durability` holds for what is no message; a message says itself what its answer waits for.

    `keeping` is False for a broker without a disk: then nothing is collected and nobody waits.

    `refusing` says why no message can be kept now, or nothing: the disk is full or has failed.
    """

    def __init__(
        self,
        boot: int = 0,
        clock: MeshClock | None = None,
        durability: Durability = Durability.MESH,
    ) -> None:
        self.keeping = clock is not None
        self.refusing = ""
        self.copier: Copier = NoCopier()
        self.on_disk = 0  # the number of the last batch there
        self.now = 0.0
        self.never_written = 0  # messages that were acknowledged before their batch began
        self._clock = clock
        self._next = boot << BOOT_SHIFT | 1
        self._places = count()
        self._entries: dict[int, Record | Run] = {}  # by place, in the order in which they came
        self._runs: list[Run] = []  # of them
        self._firsts: list[int] = []  # of the runs: their first mids
        self._rows: dict[tuple[str, str], bytes | None] = {}
        self._done: dict[int, list[int]] = {}
        self._tickets: list[Ticket] = []
        self._own_tickets: list[Ticket] = []
        self._waiters: list[tuple[Waiter, int]] = []
        self._due = FOREVER  # what somebody waits for
        self._lazy_due = FOREVER  # what nobody waits for
        self._rested = 0.0
        self._commit_s = 0.0
        self._under_way: Batch | None = None
        self._offered = False
        self._rewriting: Rewriting | None = None
        self._copying: Copying | None = None
        self._copy_living: Callable[[], Copying] | None = None  # until its first slice
        self._slice_wanted = False
        self._told: list[Rewriting] = []
        self._copy_balance = Balance()
        self._durability = durability
        self._uncopied: deque[Batch] = deque()  # on disk here, and awaited from the copy
        self.balance = Balance()

    # what the broker reports

    def number(self) -> int:
        """A new id, for a session or a message; larger than every one before."""
        return self.numbers(1)

    def numbers(self, wanted: int) -> int:
        """The first of so many new ids in a row."""
        first = self._next
        self._next += wanted
        return first

    def put(
        self,
        kind: str,
        key: str,
        value: bytes | None,
        wait: Ticket | None = None,
        level: Durability | None = None,
    ) -> None:
        """Keeps `value` under (kind, key); with None, nothing. Without `wait` it rides."""
        if not self.keeping:
            return
        self._rows[kind, key] = value
        self._want(wait, level)

    def enqueue(
        self, messages: Sequence[Message], targets: list[Target], patient: bool, wait: Ticket | None
    ) -> None:
        """Messages of one publisher and topic, numbered in a row, were given to these sessions."""
        run = Run(next(self._places), messages, targets, wait)
        self._entries[run.place] = run
        at = len(self._firsts)
        if at and run.first < self._firsts[-1]:  # its numbers were given out some time ago
            at = bisect_right(self._firsts, run.first)
        self._runs.insert(at, run)
        self._firsts.insert(at, run.first)
        if messages[0].level is Durability.MEMORY:
            run.ticket = None
        elif wait is not None:
            wait.hold()
        self._by(self.now + self._patience() if patient else self.now)

    def sent(self, session: int, mid: int, packet_id: int) -> None:
        """A message left the session's queue; for QoS 2 `await_commit` follows."""
        self._collect(Sent(session, mid, packet_id))
        self._want(None)
        for rewriting in self._told:
            rewriting.sent(session, mid, packet_id)

    def wait(self, wait: Ticket, level: Durability | None = None) -> None:
        """Holds the ticket until all that was reported so far is on disk, and in the copy.

        For what is asked a second time while the first is on its way: the answer must not overtake it.
        """
        collected = self._entries or self._rows or self._done
        if self.keeping and (self._under_way is not None or collected):
            self._want(wait, level)
        elif self._uncopied:
            wait.hold()
            self._uncopied[-1].tickets.append(wait)

    def await_commit(self, waiter: Waiter, packet_id: int) -> None:
        """`waiter.committed` is called when all that was reported so far is on disk."""
        self._waiters.append((waiter, packet_id))
        self._by(self.now)

    def received(self, session: int, mid: int, wait: Ticket) -> None:
        """PUBREC came for the message; PUBREL waits."""
        self._collect(Received(session, mid))
        for rewriting in self._told:
            rewriting.received(session, mid)
        self._want(wait)

    def done(self, session: int, mids: Sequence[int]) -> None:
        """The session needs the messages no longer: they were acknowledged, or are given up."""
        for rewriting in self._told:
            rewriting.done(session, mids)
        at, end = 0, len(mids)
        while at < end:
            begin, run = at, self._run(mids[at])
            at += 1
            if run is None:
                oldest = self._firsts[0] if self._firsts else FOREVER
                while at < end and mids[at] < oldest:
                    at += 1
                self._done.setdefault(session, []).extend(mids[begin:at])
                self._want(None)
                continue
            while at < end and run.first <= mids[at] <= run.last:
                at += 1
            if run.done(session, mids[begin:at]):
                self._leave(run)

    def ticket_of(self, mid: int) -> Ticket | None:
        """Who waits for this message to be on disk, if it is not yet on its way there."""
        run = self._run(mid)
        return None if run is None else run.ticket

    def stored(self, session: int, packet_id: int, message: Message, wait: Ticket) -> None:
        """A client handed over a QoS 2 message; PUBREC waits."""
        message.mid = self.number()
        self._collect(stored(session, packet_id, message.mid, message, self.mesh_ms))
        self._want(wait, message.level)

    def released(self, mid: int, wait: Ticket | None, level: Durability | None = None) -> None:
        """The stored message went its way; PUBCOMP waits."""
        self._collect(Released(mid))
        for rewriting in self._told:
            rewriting.done(0, [mid])
        self._want(wait, level)

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
            self._under_way = batch = self._close()
            self._ship(batch.records, batch.number)
            if self._rewriting is not None:
                batch.rewrite = self._rewriting.slice(batch.records, self.mesh_ms)
            self.balance.count(batch.records)
        self._offered = True
        return self._under_way

    def committed(
        self, seconds: float, rewrite_wanted: Callable[[], Iterator[Living]] | None, refusing: str
    ) -> None:
        """The batch under way is on disk; what waited for it, and not for the copy, goes on.

        `rewrite_wanted` gives all that lives, if it is to be written again. `refusing` says why no new
        message can be kept, though the disk still trims; empty: it can.
        """
        self.refusing = refusing
        if refusing:  # nothing else may come that would show the room
            self._lazy_due = min(self._lazy_due, self.now + ASK_AGAIN_S)
        batch, self._under_way, self._offered = self._under_way, None, False
        assert batch is not None, "nothing was under way"
        self._commit_s += _SMOOTHING * (seconds - self._commit_s)
        self._rested = self.now + min(self._commit_s, REST_MAX_S)
        if batch.rewrite in (Rewrite.END, Rewrite.WHOLE):
            self._rewriting = None
        elif rewrite_wanted is not None and self._rewriting is None:
            self._rewriting = Rewriting(rewrite_wanted())
            self.balance = Balance()
        self._tell()
        if self._rewriting is not None:
            self._by(self.now)
        self.on_disk = batch.number
        own, batch.own = batch.own, []
        waiters: list[tuple[Waiter, int]] = []
        if self._durability is not Durability.MESH:
            waiters, batch.waiters = batch.waiters, []
        self._release(own, waiters)
        if (batch.tickets or batch.waiters) and self.copier.owes(batch.number, self.now):
            self._uncopied.append(batch)
        else:
            self._release(batch.tickets, batch.waiters)

    def copied(self, number: int) -> None:
        """The copy has all batches up to this one, or is not waited for: who waited goes on."""
        while self._uncopied and self._uncopied[0].number <= number:
            batch = self._uncopied.popleft()
            self._release(batch.tickets, batch.waiters)

    def begun(self) -> int:
        """The number of the last batch that has begun."""
        return self.on_disk + 1 if self._under_way is not None else self.on_disk

    def begin_copy(self, living: Callable[[], Copying]) -> None:
        """All that lives is to be in the copy: what `living` gives, at the first slice."""
        self.end_copy()
        self._copy_living = living
        self._copy_balance = Balance()

    def copy_slice(self) -> None:
        """The next slice is to be shipped, at once or behind the batch that was collected so far.

        So no slice knows what no batch says: should this gateway crash, its disk and the copy agree.
        """
        self._slice_wanted = True
        if self._entries or self._rows or self._done:
            self._by(self.now)
        else:
            self._ship_slice()

    def copy_is_long(self) -> bool:
        """Whether writing all that lives to the end of the copy frees about as much as it writes."""
        return Balance(self._copy_balance.logged, self.balance.alive).is_worth_it()

    def end_copy(self) -> None:
        """What was begun is over, or is not gone on with."""
        self._copying = self._copy_living = None
        self._slice_wanted = False
        self._tell()

    def hasten(self) -> bool:
        """A planned stop: what nobody waits for is due as well. Whether there is still something."""
        collected = self._entries or self._rows or self._done
        if collected:
            self._by(self.now)
        return bool(collected) or self._under_way is not None or bool(self._uncopied)

    def failed(self, why: str) -> None:
        """The batch could not be written: it is offered again, and what waited for it, or behind it, is
        told."""
        batch = self._under_way
        assert batch is not None, "nothing was under way"
        self._offered = False
        self.refusing = why
        self._rested = self.now + RETRY_S
        tickets = [*batch.tickets, *batch.own, *self._tickets, *self._own_tickets]
        batch.tickets, batch.own, self._tickets, self._own_tickets = [], [], [], []
        for run in self._runs:
            if run.ticket is not None:
                tickets.append(run.ticket)
                run.ticket = None
        for ticket in tickets:
            ticket.fail(why)

    def last(self) -> list[Record]:
        """A planned stop: all that is not known to be on disk. Nothing may be reported after it."""
        under_way = self._under_way.records if self._under_way is not None else []
        self._rewriting = None
        return [*under_way, *self._close().records]

    def mesh_ms(self, when: float | None) -> int | None:
        """A monotonic time as the disk keeps it."""
        if when is None or self._clock is None:
            return None
        return self._clock.read(self.now) + round((when - self.now) * 1000)

    def shade(self) -> "Journal":
        """One that reads the same clock, and is never written."""
        other = Journal(0, self._clock)
        other.now = self.now
        return other

    def monotonic_s(self, mesh_ms: int | None) -> float | None:
        """A time that the disk kept, as this boot counts."""
        if mesh_ms is None or self._clock is None:
            return None
        return self.now + (mesh_ms - self._clock.read(self.now)) / 1000

    # inside

    def _collect(self, record: Record) -> None:
        self._entries[next(self._places)] = record

    def _tell(self) -> None:
        """Who must hear what becomes of messages from here on."""
        self._told = [] if self._rewriting is None else [self._rewriting]
        if self._copying is not None:
            self._told.append(self._copying.messages)

    def _release(self, tickets: list[Ticket], waiters: list[tuple[Waiter, int]]) -> None:
        for waiter, packet_id in waiters:
            waiter.committed(packet_id, self.now)
        for ticket in tickets:
            ticket.release()

    def _want(self, wait: Ticket | None, level: Durability | None = None) -> None:
        """Somebody waits for what was collected; `level` is the gateway's own if it is not said."""
        if wait is None:
            self._lazy_due = min(self._lazy_due, self.now + LAZY_S)
            return
        level = self._durability if level is None else level
        if level is not Durability.MEMORY:
            wait.hold()
            (self._tickets if level is Durability.MESH else self._own_tickets).append(wait)
        self._by(self.now)

    def _by(self, when: float) -> None:
        self._due = min(self._due, when)

    def _patience(self) -> float:
        return min(max(self._commit_s, PATIENCE_MIN_S), PATIENCE_MAX_S)

    def _run(self, mid: int) -> Run | None:
        """The run in which the message waits; None if its batch has begun."""
        at = bisect_right(self._firsts, mid) - 1
        if at < 0:
            return None
        run = self._runs[at]
        return run if mid <= run.last else None

    def _leave(self, run: Run) -> None:
        """All have the messages: the disk need not."""
        at = bisect_right(self._firsts, run.first) - 1
        del self._firsts[at], self._runs[at], self._entries[run.place]
        self.never_written += len(run.messages)
        if run.ticket is not None:
            run.ticket.release()
        awaited = self._runs or self._tickets or self._own_tickets or self._waiters
        if not (awaited or self._rewriting or self._slice_wanted):
            self._due = FOREVER

    def _close(self) -> Batch:
        """What has been collected becomes a batch; what comes next belongs to another."""
        records: list[Record] = [Row(*key, value) for key, value in self._rows.items()]
        tickets, own = self._tickets, self._own_tickets
        for entry in self._entries.values():
            if not isinstance(entry, Run):
                records.append(entry)
                continue
            written, skipped = entry.records(self.mesh_ms)
            records += written
            self.never_written += skipped
            if entry.ticket is not None:
                level = entry.messages[0].level
                (tickets if level is Durability.MESH else own).append(entry.ticket)
        records += [Done(session, ranges(mids)) for session, mids in self._done.items()]
        batch = Batch(records, Rewrite.NONE, tickets, self._waiters, self.on_disk + 1, own)
        self._entries, self._runs, self._firsts = {}, [], []
        self._rows, self._done, self._waiters = {}, {}, []
        self._tickets, self._own_tickets = [], []
        self._due = self._lazy_due = FOREVER
        return batch

    def _ship(self, records: list[Record], number: int) -> None:
        """The copy gets what the batch has, and a slice that waited for it."""
        if self.copier.takes():
            self._copy_balance.count(records)
            self.copier.ship(number, encoded(records), self.now)
        if self._slice_wanted:
            self._ship_slice()

    def _ship_slice(self) -> None:
        self._slice_wanted = False
        if self._copy_living is not None:
            self._copying, self._copy_living = self._copy_living(), None
            self._tell()
        assert self._copying is not None, "no copy was begun"
        records, part = self._copying.slice(self.mesh_ms)
        self._copy_balance.count(records)
        if part in (Rewrite.END, Rewrite.WHOLE):
            self.end_copy()
        self.copier.ship_slice(encoded(records), part.value, self.now)
