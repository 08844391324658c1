"""The system calls under the durable store, and what their failures mean to an operator.

The calls are fields, so that a test can let one fail and `bench/store.py` can make sync slower.
Must not know the format of any file.
"""

import errno
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class FailureKind(Enum):
    FULL = "full"
    READ_ONLY = "read-only"
    BROKEN = "failing"


REMEDIES = {
    FailureKind.FULL: "make room on the disk of gateway.state_dir",
    FailureKind.READ_ONLY: "mount the disk of gateway.state_dir writable; a card that turned"
    " read-only is worn out: replace it",
    FailureKind.BROKEN: "see `dmesg` for errors of the disk, and replace the card if it has any",
}

_KIND_BY_ERRNO = {
    errno.ENOSPC: FailureKind.FULL,
    errno.EDQUOT: FailureKind.FULL,
    errno.EROFS: FailureKind.READ_ONLY,
    errno.EACCES: FailureKind.READ_ONLY,
    errno.EPERM: FailureKind.READ_ONLY,
}
_KIND_BY_SQLITE = {
    sqlite3.SQLITE_FULL: FailureKind.FULL,
    sqlite3.SQLITE_READONLY: FailureKind.READ_ONLY,
    sqlite3.SQLITE_PERM: FailureKind.READ_ONLY,
}


class StoreFailure(Exception):
    """Nothing of the batch counts as kept; the same records may be committed again later."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(f"{text}; {REMEDIES[kind]}")
        self.kind = kind
        self.text = text
        self.remedy = REMEDIES[kind]


def failure(error: OSError | sqlite3.Error) -> StoreFailure:
    """What a failed call means."""
    if isinstance(error, OSError):
        kind = _KIND_BY_ERRNO.get(error.errno or 0, FailureKind.BROKEN)
        return StoreFailure(kind, f"the disk refused a write: {error.strerror or error}")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return StoreFailure(
        _KIND_BY_SQLITE.get(code, FailureKind.BROKEN), f"broker.db cannot be written: {error}"
    )


@dataclass(frozen=True, slots=True)
class Disk:
    """Every call that changes something. All raise OSError."""

    open: Callable[[str, int, int], int] = os.open
    fallocate: Callable[[int, int, int], None] = os.posix_fallocate
    pwrite: Callable[[int, bytes, int], int] = os.pwrite
    fdatasync: Callable[[int], None] = os.fdatasync
    fsync: Callable[[int], None] = os.fsync
    truncate: Callable[[int, int], None] = os.ftruncate
    rename: Callable[[str, str], None] = os.rename
    unlink: Callable[[str], None] = os.unlink
    link: Callable[[str, str], None] = os.link
    statvfs: Callable[[str], os.statvfs_result] = os.statvfs

    def write_all(self, file: int, data: bytes, offset: int) -> None:
        """Goes on after a short write; one that takes nothing is an error."""
        while data:
            taken = self.pwrite(file, data, offset)
            if taken <= 0:
                raise OSError(errno.EIO, "the disk takes no bytes")
            data, offset = data[taken:], offset + taken

    def reserve(self, file: int, size: int) -> None:
        """Room for `size` bytes, where the file system can promise it."""
        try:
            self.fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise

    def sync_directory(self, directory: str) -> None:
        """Makes new names and renames survive a power cut."""
        file = self.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, 0)
        try:
            self.fsync(file)
        finally:
            os.close(file)
