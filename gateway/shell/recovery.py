"""What the files of the durable store say at a start: rows, the batches of the log, and what is amiss.

Nothing is deleted but segments that are over. A file that is damaged, was made on another box or holds
what this version does not know is kept under a second name. Must not know what the records mean to a
session, or how a batch is written.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

import msgspec

from gateway.broker.records import Record, Row
from gateway.shell.disk import Disk
from gateway.shell.rows import Changes, RowFile
from gateway.shell.segments import (
    ROWS,
    Batch,
    Identity,
    Segment,
    SegmentLog,
    gateway_digest,
    is_newer,
    payloads,
    read_header,
    scan,
)

READING = "reading"  # the folder of second names of what is being read

_decoder = msgspec.msgpack.Decoder(list[Record])
_raw_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_one_decoder = msgspec.msgpack.Decoder(Record)


class Recovery:
    """One reading of the files. The order of calls: `identify`, `segments`, then the others.

    `notes` is what the operator should know, a line each.
    """

    def __init__(
        self, log: SegmentLog, rows: RowFile, disk: Disk, gateway: str, notes: list[str]
    ) -> None:
        self.notes = notes
        self._log = log
        self._rows = rows
        self._disk = disk
        self._gateway = gateway

    def identify(self) -> Identity:
        """Knows whose files these are, also when only one of the two kinds could be read."""
        ours = gateway_digest(self._gateway)
        about = self._rows.about
        if about.get("gateway", ours.hex()) != ours.hex():
            self._rows.set_aside("foreign", "was made on another box", self.notes)
        store = bytes.fromhex(self._rows.about.get("store", ""))
        for _, path in self._log.files():
            header = read_header(path)
            if is_newer(path):
                self._aside(path, "newer", "was written by a newer version", move=True)
            elif header and header[2].gateway != ours:
                self._aside(path, "foreign", "was made on another box", move=True)
            elif header and not store:
                store = header[2].store
        identity = Identity(store or secrets.token_bytes(16), ours)
        if "store" not in self._rows.about:
            named = {"store": identity.store.hex(), "gateway": ours.hex()}
            self._rows.save({}, named)
        return identity

    def segments(self, store: bytes, replay_from: int) -> list[Segment]:
        """All good batches that count; what is damaged is kept under a second name."""
        found: list[Segment] = []
        for serial, path in self._log.files():
            self._log.next_serial = serial + 1
            segment = scan(path, serial, store)
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

    def changes(self, segments: list[Segment], complete_to: int) -> Changes:
        """What the log says of rows that `broker.db` does not have yet."""
        changes: Changes = {}
        for _, records in self._decoded(segments, ROWS, complete_to):
            for record in records:
                if type(record) is Row:
                    changes[record.kind, record.key] = record.value
        return changes

    def batches(self, segments: list[Segment]) -> Iterator[list[Record]]:
        """All other records. Reads files: use it up before the first commit."""
        for _, records in self._decoded(segments, 0):
            if others := [record for record in records if type(record) is not Row]:
                yield others

    def _decoded(
        self, segments: list[Segment], flags: int, beyond: int = 0
    ) -> Iterator[tuple[Batch, list[Record]]]:
        for segment in segments:
            unknown = 0
            for batch, payload in payloads(segment):
                if batch.number <= beyond or (flags and not batch.flags & flags):
                    continue
                records, strange = decoded(payload)
                unknown += strange
                yield batch, records
            if unknown:
                why = f"holds {unknown} records that this version does not know"
                self._aside(segment.path, "unknown", why)

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
        if text not in self.notes:
            self.notes.append(text)


def reading(log: SegmentLog, store: bytes, replay_from: int, last: int) -> Iterator[list[Record]]:
    """All but rows of the batches up to `last`, also while the log goes on and frees what it has.

    The files get second names for it, as `SegmentLog.free` leaves such a file as it is. Raises OSError.
    """
    shelf = log.directory / READING
    shelf.mkdir(mode=0o700, exist_ok=True)
    names: list[tuple[Path, int, int]] = []
    for segment in log.segments:
        number = 1
        while (other := shelf / f"{segment.path.name}.{number}").exists():
            number += 1
        os.link(segment.path, other)
        names.append((other, segment.serial, segment.first))
    return _read_names(names, store, replay_from, last)


def _read_names(
    names: list[tuple[Path, int, int]], store: bytes, replay_from: int, last: int
) -> Iterator[list[Record]]:
    firsts = [first for _, _, first in names[1:]]
    for (path, serial, _), later in zip_longest(names, firsts):
        segment = scan(path, serial, store)
        end = last if not later else min(last, later - 1)
        segment.batches = [b for b in segment.batches if replay_from <= b.number <= end]
        for _, payload in payloads(segment):
            records, _ = decoded(payload)
            if others := [record for record in records if type(record) is not Row]:
                yield others
        path.unlink(missing_ok=True)


def decoded(payload: bytes) -> tuple[list[Record], int]:
    """The records of a batch that this version knows, and how many it does not."""
    try:
        return _decoder.decode(payload), 0
    except msgspec.DecodeError:
        return _tolerant(payload)


def with_strangers(payload: bytes) -> list[Record] | list[Record | msgspec.Raw]:
    """The records of a batch; those that this version does not know as they are.

    Raises msgspec.DecodeError for what is no list at all.
    """
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError:
        return [_one_or_raw(raw) for raw in _raw_decoder.decode(payload)]


def _one_or_raw(raw: msgspec.Raw) -> Record | msgspec.Raw:
    try:
        record: Record = _one_decoder.decode(raw)
    except msgspec.DecodeError:
        return raw
    return record


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
