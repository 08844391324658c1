"""How much room the disk has, and the ballast that is given up when it has none.

Less than `free_bytes_min` means that no new message is taken. Asking costs as much as a small commit's
own work, so that it is done once a second while there is plenty. Must not know what is written.
"""

import os
import time
from pathlib import Path

from gateway.shell.disk import Disk, FailureKind, StoreFailure

LOOK_S = 1.0  # others may fill the disk meanwhile: then a write fails, and is told as that
NEAR_BYTES = 33_554_432  # above the least: from here on each commit looks


class Room:
    """The file system of one directory. `free_bytes` and `disk_bytes` are as `look` found them."""

    def __init__(
        self, directory: Path, disk: Disk, free_bytes_min: int, ballast_bytes: int
    ) -> None:
        self.free_bytes = 0
        self.disk_bytes = 0
        self._directory = directory
        self._disk = disk
        self._free_bytes_min = free_bytes_min
        self._ballast_bytes = ballast_bytes
        self._ballast = directory / "ballast"
        self._problem: StoreFailure | None = None
        self._looked = 0.0

    def is_to_be_looked_at(self) -> bool:
        """Whether `look` may find something else than before."""
        near = self.free_bytes < self._free_bytes_min + NEAR_BYTES
        return near or time.monotonic() - self._looked >= LOOK_S

    def look(self) -> StoreFailure | None:
        """What is wrong with the room, in words. With enough of it the ballast is made again."""
        self._looked = time.monotonic()
        try:
            found = self._disk.statvfs(str(self._directory))
        except OSError:  # the next write will tell
            return self._problem
        self.free_bytes = found.f_bavail * found.f_frsize
        self.disk_bytes = found.f_blocks * found.f_frsize
        least, self._problem = self._free_bytes_min, None
        if self.free_bytes < least:
            text = f"less than {least >> 20} MB are free (storage.free_bytes_min)"
            self._problem = StoreFailure(FailureKind.FULL, text)
        elif self.free_bytes > least + 2 * self._ballast_bytes:
            self.make_ballast()
        return self._problem

    def make_ballast(self) -> None:
        """Takes the room, if it does not have it."""
        if not self._ballast_bytes or self._ballast.exists():
            return
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            file = self._disk.open(str(self._ballast), flags, 0o600)
            try:
                self._disk.reserve(file, self._ballast_bytes)
            finally:
                os.close(file)
        except OSError:
            self.drop_ballast()

    def drop_ballast(self) -> bool:
        """Gives the room up; whether there was any."""
        try:
            self._disk.unlink(str(self._ballast))
        except OSError:
            return False
        return True
