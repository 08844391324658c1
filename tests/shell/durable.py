"""A durable store in a directory, and what a start after a crash finds there: what its tests share."""

import shutil
import tempfile
from pathlib import Path

from gateway.broker.records import Enqueued, Record, Target
from gateway.shell.disk import Disk
from gateway.shell.durable import DurableStore, Recovered, Settings

SETTINGS = Settings(
    "gw",
    free_bytes_min=0,
    segment_bytes=8192,
    rewrite_bytes_min=4096,
    rewrite_after_s=0.0,
    ballast_bytes=4096,
)


def message(number: int, size: int = 64) -> Enqueued:
    payload = number.to_bytes(4, "big") * (size // 4)
    return Enqueued(number, b"a/b", [payload], 1, False, "p", b"", None, [Target(1, 1)])


def opened(directory: Path, disk: Disk | None = None, changed: Settings = SETTINGS) -> DurableStore:
    return DurableStore(str(directory), changed, disk)


def content(recovered: Recovered) -> tuple[dict[tuple[str, str], bytes], list[Record]]:
    return recovered.rows, [record for batch in recovered.batches for record in batch]


def read(directory: Path) -> tuple[dict[tuple[str, str], bytes], list[Record], list[str]]:
    """What a start after a power cut finds, read from a copy of the directory."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(directory, copy)
        store = opened(copy)
        recovered = store.recover()
        rows, records = content(recovered)
        store.close()
        return rows, records, recovered.notes


def started(directory: Path, disk: Disk | None = None) -> DurableStore:
    store = opened(directory, disk)
    content(store.recover())
    return store


def segments(directory: Path) -> list[Path]:
    return sorted(p for p in (directory / "log").glob("*.seg") if p.stem.isdecimal())
