"""Gateways that are special: one whose clock can be set, and one with a disk that can be filled."""

import os
import shutil
from pathlib import Path

from tests.chaos.lan import run
from tests.gateways import Gateway

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
SMALL_DISK = "256m"
FREE_BYTES_LEFT = 16_000_000  # of a disk that is filled: less than a gateway goes on with


class Dated(Gateway):
    """A gateway that believes in a time of day, which `set_clock` changes while it runs."""

    def set_clock(self, when: str) -> None:
        """From here on it is this time."""
        self.directory.joinpath("clock").write_text(f"@{when}\n")

    def command(self) -> list[str]:
        clock = self.directory / "clock"
        if not clock.exists():
            clock.write_text("+0\n")
        return [
            "env",
            f"LD_PRELOAD={LIBRARY}",
            f"FAKETIME_TIMESTAMP_FILE={clock}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "FAKETIME_FORCE_MONOTONIC_FIX=0",  # else threads of Python wait for each other for ever
            "TZ=UTC",
            *super().command(),
        ]


class Small(Gateway):
    """A gateway whose state is on a small disk, a tmpfs, which `fill` and `empty` may be called for."""

    def command(self) -> list[str]:
        self.state_dir.mkdir(exist_ok=True)
        if not os.path.ismount(self.state_dir):
            options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK}", "none"]
            run("mount", *options, str(self.state_dir))
        return super().command()

    def close(self) -> None:
        super().close()
        if os.path.ismount(self.state_dir):
            run("umount", str(self.state_dir))

    def fill(self) -> None:
        """Something else takes nearly all of the disk."""
        free = shutil.disk_usage(self.state_dir).free
        with self._other.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - FREE_BYTES_LEFT))

    def empty(self) -> None:
        """That is deleted."""
        self._other.unlink()

    @property
    def _other(self) -> Path:
        return self.state_dir / "other"


def wipe(gateway: Gateway) -> None:
    """Its disk is destroyed, and a new one put in. It must not run."""
    for each in gateway.state_dir.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
