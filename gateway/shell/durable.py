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

import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import msgspec

from gateway.broker.records import Record, Rewrite, Row
from gateway.shell.disk import Disk, FailureKind, StoreFailure, failure
from gateway.shell.rows import Changes, RowFile, Rows
from gateway.shell.segments import (
    BEGIN,
    END,
    ROWS,
    Batch,
    Identity,
    Segment,
    SegmentLog,
    gateway_digest,
    payloads,
    read_header,
    scan,
)

CHECKPOINT_S = 30.0  # a crash replays at most this much of rows
BALLAST_BYTES = 8_388_608  # thousands of acknowledgements, and one write of broker.db
SEGMENT_BYTES = 8_388_608  # a preallocation every 100,000 small messages
REWRITE_BYTES_MIN = 33_554_432  # below this a rewrite costs the card more than it gives back
SEGMENTS_MAX = 64  # each start leaves one, and recovery opens them all


@dataclass(frozen=True, slots=True)
class Settings:
    gateway: str  # whose disk this is: a copied card is set aside
    free_bytes_min: int = 67_108_864
    segment_bytes: int = SEGMENT_BYTES
    rewrite_bytes_min: int = REWRITE_BYTES_MIN
    checkpoint_s: float = CHECKPOINT_S
    ballast_bytes: int = BALLAST_BYTES


@dataclass(frozen=True, slots=True)
class Recovered:
    """`batches` reads files: use it up before the first commit."""

    rows: Rows
    batches: Iterator[list[Record]]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """One commit. `refusing` says why no new message should be taken, and the remedy; or nothing."""

    written_bytes: int
    seconds: float
    log_bytes: int
    wants_rewrite: bool
    refusing: str


@dataclass(slots=True)
class StoreVitals:
    """For `gwctl status`. `state` is None while all is well."""

    commits: int = 0
    records: int = 0
    log_written_bytes: int = 0
    rows_written_bytes: int = 0
    last_ms: float = 0.0
    smoothed_ms: float = 0.0
    free_bytes: int = 0
    disk_bytes: int = 0
    segments: int = 0
    spares: int = 0
    log_bytes: int = 0
    failures: int = 0
    state: FailureKind | None = None
    words: str = ""
    remedy: str = ""
    written_total_bytes: int = 0  # by earlier starts, too
    started: float = field(default_factory=time.monotonic)


_decoder = msgspec.msgpack.Decoder(list[Record])
_raw_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_one_decoder = msgspec.msgpack.Decoder(Record)


@dataclass(frozen=True, slots=True)
class _Work:
    records: list[Record] | None  # None: write rows, and stop
    rewrite: Rewrite
    future: "Future[Report]"


class DurableStore:
    """Call `recover` once, then `commit`. The constructor touches nothing."""

    def __init__(self, directory: str, settings: Settings, disk: Disk | None = None) -> None:
        self.vitals = StoreVitals()
        self._directory = Path(directory)
        self._settings = settings
        self._disk = disk or Disk()
        self._notes: list[str] = []
        self._encoder = msgspec.msgpack.Encoder()
        self._dirty: Changes = {}
        self._dirty_since = 0.0
        self._number = 0  # of the last good batch
        self._begin: tuple[int, int] | None = None  # serial and number of a rewrite's begin
        self._to_free: tuple[int, int] | None = None  # the same, of one that has ended
        self._rewritten_bytes = 0
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
        self._log = SegmentLog(log, self._disk, self._settings.segment_bytes)
        self._rows = RowFile(self._directory, self._notes)
        self._identify()
        self._disk.sync_directory(str(self._directory))  # the two may have been made just now
        complete_to = int(self._rows.about.get("complete_to", "0"))
        replay_from = int(self._rows.about.get("replay_from", "0"))
        segments = self._read_segments(replay_from)
        rows = self._rows.rows
        for batch, records in self._decoded(segments, ROWS):
            if batch.number > complete_to:
                for record in records:
                    if type(record) is Row:
                        self._dirty[record.kind, record.key] = record.value
        for name, value in self._dirty.items():
            if value is None:
                rows.pop(name, None)
            else:
                rows[name] = value
        last = max((batch.number for s in segments for batch in s.batches), default=0)
        self._number = max(last, complete_to)
        self._rewritten_bytes = int(self._rows.about.get("rewritten_bytes", "0"))
        self.vitals.written_total_bytes = int(self._rows.about.get("bytes_total", "0"))
        self._make_ballast()
        self._look_at_room()
        self._dirty_since = time.monotonic()
        self._rows.rows = {}
        self._thread.start()
        return Recovered(rows, self._without_rows(segments), self._notes)

    def _identify(self) -> None:
        """Knows whose files these are, also when only one of the two kinds could be read."""
        ours = gateway_digest(self._settings.gateway)
        about = self._rows.about
        if about.get("gateway", ours.hex()) != ours.hex():
            self._rows.set_aside("foreign", "was made on another box", self._notes)
        store = bytes.fromhex(self._rows.about.get("store", ""))
        for _, path in self._log.files():
            header = read_header(path)
            if header and header[2].gateway != ours:
                self._aside(path, "foreign", "was made on another box", move=True)
            elif header and not store:
                store = header[2].store
        self._identity = Identity(store or secrets.token_bytes(16), ours)
        if "store" not in self._rows.about:
            named = {"store": self._identity.store.hex(), "gateway": ours.hex()}
            self._rows.save({}, named)

    def _read_segments(self, replay_from: int) -> list[Segment]:
        """All good batches that count; what is damaged is kept under a second name."""
        found: list[Segment] = []
        for serial, path in self._log.files():
            self._log.next_serial = serial + 1
            segment = scan(path, serial, self._identity.store)
            if segment.damaged:
                self._aside(path, "broken", "is damaged inside; the rest of it is used")
            found.append(segment)
        self._find_gaps(found, replay_from)
        for segment in found:
            segment.batches = [b for b in segment.batches if b.number >= replay_from]
            with suppress(OSError):  # only room is lost
                if not segment.batches:
                    self._log.free(segment)
                else:
                    self._shorten(segment)
        self._log.segments = [segment for segment in found if segment.batches]
        return self._log.segments

    def _find_gaps(self, segments: list[Segment], replay_from: int) -> None:
        """Drops what a later segment says again, and keeps aside what lost its end."""
        expected = max(replay_from, 1) if "complete_to" in self._rows.about else 0
        suspects: list[Segment] = []
        for segment, later in zip_longest(segments, segments[1:]):
            if later is not None and later.first:
                segment.batches = [b for b in segment.batches if b.number < later.first]
            if segment.batches and expected and segment.batches[0].number > expected:
                lost = segment.batches[0].number - expected
                self._note(f"{lost} batches before {segment.path.name} cannot be read")
                for suspect in suspects:
                    self._aside(suspect.path, "broken", "may have held them")
            if segment.batches:
                expected = max(expected, segment.batches[-1].number + 1)
                suspects = []
            suspects.append(segment)

    def _shorten(self, segment: Segment) -> None:
        """Gives back the room behind the last batch: nobody writes there any more."""
        status = segment.path.stat()
        if status.st_nlink > 1 or segment.used * 2 > status.st_size:
            return
        file = self._disk.open(str(segment.path), os.O_RDWR | os.O_CLOEXEC, 0)
        try:
            self._disk.truncate(file, segment.used)
        finally:
            os.close(file)

    def _aside(self, path: Path, word: str, why: str, move: bool = False) -> None:
        """A second name costs no room, and `SegmentLog.free` leaves such a file as it is."""
        number = 1
        while (other := path.with_name(f"{path.name}.{word}-{number}")).exists():
            if other.samefile(path):
                self._note(f"{path.name} {why}: kept as {other.name}")
                return
            number += 1
        try:
            (self._disk.rename if move else self._disk.link)(str(path), str(other))
        except OSError as error:
            self._note(f"{path.name} {why}; it cannot be kept aside: {error.strerror}")
            return
        self._note(f"{path.name} {why}: kept as {other.name}")

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _decoded(self, segments: list[Segment], flags: int) -> Iterator[tuple[Batch, list[Record]]]:
        for segment in segments:
            unknown = 0
            for batch, payload in payloads(segment):
                if flags and not batch.flags & flags:
                    continue
                try:
                    yield batch, _decoder.decode(payload)
                except msgspec.DecodeError:
                    records, strange = _tolerant(payload)
                    unknown += strange
                    yield batch, records
            if unknown:
                why = f"holds {unknown} records that this version does not know"
                self._aside(segment.path, "unknown", why)

    def _without_rows(self, segments: list[Segment]) -> Iterator[list[Record]]:
        for _, records in self._decoded(segments, 0):
            if others := [record for record in records if type(record) is not Row]:
                yield others

    # -- Commits ----------------------------------------------------------------------------------

    def commit(self, records: list[Record], rewrite: Rewrite = Rewrite.NONE) -> "Future[Report]":
        """The future tells when all of it is on disk, or the StoreFailure; it ends on another thread."""
        future: Future[Report] = Future()
        self._work.put(_Work(records, rewrite, future))
        return future

    def close(self) -> None:
        """Waits for what is under way and writes the rows. Safe to leave out: the log has them."""
        self._work.put(_Work(None, Rewrite.NONE, Future()))
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                pause = self._settings.checkpoint_s if self.vitals.state is None else 1.0
                work = self._work.get(timeout=pause)
            except queue.Empty:
                self._look_at_room()
                self._checkpoint_when_due()
                continue
            if work.records is None:
                break
            try:
                work.future.set_result(self._commit(work.records, work.rewrite))
            except StoreFailure as error:
                work.future.set_exception(error)
            except Exception as error:  # whatever it is, the caller must not wait for ever
                work.future.set_exception(StoreFailure(FailureKind.BROKEN, repr(error)))
            self._checkpoint_when_due()
        self._try_checkpoint()
        self._log.leave()
        with suppress(sqlite3.Error):
            self._rows.close()

    def _commit(self, records: list[Record], rewrite: Rewrite) -> Report:
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
        return self._reported(len(records), written, time.perf_counter() - began)

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
                if last or problem.kind is not FailureKind.FULL or not self._drop_ballast():
                    self._failed(problem)
                    raise problem from error
        raise AssertionError("the second try returns or raises")

    def _reported(self, records: int, written: int, seconds: float) -> Report:
        vitals = self.vitals
        vitals.commits += 1
        vitals.records += records
        vitals.last_ms = seconds * 1000
        vitals.smoothed_ms += (vitals.last_ms - vitals.smoothed_ms) / min(vitals.commits, 20)
        self._look_at_room()
        size = self._log.log_bytes
        limit = max(self._settings.rewrite_bytes_min, 2 * self._rewritten_bytes)
        wants = not self._begin and not self._to_free
        wants = wants and (size > limit or len(self._log.segments) > SEGMENTS_MAX)
        refusing = f"{vitals.words}; {vitals.remedy}" if vitals.state else ""
        return Report(written, seconds, size, wants, refusing)

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
                self._drop_ballast()

    def _free_before(self, serial: int) -> None:
        """Oldest first, so that what a crash leaves is an end of the log, never a part with a hole."""
        while self._log.segments[0].serial < serial:
            self._log.free(self._log.segments[0])
            del self._log.segments[0]

    def _look_at_room(self) -> None:
        vitals = self.vitals
        vitals.segments, vitals.log_bytes = len(self._log.segments), self._log.log_bytes
        vitals.log_written_bytes = self._log.page_bytes
        vitals.rows_written_bytes = self._rows.bytes_written
        vitals.spares = len(self._log.spares())
        try:
            found = self._disk.statvfs(str(self._directory))
        except OSError:  # the next write will tell
            return
        vitals.free_bytes = found.f_bavail * found.f_frsize
        vitals.disk_bytes = found.f_blocks * found.f_frsize
        if self._rows_problem:
            return
        if vitals.free_bytes < self._settings.free_bytes_min:
            least = self._settings.free_bytes_min >> 20
            text = f"less than {least} MB are free (storage.free_bytes_min)"
            problem = StoreFailure(FailureKind.FULL, text)
            vitals.state, vitals.words, vitals.remedy = problem.kind, text, problem.remedy
            return
        vitals.state, vitals.words, vitals.remedy = None, "", ""
        if vitals.free_bytes > self._settings.free_bytes_min + 2 * self._settings.ballast_bytes:
            self._make_ballast()

    def _total(self) -> int:
        written = self._log.page_bytes + self._rows.bytes_written
        return self.vitals.written_total_bytes + written

    def _drop_ballast(self) -> bool:
        """Whether there was any."""
        try:
            self._disk.unlink(str(self._directory / "ballast"))
        except OSError:
            return False
        return True

    def _make_ballast(self) -> None:
        path = self._directory / "ballast"
        if path.exists():
            return
        try:
            file = self._disk.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._disk.reserve(file, self._settings.ballast_bytes)
            finally:
                os.close(file)
        except OSError:
            self._drop_ballast()


def _tolerant(payload: bytes) -> tuple[list[Record], int]:
    """The records of a batch that this version knows, and how many it does not."""
    known: list[Record] = []
    strange = 0
    try:
        for raw in _raw_decoder.decode(payload):
            try:
                known.append(_one_decoder.decode(raw))
            except msgspec.DecodeError:
                strange += 1
    except msgspec.DecodeError:
        strange += 1
    return known, strange
