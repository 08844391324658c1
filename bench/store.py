"""What the durable store costs: `python -m bench.store [directory]`.

Bytes handed to the disk a message, for the segment log and for SQLite as it is usually tuned, and the
messages a second through `commit` with a sync that takes 0, 5, 20, 50 ms, and one that stalls once
for 2 s. The slow sync is put in the place of the system call; nothing reaches the disk's own sync
then. The kernel's account is write_bytes of /proc/self/io: whole pages, so compare that. SQLite
checkpoints once, at the end, and keeps no more than the message: both flatter it.
"""

import dataclasses
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gateway.broker.records import Enqueued, Record, Row, Target
from gateway.shell.disk import Disk
from gateway.shell.durable import DurableStore, Settings

SIZES = (1, 10, 100, 500)
MESSAGES = 2_000
ROUNDS = 5  # a shared machine and its disk make single figures worthless
PAYLOAD = b"x" * 64
SETTINGS = Settings("bench", free_bytes_min=0)


def kernel_bytes() -> int:
    """Bytes for which this process made pages dirty."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def batch(first: int, count: int, run: int = 1) -> list[Record]:
    """Messages of which `run` at a time came together, from one publisher on one topic."""
    field, to = b"\0\7bench/a", [Target(1, 1)]
    return [
        Enqueued(mid, field, [PAYLOAD] * min(run, count), 1, False, "p", b"", None, to)
        for mid in range(first, first + count, run)
    ]


def log_bytes(directory: str, size: int) -> tuple[float, float]:
    """By pages, and by the kernel's account."""
    store = DurableStore(directory, SETTINGS)
    list(store.recover().batches)
    before, counted = store.vitals.log_written_bytes, kernel_bytes()
    for first in range(0, MESSAGES, size):
        store.commit(batch(first, size)).result()
    pages = store.vitals.log_written_bytes - before
    account = kernel_bytes() - counted
    store.close()
    return pages / MESSAGES, account / MESSAGES


def sqlite_bytes(directory: str, size: int, page: int) -> tuple[float, float]:
    """WAL and growth of the file, as given to write; the kernel's account."""
    path = Path(directory) / "queue.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA page_size = {page}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("CREATE TABLE m (mid INTEGER PRIMARY KEY, topic INTEGER, payload BLOB)")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    counted = kernel_bytes()
    for first in range(0, MESSAGES, size):
        database.execute("BEGIN")
        rows = [(first + n, 1, PAYLOAD) for n in range(size)]
        database.executemany("INSERT INTO m VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")
    written = path.with_name("queue.db-wal").stat().st_size
    before = path.stat().st_size
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    written += path.stat().st_size - before
    account = kernel_bytes() - counted
    database.close()
    return written / MESSAGES, account / MESSAGES


def rate(
    directory: str, size: int, sync_s: float | None, stall_s: float, lasting_s: float, run: int = 1
) -> float:
    """Messages a second; a sync of None is the disk's own."""
    stalls = [stall_s] if stall_s else []

    def slow(_: int) -> None:
        time.sleep((sync_s or 0.0) + (stalls.pop() if stalls else 0.0))

    disk = Disk() if sync_s is None else dataclasses.replace(Disk(), fdatasync=slow)
    store = DurableStore(directory, SETTINGS, disk)
    list(store.recover().batches)
    records = batch(1, size, run)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < lasting_s:
        store.commit(records).result()
        done += size
    seconds = time.perf_counter() - began
    store.close()
    return done / seconds


def spread(rates: list[float]) -> str:
    """The median, and the smallest and largest where there were several."""
    middle = f"{statistics.median(rates):,.0f}"
    return middle if len(rates) == 1 else f"{middle} ({min(rates):,.0f}-{max(rates):,.0f})"


def recovery_ms(directory: str) -> float:
    """100,000 queued messages, 10,000 sessions and as many subscriptions, never checkpointed."""
    store = DurableStore(directory, SETTINGS)
    list(store.recover().batches)
    for first in range(0, 100_000, 100):
        rows: list[Record] = [Row("session", str(first + n), b"s" * 60) for n in range(10)]
        rows += [Row("subscription", str(first + n), b"t" * 40) for n in range(10)]
        store.commit(rows + batch(first, 100)).result()
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        shutil.copytree(Path(directory) / "log", Path(scratch) / "log")
        shutil.copy(Path(directory) / "broker.db", scratch)
        began = time.perf_counter()
        again = DurableStore(scratch, SETTINGS)
        recovered = again.recover()
        messages = sum(len(r.payloads) for b in recovered.batches for r in b if type(r) is Enqueued)
        seconds = time.perf_counter() - began
        assert (messages, len(recovered.rows)) == (100_000, 20_000)
        again.close()
    store.close()
    return seconds * 1000


def main() -> None:
    root = sys.argv[1] if len(sys.argv) > 1 else "."

    def fresh() -> str:
        return tempfile.mkdtemp(dir=scratch)

    with tempfile.TemporaryDirectory(dir=root) as scratch:
        print(
            "bytes a message by the kernel's account (the log: by its own; SQLite: given to write)"
        )
        print("| messages a commit | segment log | SQLite 1024 | SQLite 4096 |\n|---|---|---|---|")
        for size in SIZES:
            found = [log_bytes(fresh(), size)]
            found += [sqlite_bytes(fresh(), size, page) for page in (1024, 4096)]
            print(f"| {size} | " + " | ".join(f"{b:,.0f} ({a:,.0f})" for a, b in found) + " |")
        print("\nmessages a second of 64 bytes")
        print("| sync | 1 | 10 | 100 | 500 | 5,000 a commit |\n|---|---|---|---|---|---|")
        cases = [("the disk's own", None, 0.0), ("0 ms", 0.0, 0.0), ("5 ms", 0.005, 0.0)]
        cases += [("20 ms", 0.02, 0.0), ("50 ms", 0.05, 0.0), ("5 ms, 2 s once", 0.005, 2.0)]
        for name, sync_s, stall_s in cases:
            lasting = 3.0 if stall_s else 0.5
            rounds = 1 if stall_s else ROUNDS
            cells = []
            for size in (*SIZES, 5_000):
                rates = [rate(fresh(), size, sync_s, stall_s, lasting) for _ in range(rounds)]
                cells.append(spread(rates))
            print(f"| {name} | " + " | ".join(cells) + " |")
        print()
        for run in (1, 10, 100):
            rates = [rate(fresh(), 5_000, None, 0.0, 2.0, run) for _ in range(ROUNDS)]
            print(f"5,000 a commit, {run} a record, the disk's own sync: {spread(rates)} /s")
        print(f"\nrecovery of 100,000 messages and 20,000 rows: {recovery_ms(fresh()):.0f} ms")


if __name__ == "__main__":
    main()
