"""Files of a store that are damaged, foreign or newer: what can be read is, nothing is overwritten."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.broker.records import Released, Rewrite, Row
from tests.shell.durable import SETTINGS, content, message, opened, read, segments, started


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
