"""What the broker keeps on disk: a segment log for every record, and rows behind it.

    broker.db   rows, written when they have been changed for a while (`rows.py`)
    log/        every record, in order (`segments.py`)
    ballast     room that is given up when the disk is full, so that deliveries can be recorded

A batch is one write and one sync, on a thread of its own. Rows of a batch are also remembered here,
and go to broker.db every 30 s, at close, and before segments are freed; it knows up to which batch it
is complete, so that recovery is its rows, then the rows of later batches.

The caller has one commit under way at a time, and after a failure commits the same records again.
Must not know what the records mean to a session.
"""

import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.broker.records import Record, Rewrite, Row, Wish
from gateway.shell.disk import Disk, FailureKind, StoreFailure, failure
from gateway.shell.recovery import READING, Recovery, reading
from gateway.shell.room import Room
from gateway.shell.rows import Changes, RowFile, Rows
from gateway.shell.segments import BEGIN, END, ROWS, SegmentLog

CHECKPOINT_S = 30.0  # a crash replays at most this much of rows
BALLAST_BYTES = 8_388_608  # thousands of acknowledgements, and one write of broker.db
SEGMENT_BYTES = 8_388_608  # a preallocation every 100,000 small messages
REWRITE_BYTES_MIN = 33_554_432  # below this a rewrite costs the card more than it gives back
REWRITE_FACTOR_MAX = 4  # times as much: whether it is worth it is an estimate of the broker
REWRITE_AFTER_S = 30.0  # where the last one did not end: who crashes sooner would never end it
SEGMENTS_MAX = 64  # each start leaves one, and recovery opens them all


@dataclass(frozen=True, slots=True)
class Settings:
    gateway: str  # whose disk this is: a copied card is set aside
    free_bytes_min: int = 67_108_864
    segment_bytes: int = SEGMENT_BYTES
    rewrite_bytes_min: int = REWRITE_BYTES_MIN
    rewrite_after_s: float = REWRITE_AFTER_S
    checkpoint_s: float = CHECKPOINT_S
    ballast_bytes: int = BALLAST_BYTES


@dataclass(frozen=True, slots=True)
class Recovered:
    """`batches` reads files: use it up before the first commit, or leave it. `store` is the log's name
    for itself, `number` that of its last batch; without `notes` nothing of it is missing."""

    rows: Rows
    batches: Iterator[list[Record]]
    notes: list[str]
    store: str
    number: int


@dataclass(frozen=True, slots=True)
class Report:
    """One commit. `refusing` says why no new message should be taken, and the remedy; or nothing."""

    written_bytes: int
    seconds: float
    log_bytes: int
    rewrite: Wish
    refusing: str


@dataclass(slots=True)
class StoreVitals:
    """For `gwctl status`. `state` is None while all is well."""

    commits: int = 0
    log_written_bytes: int = 0
    rows_written_bytes: int = 0
    smoothed_ms: float = 0.0
    free_bytes: int = 0
    disk_bytes: int = 0
    log_bytes: int = 0
    failures: int = 0
    state: FailureKind | None = None
    words: str = ""
    remedy: str = ""
    written_total_bytes: int = 0  # by earlier starts, too
    started: float = field(default_factory=time.monotonic)


Tell = Callable[[Report | StoreFailure], object]
Records = list[Record] | list[Record | msgspec.Raw]
_Commit = tuple[Records | None, Rewrite, Tell]  # no records: write rows, and stop
_Work = _Commit | Callable[[], None]  # or something else to do for the writer


class DurableStore:
    """Call `recover` once, then `commit`. The constructor touches nothing."""

    def __init__(self, directory: str, settings: Settings, disk: Disk | None = None) -> None:
        self.vitals = StoreVitals()
        self._directory = Path(directory)
        self._settings = settings
        self._disk = disk or Disk()
        self._room = Room(
            self._directory, self._disk, settings.free_bytes_min, settings.ballast_bytes
        )
        self._encoder = msgspec.msgpack.Encoder()
        self._dirty: Changes = {}
        self._dirty_since = 0.0
        self._number = 0  # of the last good batch
        self._begin: tuple[int, int] | None = None  # serial and number of a rewrite's begin
        self._to_free: tuple[int, int] | None = None  # the same, of one that has ended
        self._rewritten_bytes = 0
        self._rewrite_from = 0.0  # monotonic seconds
        self._rows_problem: StoreFailure | None = None
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    # -- Recovery, on the caller's thread, before there is another --------------------------------

    def recover(self) -> Recovered:
        """What was kept. Raises StoreFailure when the directory cannot be used at all."""
        try:
            return self._recover()
        except (OSError, sqlite3.Error) as error:
            raise failure(error) from error

    def _recover(self) -> Recovered:
        log = self._directory / "log"
        log.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(log / READING, ignore_errors=True)  # second names that a crash left
        self._log = SegmentLog(log, self._disk, self._settings.segment_bytes)
        notes: list[str] = []
        self._rows = RowFile(self._directory, notes)
        recovery = Recovery(self._log, self._rows, self._disk, self._settings.gateway, notes)
        self._identity = recovery.identify()
        self._disk.sync_directory(str(self._directory))  # the two may have been made just now
        complete_to = int(self._rows.about.get("complete_to", "0"))
        replay_from = int(self._rows.about.get("replay_from", "0"))
        segments = recovery.segments(self._identity.store, replay_from)
        self._dirty = recovery.changes(segments, complete_to)
        rows, self._rows.rows = self._rows.rows, {}
        for name, value in self._dirty.items():
            if value is None:
                rows.pop(name, None)
            else:
                rows[name] = value
        last = max((batch.number for s in segments for batch in s.batches), default=0)
        self._number = max(last, complete_to)
        flags = [batch.flags & (BEGIN | END) for s in segments for batch in s.batches]
        if next((each for each in reversed(flags) if each), END) == BEGIN:
            self._rewrite_from = time.monotonic() + self._settings.rewrite_after_s
        self._rewritten_bytes = int(self._rows.about.get("rewritten_bytes", "0"))
        self.vitals.written_total_bytes = int(self._rows.about.get("bytes_total", "0"))
        self._room.make_ballast()
        self._look()
        self._dirty_since = time.monotonic()
        self._thread.start()
        store = self._identity.store.hex()
        return Recovered(rows, recovery.batches(segments), notes, store, self._number)

    # -- Commits ----------------------------------------------------------------------------------

    def commit(self, records: Records, rewrite: Rewrite = Rewrite.NONE) -> "Future[Report]":
        """As `submit`, for who can wait; the future ends on another thread."""
        future: Future[Report] = Future()

        def tell(outcome: Report | StoreFailure) -> None:
            if isinstance(outcome, Report):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

        self.submit(records, rewrite, tell)
        return future

    def submit(self, records: Records, rewrite: Rewrite, tell: Tell) -> None:
        """`tell` is called on another thread when all of it is on disk, or could not be put there."""
        self._work.put((records, rewrite, tell))

    def read(self) -> "Future[Recovered]":
        """All that was committed so far, as `recover` would find it now; commits go on meanwhile.

        The batches are read from names of their own, in `log/reading`, which go when they are used up.
        """
        future: Future[Recovered] = Future()

        def read() -> None:
            try:
                future.set_result(self._read())
            except (OSError, sqlite3.Error) as error:
                future.set_exception(failure(error))

        self._work.put(read)
        return future

    def forget_rewrite(self) -> None:
        """What was begun of writing all that lives again will not be gone on with."""

        def forget() -> None:
            self._begin = None

        self._work.put(forget)

    def close(self) -> None:
        """Waits for what is under way and writes the rows. Safe to leave out: the log has them."""
        self._work.put((None, Rewrite.NONE, lambda outcome: None))
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                pause = self._settings.checkpoint_s if self.vitals.state is None else 1.0
                work = self._work.get(timeout=pause)
            except queue.Empty:
                self._look()
                self._checkpoint_when_due()
                continue
            if callable(work):
                work()
                continue
            records, rewrite, tell = work
            if records is None:
                break
            outcome: Report | StoreFailure
            try:
                outcome = self._commit(records, rewrite)
            except StoreFailure as error:
                outcome = error
            except Exception as error:  # whatever it is, the caller must not wait for ever
                outcome = StoreFailure(FailureKind.BROKEN, repr(error))
            tell(outcome)
            self._checkpoint_when_due()
        self._try_checkpoint()
        self._log.leave()
        with suppress(sqlite3.Error):
            self._rows.close()

    def _read(self) -> Recovered:
        rows = self._rows.read()
        for name, value in self._dirty.items():
            if value is None:
                rows.pop(name, None)
            else:
                rows[name] = value
        replay_from = int(self._rows.about.get("replay_from", "0"))
        store = self._identity.store
        batches = reading(self._log, store, replay_from, self._number)
        return Recovered(rows, batches, [], store.hex(), self._number)

    def _commit(
        self, records: list[Record] | list[Record | msgspec.Raw], rewrite: Rewrite
    ) -> Report:
        began = time.perf_counter()
        payload = self._encoder.encode(records)
        rows = [record for record in records if type(record) is Row]
        flags = rewrite.value | (ROWS if rows else 0)
        if flags & BEGIN:
            self._log.leave()
        written = self._append(flags, payload)
        self._number += 1
        if rows and not self._dirty:
            self._dirty_since = time.monotonic()
        for row in rows:
            self._dirty[row.kind, row.key] = row.value
        if flags & BEGIN:
            self._begin = (self._log.segments[-1].serial, self._number)
        if flags & END and self._begin:
            self._to_free, self._begin = self._begin, None
            self._try_checkpoint()
        return self._reported(written, time.perf_counter() - began)

    def _append(self, flags: int, payload: bytes) -> int:
        """Once more when the disk is full, with the ballast thrown out."""
        small = self.vitals.state is FailureKind.FULL
        for last in (False, True):
            try:
                return self._log.append(
                    self._identity, self._number + 1, flags, payload, small or last
                )
            except OSError as error:
                self._log.leave()
                problem = failure(error)
                if last or problem.kind is not FailureKind.FULL or not self._room.drop_ballast():
                    self._failed(problem)
                    raise problem from error
        raise AssertionError("the second try returns or raises")

    def _reported(self, written: int, seconds: float) -> Report:
        vitals = self.vitals
        vitals.commits += 1
        vitals.smoothed_ms += (seconds * 1000 - vitals.smoothed_ms) / min(vitals.commits, 20)
        self._count()
        if vitals.state is not None or self._room.is_to_be_looked_at():
            self._look()
        refusing = f"{vitals.words}; {vitals.remedy}" if vitals.state else ""
        return Report(written, seconds, vitals.log_bytes, self._wish(), refusing)

    def _wish(self) -> Wish:
        if self._begin or self._to_free:
            return Wish.NONE  # it is under way
        if len(self._log.segments) > SEGMENTS_MAX:
            return Wish.NOW
        limit = max(self._settings.rewrite_bytes_min, 2 * self._rewritten_bytes)
        size = self._log.log_bytes
        if size <= limit or time.monotonic() < self._rewrite_from:
            return Wish.NONE
        return Wish.NOW if size > REWRITE_FACTOR_MAX * limit else Wish.IF_WORTH

    def _failed(self, problem: StoreFailure) -> None:
        vitals = self.vitals
        vitals.failures += 1
        vitals.state, vitals.words, vitals.remedy = problem.kind, problem.text, problem.remedy

    # -- Rows, freeing, room ----------------------------------------------------------------------

    def _checkpoint_when_due(self) -> None:
        due = time.monotonic() - self._dirty_since >= self._settings.checkpoint_s
        if due and (self._dirty or self._to_free):
            self._try_checkpoint()

    def _try_checkpoint(self) -> None:
        """The log has it all, so that a failure here costs nothing but time."""
        self._dirty_since = time.monotonic()
        about = {"complete_to": str(self._number)}
        if self._to_free:
            serial, number = self._to_free
            living = sum(s.used for s in self._log.segments if s.serial >= serial)
            about |= {"replay_from": str(number), "rewritten_bytes": str(living)}
        about["bytes_total"] = str(self._total())
        try:
            self._rows.save(self._dirty, about)
            self._dirty = {}
            self._rows_problem = None
            if self._to_free:
                self._rows.copy()
                self._free_before(self._to_free[0])
                self._to_free = None
                self._rewritten_bytes = self._log.log_bytes
        except (OSError, sqlite3.Error) as error:
            self._rows_problem = problem = failure(error)
            self._failed(problem)
            if problem.kind is FailureKind.FULL:
                self._room.drop_ballast()

    def _free_before(self, serial: int) -> None:
        """Oldest first, so that what a crash leaves is an end of the log, never a part with a hole."""
        while self._log.segments[0].serial < serial:
            self._log.free(self._log.segments[0])
            del self._log.segments[0]

    def _look(self) -> None:
        """Brings the vitals up to date, and finds what is wrong with the room, or is no longer."""
        self._count()
        vitals, room = self.vitals, self._room
        problem = self._rows_problem or room.look()
        vitals.free_bytes, vitals.disk_bytes = room.free_bytes, room.disk_bytes
        if problem is None:
            vitals.state, vitals.words, vitals.remedy = None, "", ""
        else:
            vitals.state, vitals.words, vitals.remedy = problem.kind, problem.text, problem.remedy

    def _count(self) -> None:
        self.vitals.log_bytes = self._log.log_bytes
        self.vitals.log_written_bytes = self._log.page_bytes
        self.vitals.rows_written_bytes = self._rows.bytes_written

    def _total(self) -> int:
        written = self._log.page_bytes + self._rows.bytes_written
        return self.vitals.written_total_bytes + written
