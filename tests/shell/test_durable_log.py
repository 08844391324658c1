"""The log is written again when much of it is over, and its files are used again."""

import errno
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gateway.broker.records import Done, Enqueued, Released, Rewrite, Wish
from gateway.shell.disk import Disk
from gateway.shell.segments import AHEAD_BYTES
from tests.shell.durable import SETTINGS, content, message, opened, read, segments, started


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
