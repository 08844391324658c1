"""A disk whose calls fail: what succeeded is kept, and the rest is told."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from gateway.broker.records import Enqueued, Record, Rewrite, Row
from gateway.shell.disk import Disk, FailureKind, StoreFailure
from tests.shell.durable import content, message, opened, read, segments, started

WRITES = [f.name for f in fields(Disk) if f.name not in ("statvfs", "link", "truncate")]


FAILURES = [(name, code) for name in WRITES for code in (errno.ENOSPC, errno.EIO, errno.EROFS)]


@pytest.mark.parametrize(("name", "code"), [*FAILURES, ("pwrite", 0), ("pwrite", -1)])
def test_after_any_call_fails_what_succeeded_is_kept(tmp_path: Path, name: str, code: int) -> None:
    """Each occurrence of the call fails in turn; 0 is a torn write, -1 a short one."""
    for turn in range(6):
        directory = tmp_path / str(turn)
        count = -1000

        def call(*arguments: object, turn: int = turn) -> object:
            nonlocal count
            count += 1
            if count == turn + 1:
                if code > 0:
                    raise OSError(code, os.strerror(code))
                file, data, offset = arguments
                taken = os.pwrite(file, data[: len(data) // 2], offset)  # type: ignore[arg-type,index]
                if code < 0:
                    return taken
                raise OSError(errno.EIO, "torn")
            return getattr(Disk(), name)(*arguments)

        store = started(directory, replace(Disk(), **{name: call}))
        count = 0
        kept = []
        for number in range(1, 8):
            mode = {5: Rewrite.BEGIN, 6: Rewrite.END}.get(number, Rewrite.NONE)
            records: list[Record] = (
                [message(n, 2000) for n in range(1, number)] if number == 5 else []
            )
            records += [message(number, 2000), Row("n", "last", bytes([number]))]
            for _ in range(3):
                try:
                    store.commit(records, mode).result()
                except StoreFailure as problem:
                    assert problem.remedy
                    assert read(directory)[0].get(("n", "last"), b"\0") in (
                        bytes([number - 1]),
                        bytes([number]),
                    )
                    continue
                break
            else:
                pytest.fail("one failure must not be for ever")
            kept.append(number)
            rows, found, _ = read(directory)
            assert {r.first for r in found if isinstance(r, Enqueued)} == set(kept)
            assert rows == {("n", "last"): bytes([number])}
        store.close()


@pytest.mark.parametrize("name", [f.name for f in fields(Disk) if f.name != "statvfs"])
def test_a_call_that_fails_at_the_start_costs_the_start_and_nothing_else(
    tmp_path: Path, name: str
) -> None:
    """Damage, a torn end and room to give back are all there, so that every call is made."""
    for number in (1, 2, 3):
        store = started(tmp_path / "store")
        store.commit([message(number)]).result()
        store.commit([message(number + 10)]).result()
        store.close()
    path = segments(tmp_path / "store")[0]
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    expected = [message(n) for n in (11, 2, 12, 3, 13)]
    for turn in range(8):
        directory = tmp_path / str(turn)
        shutil.copytree(tmp_path / "store", directory)
        left = turn

        def call(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(errno.EIO, "broken")
            return getattr(Disk(), name)(*arguments)

        store = opened(directory, replace(Disk(), **{name: call}))
        try:
            assert content(store.recover())[1] == expected
            store.close()
        except StoreFailure as problem:
            assert problem.kind is FailureKind.BROKEN
        assert read(directory)[1] == expected


def test_rows_that_cannot_be_written_hold_the_log_and_are_told(tmp_path: Path) -> None:
    store = started(tmp_path)
    other = sqlite3.connect(tmp_path / "broker.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.commit([Row("s", "a", b"1"), message(1, 3000)]).result()
    store.commit([message(1)], Rewrite.BEGIN).result()
    report = store.commit([], Rewrite.END).result()
    assert report.refusing.startswith("broker.db cannot be written")
    assert store.vitals.state is FailureKind.BROKEN and store.vitals.remedy
    assert len(segments(tmp_path)) == 2
    assert read(tmp_path)[0] == {("s", "a"): b"1"}
    other.execute("ROLLBACK")
    other.close()
    store.close()
    assert len(segments(tmp_path)) == 1
    assert read(tmp_path)[:2] == ({("s", "a"): b"1"}, [message(1)])


def test_a_batch_that_failed_and_was_replaced_does_not_come_back(tmp_path: Path) -> None:
    """The disk took it whole, and only the sync failed."""
    broken = False

    def sync(file: int) -> None:
        if broken:
            raise OSError(errno.EIO, "broken")
        os.fdatasync(file)

    store = started(tmp_path, replace(Disk(), fdatasync=sync))
    store.commit([message(1)]).result()
    broken = True
    with pytest.raises(StoreFailure):
        store.commit([message(2)]).result()
    assert read(tmp_path)[1] == [message(1), message(2)]
    broken = False
    store.commit([message(3)]).result()
    assert read(tmp_path)[1:] == ([message(1), message(3)], [])
    store.close()


MOUNTED = """
import sys
from gateway.broker.records import Done, Released
from gateway.shell.disk import FailureKind, StoreFailure
from gateway.shell.durable import DurableStore, Settings
import subprocess
from tests.shell.durable import message
place = sys.argv[2]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], check=True)
changed = Settings("gw", free_bytes_min=1 << 20, segment_bytes=1 << 18, ballast_bytes=1 << 19)
store = DurableStore(place, changed)
list(store.recover().batches)
good = []
def fill():
    for number in range(1, 500):
        report = store.commit([message(number, 32_000)]).result()
        good.append(number)
        if report.refusing and sys.argv[1] == "low":
            return report
if sys.argv[1] == "read-only":
    store.commit([message(1)]).result()
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    try:
        DurableStore(place, Settings("gw")).recover()
    except StoreFailure as problem:
        assert problem.kind is FailureKind.READ_ONLY, problem
        sys.exit(0)
    sys.exit("was not told")
if sys.argv[1] == "low":
    fill()
    assert store.vitals.state is FailureKind.FULL and store.vitals.remedy
    for number in range(20):
        store.commit([Done(1, [(number, number)])]).result()
else:
    try:
        fill()
        sys.exit("never full")
    except StoreFailure as problem:
        assert problem.kind is FailureKind.FULL, problem
store.close()
again = DurableStore(place, Settings("gw"))
found = [r.first for batch in again.recover().batches for r in batch if hasattr(r, "first")]
assert found[:len(good)] == good, (len(found), len(good))
"""


@pytest.mark.parametrize("case", ["read-only", "low", "full"])
def test_a_real_disk_that_is_full_or_read_only(tmp_path: Path, case: str) -> None:
    command = ["unshare", "-m", sys.executable, "-c", MOUNTED, case, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
