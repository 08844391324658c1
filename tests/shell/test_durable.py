"""The durable store: what its futures promised is there after any crash, failure or damage."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.records import Done, Enqueued, Record, Released, Rewrite, Row, Target, Wish
from gateway.shell.disk import Disk, FailureKind, StoreFailure
from gateway.shell.durable import DurableStore, Recovered, Settings
from gateway.shell.segments import AHEAD_BYTES, read_header, scan

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


def test_what_was_committed_is_there_after_a_crash_and_after_a_close(tmp_path: Path) -> None:
    store = started(tmp_path)
    store.commit([Row("s", "a", b"1"), message(1), Row("s", "b", b"2")]).result()
    store.commit([Row("s", "a", None), message(2)]).result()
    expected = ({("s", "b"): b"2"}, [message(1), message(2)], [])
    assert read(tmp_path) == expected
    store.close()
    assert read(tmp_path) == expected


def test_numbers_go_on_over_many_starts(tmp_path: Path) -> None:
    for number in range(5):
        store = started(tmp_path)
        store.commit([message(number), Row("n", "n", bytes([number]))]).result()
        store.close()
    assert read(tmp_path) == ({("n", "n"): b"\4"}, [message(n) for n in range(5)], [])


def test_a_batch_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    store = started(tmp_path)
    large = [message(1), message(2, 40_000), message(3)]
    for record in large:
        store.commit([record]).result()
    store.close()
    assert read(tmp_path)[1:] == (large, [])


def test_a_tail_torn_at_any_byte_is_a_normal_end(tmp_path: Path) -> None:
    store = started(tmp_path)
    store.commit([message(1)]).result()
    store.commit([message(2, 800)]).result()
    path = segments(tmp_path)[-1]
    whole = path.read_bytes()
    header = read_header(path)
    assert header is not None
    owner = header[2].store
    first, last = scan(path, 1, owner).batches
    for cut in range(first.end, last.offset + last.length):
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        torn = scan(path, 1, owner)
        assert (torn.batches, torn.damaged) == ([first], False), cut
        if cut % 61 == 0:
            assert read(tmp_path) == ({}, [message(1)], []), cut
    path.write_bytes(whole)
    assert read(tmp_path)[1] == [message(1), message(2, 800)]
    store.close()


@pytest.mark.parametrize("place", [600, 0, 8, 30, 1024, 1030, 1060])
def test_damage_inside_costs_one_batch_and_the_file_is_kept(tmp_path: Path, place: int) -> None:
    store = started(tmp_path)
    for number in range(1, 6):
        store.commit([message(number)]).result()
    store.close()
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
    _, records, notes = read(tmp_path)
    lost = [] if place < 512 else [place // 512]
    assert records == [message(n) for n in range(1, 6) if n not in lost]
    assert notes
    store = started(tmp_path)
    store.close()
    assert path.with_name(path.name + ".broken-1").read_bytes()[: len(data)] == data


def test_a_segment_that_lost_all_its_batches_is_kept_and_told(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        store = started(tmp_path)
        store.commit([message(number)]).result()
        store.close()
    middle = segments(tmp_path)[1]
    damaged = middle.read_bytes()[:520] + bytes(1000)
    middle.write_bytes(damaged)
    store = opened(tmp_path)
    recovered = store.recover()
    assert content(recovered)[1] == [message(1), message(3)]
    assert any("cannot be read" in note for note in recovered.notes)
    store.close()
    assert middle.with_name(middle.name + ".broken-1").read_bytes() == damaged


@pytest.mark.parametrize("junk", [b"no database at all" * 100, b""])
def test_rows_that_cannot_be_read_are_set_aside_and_the_log_is_used(
    tmp_path: Path, junk: bytes
) -> None:
    store = started(tmp_path)
    store.commit([Row("s", "a", b"1"), message(1)]).result()
    store.close()
    (tmp_path / "broker.db").write_bytes(junk)
    rows, records, notes = read(tmp_path)
    assert (rows, records) == ({("s", "a"): b"1"}, [message(1)])
    assert bool(notes) == bool(junk)


def test_files_of_another_box_are_set_aside(tmp_path: Path) -> None:
    store = started(tmp_path)
    store.commit([Row("s", "a", b"1"), message(1)]).result()
    store.close()
    other = opened(tmp_path, changed=replace(SETTINGS, gateway="other"))
    recovered = other.recover()
    assert content(recovered) == ({}, [])
    assert len(recovered.notes) == 2
    other.close()
    assert (tmp_path / "broker.db.foreign-1").exists()


def test_records_of_a_newer_version_are_passed_over_and_kept_aside(tmp_path: Path) -> None:
    import msgspec

    class Newer(msgspec.Struct, array_like=True, tag="newer"):
        text: str

    class Longer(msgspec.Struct, array_like=True, tag="released"):
        mid: int
        reason: str

    store = started(tmp_path)
    store.commit([message(1), Newer("?"), Longer(7, "new field")]).result()  # type: ignore[list-item]
    store.close()
    _, records, notes = read(tmp_path)
    assert records == [message(1), Released(7)]
    assert len(notes) == 1 and "1 records" in notes[0]


def test_a_row_of_a_kind_that_is_not_known_stays_as_it_is(tmp_path: Path) -> None:
    for crash in (True, False):
        store = started(tmp_path)
        if crash:
            store.commit([Row("newer", "key", b"value"), Row("session", "1", b"x")]).result()
            continue  # another start takes it from the log, and puts it into broker.db
        store.close()
    assert read(tmp_path)[0] == {("newer", "key"): b"value", ("session", "1"): b"x"}


def test_a_segment_of_a_newer_version_is_set_aside_untouched(tmp_path: Path) -> None:
    store = started(tmp_path)
    store.commit([message(1)]).result()
    store.close()
    (path,) = segments(tmp_path)
    old = path.read_bytes()
    head = old[:8] + (2).to_bytes(4, "little") + old[12:60]
    newer = head + zlib.crc32(head).to_bytes(4, "little") + bytes(range(256)) * 8
    path.write_bytes(newer)
    store = started(tmp_path)
    store.commit([message(2)]).result()
    store.close()
    assert path.with_name(f"{path.name}.newer-1").read_bytes() == newer
    assert read(tmp_path)[1] == [message(2)]


def living(directory: Path) -> set[int]:
    """Messages that no Done speaks of, by the rules of records.py."""
    alive: set[int] = set()
    for record in read(directory)[1]:
        if isinstance(record, Enqueued):
            alive.add(record.first)
        elif isinstance(record, Done):
            alive -= {m for a, b in record.ranges for m in range(a, b + 1)}
    return alive


def test_a_rewrite_frees_the_log_and_loses_nothing_at_any_call(tmp_path: Path) -> None:
    """The directory is read as a crash would leave it before every call that changes it."""
    directory = tmp_path / "store"
    watching = False
    crashes = 0

    def watched(call: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            nonlocal crashes, watching
            if watching:
                watching, crashes = False, crashes + 1
                assert living(directory) == {2, 4}
                watching = True
            return call(*arguments)

        return run

    names = ("open", "pwrite", "fdatasync", "rename", "unlink", "fsync")
    disk = replace(Disk(), **{name: watched(getattr(Disk(), name)) for name in names})
    store = started(directory, disk)
    for number in range(1, 5):
        store.commit([message(number, 3000)]).result()
    report = store.commit([Done(1, [(1, 1), (3, 3)])]).result()
    assert report.rewrite is Wish.IF_WORTH
    watching = True
    store.commit([message(2)], Rewrite.BEGIN).result()
    store.commit([message(4)], Rewrite.END).result()
    store.commit([Released(1)]).result()
    watching = False
    assert crashes > 10
    assert store.vitals.log_bytes < report.log_bytes
    assert read(directory)[1] == [message(2), message(4), Released(1)]
    store.close()


def test_where_writing_again_did_not_end_it_is_not_begun_at_once_after_the_next_start(
    tmp_path: Path,
) -> None:
    patient = replace(SETTINGS, rewrite_after_s=0.3, segment_bytes=1 << 20)
    store = opened(tmp_path, changed=patient)
    content(store.recover())
    assert store.commit([message(1, 40_000)]).result().rewrite is Wish.NOW
    store.commit([message(1, 40_000)], Rewrite.BEGIN).result()
    store.close()
    store = opened(tmp_path, changed=patient)
    began = time.monotonic()
    content(store.recover())
    while store.commit([message(2)]).result().rewrite is Wish.NONE:
        assert time.monotonic() < began + 10
    assert time.monotonic() >= began + 0.3
    store.commit([message(1, 40_000)], Rewrite.WHOLE).result()
    store.close()
    store = opened(tmp_path, changed=patient)
    content(store.recover())
    assert store.commit([message(3, 60_000)]).result().rewrite is not Wish.NONE
    store.close()


def test_behind_small_batches_zeros_are_written_once_and_overwritten(tmp_path: Path) -> None:
    sizes: list[int] = []
    places: list[int] = []

    def pwrite(file: int, data: bytes, offset: int) -> int:
        sizes.append(len(data))
        places.append(offset)
        return os.pwrite(file, data, offset)

    large = replace(SETTINGS, segment_bytes=1 << 20, rewrite_bytes_min=1 << 30)
    store = opened(tmp_path, replace(Disk(), pwrite=pwrite), large)
    content(store.recover())
    store.commit([message(1)]).result()
    assert sizes == [1024 + AHEAD_BYTES]  # the head of the file is written with the first batch
    for number in range(2, AHEAD_BYTES // 512 + 2):
        store.commit([message(number)]).result()
    assert set(sizes[1:]) == {512}
    assert places[1:] == list(range(1024, 1024 + AHEAD_BYTES, 512))
    store.commit([message(1)]).result()
    assert sizes.pop() == 512 + AHEAD_BYTES
    store.commit([message(1, 3 * AHEAD_BYTES // 2)]).result()
    assert sizes.pop() < 3 * AHEAD_BYTES // 2 + 1024  # zeros would cost more than they save
    assert segments(tmp_path)[0].stat().st_size == 1 << 20
    while len(segments(tmp_path)) == 1:
        store.commit([message(1, 8192)]).result()
    assert segments(tmp_path)[0].stat().st_size == 1 << 20  # nothing is written behind its end
    assert store.vitals.log_written_bytes >= sum(sizes)
    store.close()
    assert read(tmp_path)[2] == []


def test_a_segment_that_was_used_before_is_overwritten_without_zeros(tmp_path: Path) -> None:
    sizes: list[int] = []

    def pwrite(file: int, data: bytes, offset: int) -> int:
        sizes.append(len(data))
        return os.pwrite(file, data, offset)

    changed = replace(SETTINGS, segment_bytes=1 << 16, rewrite_bytes_min=1 << 30)
    store = opened(tmp_path, replace(Disk(), pwrite=pwrite), changed)
    content(store.recover())
    store.commit([message(1, 50_000)]).result()
    store.commit([message(2)], Rewrite.WHOLE).result()
    assert list((tmp_path / "log").glob("spare-*"))
    while len(segments(tmp_path)) == 1:
        store.commit([message(3)]).result()
    assert not list((tmp_path / "log").glob("spare-*"))
    sizes.clear()
    for number in range(4, 50):
        store.commit([message(number)]).result()
    assert set(sizes) == {512}
    store.close()


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


def test_a_row_that_is_in_broker_db_is_not_overwritten_by_an_older_one(tmp_path: Path) -> None:
    """The log has lost the batch with the newer one."""
    store = started(tmp_path)
    for value in (b"old", b"new"):
        store.commit([Row("s", "a", value)]).result()
    store.commit([message(1)]).result()
    store.close()
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[1060] ^= 1
    path.write_bytes(data)
    rows, records, notes = read(tmp_path)
    assert (rows, records, len(notes) > 0) == ({("s", "a"): b"new"}, [message(1)], True)


def test_segments_that_a_crash_kept_from_being_freed_are_freed_at_the_next_start(
    tmp_path: Path,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    store = started(tmp_path, replace(Disk(), rename=fail, unlink=fail))
    store.commit([message(1)]).result()
    store.commit([message(1)], Rewrite.WHOLE).result()
    assert len(segments(tmp_path)) == 2
    store.close()
    store = started(tmp_path)
    assert len(segments(tmp_path)) == 1
    store.close()


MOUNTED = """
import sys
from gateway.broker.records import Done, Released
from gateway.shell.disk import FailureKind, StoreFailure
from gateway.shell.durable import DurableStore, Settings
import subprocess
from tests.shell.test_durable import message
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


Step = tuple[str, int | None, bytes | None]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.integers(0, 3), st.one_of(st.none(), st.binary(max_size=9))),
        st.tuples(st.just("message"), st.integers(1, 3000), st.none()),
        st.tuples(st.sampled_from(["crash", "close", "rewrite"]), st.none(), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_any_history_is_recovered_as_a_model_has_it(
    steps: list[Step],
) -> None:
    rows: dict[tuple[str, str], bytes] = {}
    messages: dict[int, Enqueued] = {}
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "0"
        store = started(directory)
        for number, (step, one, value) in enumerate(steps, 1):
            if step == "rows":
                store.commit([Row("k", str(one), value)]).result()
                rows[("k", str(one))] = value or b""
                if value is None:
                    del rows[("k", str(one))]
            elif step == "message":
                messages[number] = message(number, one or 1)
                store.commit([messages[number]]).result()
            elif step == "rewrite":
                store.commit([], Rewrite.BEGIN).result()
                for record in messages.values():
                    store.commit([record]).result()
                store.commit([], Rewrite.END).result()
            else:
                copy = Path(scratch) / str(number)
                if step == "close":
                    store.close()
                shutil.copytree(directory, copy)
                if step == "crash":
                    store.close()
                directory = copy
                store = started(directory)
            found_rows, found, notes = read(directory)
            assert found_rows == rows
            assert {r.first: r for r in found if isinstance(r, Enqueued)} == messages
            assert notes == []
        store.close()


@pytest.mark.parametrize("copy_broken", [False, True])
def test_rows_whose_log_is_gone_survive_a_broken_file(tmp_path: Path, copy_broken: bool) -> None:
    store = started(tmp_path)
    store.commit([Row("s", "a", b"old"), Row("s", "b", b"1"), Row("s", "c", b"1")]).result()
    store.commit([], Rewrite.BEGIN).result()
    store.commit([], Rewrite.END).result()
    store.commit([Row("s", "a", b"new"), Row("s", "c", None)]).result()
    store.close()
    (tmp_path / "broker.db").write_bytes(b"no database at all" * 1000)
    if copy_broken:
        (tmp_path / "broker.db.copy").write_bytes(b"neither")
    again = opened(tmp_path)
    recovered = again.recover()
    rows, _ = content(recovered)
    expected = {("s", "a"): b"new", ("s", "b"): b"1"}
    assert rows == ({("s", "a"): b"new"} if copy_broken else expected)
    assert any("set aside as broker.db.broken-1" in note for note in recovered.notes)
    assert any("broker.db.copy" in note for note in recovered.notes) == copy_broken
    again.commit([Row("s", "d", b"1")]).result()
    again.close()
