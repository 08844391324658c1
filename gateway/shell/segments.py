"""The segment log: batches, one behind the other, in preallocated files.

    log/000000000007.seg   segment with serial 7
    log/spare-7.seg        an old one, kept as room for the next

    segment   0  magic "GWSEGMNT"          batch   0  magic "GWBT"
              8  version, u32                      4  flags, u32: 1 begin, 2 end, 4 has rows
             12  serial, u64                       8  number, u64: one more each batch
             20  number of the first batch, u64   16  serial of the segment, u64
             28  store id, 16 bytes               24  length of the payload, u32
             44  digest of the gateway, 16        28  CRC32 of 0..27 and the payload, u32
             60  CRC32 of 0..59, u32              32  payload
            512  the first batch                      zeros up to a multiple of 512

Numbers are little endian. The CRC of a batch starts from store id and serial, so that what an
earlier use of the file left, or what a client put into a payload, is never taken for a batch.
Behind a small batch zeros are written, for the next ones to overwrite: the first sync of a page that
was reserved and never written costs ext4 12 kB of its journal and a second flush (decision 0006).
After a failed write or sync a segment is left: the next begins with the number that failed, and
what the old one holds from that number on does not count. Must not know what records are.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.shell.disk import Disk

BEGIN, END, ROWS = 1, 2, 4
VERSION = 1
ALIGN = 512
SPARES_MAX = 4  # segments kept to be overwritten: as many as a rewrite of the least size frees
AHEAD_BYTES = 262_144  # of zeros at once: a card takes some 20 ms for them
AHEAD_BATCH_BYTES_MAX = 12_288  # above this the zeros cost more than they save

_MAGIC = b"GWSEGMNT"
_SEGMENT = struct.Struct("<8sIQQ16s16s")
_BATCH_MAGIC = b"GWBT"
_BATCH = struct.Struct("<4sIQQI")
_CRC = struct.Struct("<I")
_HEAD = _BATCH.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose log it is: drawn once for a store, and made from the gateway's id."""

    store: bytes
    gateway: bytes


def gateway_digest(gateway: str) -> bytes:
    return hashlib.blake2b(gateway.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Batch:
    number: int
    flags: int
    offset: int  # of the payload
    length: int

    @property
    def end(self) -> int:
        return aligned(self.offset + self.length)


@dataclass(slots=True)
class Segment:
    """A file of the log. `used` is where its last good batch ends."""

    path: Path
    serial: int
    first: int
    used: int
    batches: list[Batch]
    damaged: bool = False


def aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _seed(store: bytes, serial: int) -> int:
    return zlib.crc32(store + serial.to_bytes(8, "little"))


def segment_header(identity: Identity, serial: int, first: int) -> bytes:
    head = _SEGMENT.pack(_MAGIC, VERSION, serial, first, identity.store, identity.gateway)
    return (head + _CRC.pack(zlib.crc32(head))).ljust(ALIGN, b"\0")


def read_header(path: Path) -> tuple[int, int, Identity] | None:
    """Serial, first batch and owner; None when the header is damaged or was never written."""
    with path.open("rb") as file:
        head = file.read(_SEGMENT.size + _CRC.size)
    if len(head) < _SEGMENT.size + _CRC.size:
        return None
    magic, _, serial, first, store, gateway = _SEGMENT.unpack_from(head)
    if magic != _MAGIC or _CRC.unpack_from(head, _SEGMENT.size)[0] != zlib.crc32(
        head[: _SEGMENT.size]
    ):
        return None
    return serial, first, Identity(store, gateway)


def is_newer(path: Path) -> bool:
    """Whether a version that is not known here wrote the file. The form of these 64 bytes stays."""
    with path.open("rb") as file:
        head = file.read(_SEGMENT.size + _CRC.size)
    whole = head[:8] == _MAGIC and head[_SEGMENT.size :] == _CRC.pack(
        zlib.crc32(head[: -_CRC.size])
    )
    return whole and int.from_bytes(head[8:12], "little") > VERSION


def batch_bytes(store: bytes, serial: int, number: int, flags: int, payload: bytes) -> bytes:
    head = _BATCH.pack(_BATCH_MAGIC, flags, number, serial, len(payload))
    crc = zlib.crc32(payload, zlib.crc32(head, _seed(store, serial)))
    padding = bytes(aligned(_HEAD + len(payload)) - _HEAD - len(payload))
    return b"".join((head, _CRC.pack(crc), payload, padding))


def _batch_at(data: bytes, offset: int, serial: int, seed: int) -> Batch | None:
    if data[offset : offset + 4] != _BATCH_MAGIC or offset + _HEAD > len(data):
        return None
    _, flags, number, of_segment, length = _BATCH.unpack_from(data, offset)
    start = offset + _HEAD
    if of_segment != serial or start + length > len(data):
        return None
    crc = zlib.crc32(data[offset : offset + _BATCH.size], seed)
    crc = zlib.crc32(memoryview(data)[start : start + length], crc)
    if crc != _CRC.unpack_from(data, offset + _BATCH.size)[0]:
        return None
    return Batch(number, flags, start, length)


def scan(path: Path, serial: int, store: bytes) -> Segment:
    """Finds every good batch, also behind a damaged one. Reads the file once, as a whole."""
    data = path.read_bytes()
    header = read_header(path)
    whole = header is not None and header[0] == serial
    seed = _seed(store, serial)
    segment = Segment(path, serial, header[1] if header and whole else 0, ALIGN, [])
    offset = ALIGN
    while offset < len(data):
        batch = _batch_at(data, offset, serial, seed)
        if batch is None:
            offset = _next_magic(data, offset + ALIGN)
            continue
        if offset != segment.used:
            segment.damaged = True
        segment.batches.append(batch)
        segment.used = offset = batch.end
    if not whole and segment.batches:
        segment.damaged = True
        segment.first = segment.batches[0].number
    return segment


def _next_magic(data: bytes, offset: int) -> int:
    """Where the next batch may begin, for zeros are most of a young segment."""
    while (offset := data.find(_BATCH_MAGIC, offset)) >= 0:
        if offset % ALIGN == 0:
            return offset
        offset += 1
    return len(data)


def payloads(segment: Segment) -> Iterator[tuple[Batch, bytes]]:
    """What the good batches hold, in order."""
    with segment.path.open("rb") as file:
        for batch in segment.batches:
            file.seek(batch.offset)
            yield batch, file.read(batch.length)


class SegmentLog:
    """The files, and the open one at the end. Everything raises OSError; then call `leave`."""

    def __init__(self, directory: Path, disk: Disk, segment_bytes: int) -> None:
        self.directory = directory
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._file = -1
        self._capacity = 0  # bytes that are reserved in it
        self._written = 0  # bytes of it that were written once, now or by an earlier use
        self.segments: list[Segment] = []  # all that count, the open one last
        self.next_serial = 1
        self.page_bytes = 0  # handed to the kernel, counted by the pages that it must write

    @property
    def log_bytes(self) -> int:
        return sum(segment.used for segment in self.segments)

    def files(self) -> list[tuple[int, Path]]:
        found = self.directory.glob("*.seg")
        return sorted((int(path.stem), path) for path in found if path.stem.isdecimal())

    def spares(self) -> list[Path]:
        return sorted(self.directory.glob("spare-*.seg"))

    def append(
        self, identity: Identity, number: int, flags: int, payload: bytes, small: bool
    ) -> int:
        """Writes and syncs one batch; the bytes written. `small`: take little room."""
        need = aligned(_HEAD + len(payload))
        if self._file < 0 or not self._fits(need):
            self.leave()
            self._start(number, ALIGN + need, small)
        segment = self.segments[-1]
        data = batch_bytes(identity.store, segment.serial, number, flags, payload)
        offset = segment.used
        if offset == ALIGN:
            offset, data = 0, segment_header(identity, segment.serial, number) + data
        end = ahead = offset + len(data)
        if end > self._written and need <= AHEAD_BATCH_BYTES_MAX:
            ahead = max(end, min(end + AHEAD_BYTES, self._capacity))
            data = data.ljust(ahead - offset, b"\0")
        self._disk.write_all(self._file, data, offset)
        self._disk.fdatasync(self._file)
        segment.used = end
        self._written = max(self._written, ahead)
        self.page_bytes += (-(-ahead // 4096) - offset // 4096) * 4096
        return end - offset

    def leave(self) -> None:
        """The next batch starts a new segment."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)
            if self.segments[-1].used == ALIGN:
                with suppress(OSError):  # what is left of it does not count: see above
                    self._disk.unlink(str(self.segments.pop().path))

    def free(self, segment: Segment) -> None:
        """Gives up what a segment holds. One that was set aside (it has two names) is not reused."""
        spares = self.spares()
        status = segment.path.stat()
        fits = status.st_nlink == 1 and status.st_size == self._segment_bytes
        if fits and len(spares) < SPARES_MAX:
            self._disk.rename(
                str(segment.path), str(self.directory / f"spare-{segment.serial}.seg")
            )
        else:
            self._disk.unlink(str(segment.path))

    def _fits(self, need: int) -> bool:
        return self.segments[-1].used + need <= self._capacity

    def _start(self, first: int, need: int, small: bool) -> None:
        serial = self.next_serial
        self.next_serial += 1  # never used twice, whatever happens below
        path = self.directory / f"{serial:012}.seg"
        spares = self.spares()
        size = max(need, min(self._segment_bytes, 1 << 20) if small else self._segment_bytes)
        if spares and need <= self._segment_bytes:
            self._disk.rename(str(spares[0]), str(path))
            size = self._segment_bytes
        file = self._disk.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._disk.reserve(file, size)
            self._disk.sync_directory(str(self.directory))
            written = os.lseek(file, 0, os.SEEK_HOLE)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file, self._capacity, self._written = file, size, written
        self.segments.append(Segment(path, serial, first, ALIGN, []))
