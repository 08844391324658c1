"""Copies of other gateways' stores on a real disk: what was said to be kept is there, to be read."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.broker.records import Done, Record, Rewrite, Row
from gateway.copy_place import CopyPlace
from gateway.effects import DropCopies
from gateway.shell.copies import LOST_MAX, CopyShelf
from gateway.shell.copy_keeper import CopyKeeper
from gateway.shell.disk import Disk, StoreFailure
from tests.shell.durable import SETTINGS, message

BEGUN = CopyPlace("copy-1", "store-1", "run-1", 7, 0, False)
WHOLE = BEGUN.but(slices=1, whole=True)


def at(number: int, place: CopyPlace = WHOLE) -> CopyPlace:
    return place.but(number=number)


def packed(*records: Record) -> bytes:
    return msgspec.msgpack.encode(list(records))


def shelf(directory: Path, disk: Disk | None = None) -> CopyShelf:
    return CopyShelf(directory / "gw2", SETTINGS, disk or Disk())


def begun(directory: Path, disk: Disk | None = None) -> CopyShelf:
    """With a copy that is whole: a row and a message."""
    found = shelf(directory, disk)
    assert found.find() == []
    found.begin(BEGUN, False)
    found.write(WHOLE, packed(Row("s", "a", b"1"), message(1)), Rewrite.NONE)
    return found


def contents(found: CopyShelf, but: str = "") -> tuple[dict[tuple[str, str], bytes], list[Record]]:
    read = found.read(but)
    assert read is not None
    return read[0], [record for batch in read[1] for record in batch]


def after_a_crash(directory: Path, scratch: Path) -> CopyShelf:
    """As a start after a power cut finds it."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(directory, scratch)
    return shelf(scratch)


def test_a_copy_is_where_it_was_said_to_be_after_a_crash(tmp_path: Path) -> None:
    found = begun(tmp_path / "now")
    for number in range(8, 40):
        told = found.write(at(number), packed(message(number), Row("s", "b", b"2")), Rewrite.NONE)
        assert told == (told[0], "")
        again = after_a_crash(tmp_path / "now", tmp_path / "then")
        assert again.find() == [at(number)]
        again.close()
    rows, records = contents(found)
    assert rows == {("s", "a"): b"1", ("s", "b"): b"2"}
    assert records == [message(1), *(message(number) for number in range(8, 40))]
    found.close()


def test_a_copy_is_read_while_it_is_written_and_written_again(tmp_path: Path) -> None:
    found = begun(tmp_path)
    for number in range(8, 60):
        found.write(at(number), packed(message(number)), Rewrite.NONE)
    copy = found._copies[0]
    recovered = copy.store.read().result()
    first = next(recovered.batches)
    found.write(at(60), packed(*(message(n) for n in range(20, 60))), Rewrite.BEGIN)
    found.write(at(61), packed(message(61)), Rewrite.END)
    for number in range(62, 100):
        found.write(at(number), packed(message(number)), Rewrite.NONE)
    records = [record for batch in (first, *recovered.batches) for record in batch]
    assert records == [message(1), *(message(number) for number in range(8, 60))]
    assert not list((copy.path / "log" / "reading").iterdir()), "the second names are gone"
    assert contents(found)[1][:3] == [message(20), message(21), message(22)], "the rest was freed"
    found.close()


def test_the_old_copy_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    found = begun(tmp_path / "now")
    new = CopyPlace("copy-2", "store-1", "run-1", 20, 0, False)
    found.begin(new, False)
    found.write(new.but(slices=1), packed(message(5)), Rewrite.NONE)
    assert found.find() == [new.but(slices=1), WHOLE]
    again = after_a_crash(tmp_path / "now", tmp_path / "then")
    assert again.find() == [new.but(slices=1), WHOLE]
    assert contents(again)[1] == [message(1)]
    again.close()
    found.write(new.but(slices=2, whole=True), packed(message(6)), Rewrite.NONE)
    again = after_a_crash(tmp_path / "now", tmp_path / "then")
    assert again.find() == [new.but(slices=2, whole=True)]
    assert contents(again)[1] == [message(5), message(6)]
    again.close()
    assert contents(found)[1] == [message(5), message(6)]
    found.close()


def test_a_half_made_copy_goes_when_another_one_is_begun(tmp_path: Path) -> None:
    found = begun(tmp_path)
    for name in ("copy-2", "copy-3"):
        found.begin(BEGUN.but(copy=name), False)
    assert sorted(path.name for path in (tmp_path / "gw2").iterdir()) == ["1", "3"]
    found.close()


def test_what_its_owner_lost_is_kept_beside_and_bounded(tmp_path: Path) -> None:
    found = begun(tmp_path)
    for number in range(2, LOST_MAX + 2):
        place = WHOLE.but(copy=f"copy-{number}", store=f"store-{number}")
        found.begin(place.but(whole=False), True)
        found.write(place, packed(message(number)), Rewrite.NONE)
    assert contents(found)[1] == [message(LOST_MAX + 1)], "the newest"
    here = f"store-{LOST_MAX + 1}"
    assert contents(found, but=here)[1] == [message(LOST_MAX)], "what was lost last"
    with pytest.raises(StoreFailure, match="their owners lost"):
        found.begin(BEGUN.but(copy="copy-9"), True)
    assert [place.store for place in found.find()] == [f"store-{LOST_MAX + 1}"]
    assert found.drop(f"store-{LOST_MAX + 1}"), "those that are lost stay"
    assert contents(found)[1] == [message(LOST_MAX)]
    found.close()


def test_a_copy_of_another_store_is_not_dropped(tmp_path: Path) -> None:
    found = begun(tmp_path)
    assert found.drop("another")
    assert found.find() == [WHOLE]
    assert not found.drop("store-1")
    assert found.find() == [] and found.read("") is None
    found.close()


def test_after_a_write_that_failed_nothing_more_is_taken_until_it_was_looked(
    tmp_path: Path,
) -> None:
    failing = False

    def fdatasync(file: int) -> None:
        if failing:
            raise OSError(errno.EIO, "broken")
        os.fdatasync(file)

    found = begun(tmp_path, replace(Disk(), fdatasync=fdatasync))
    failing = True
    with pytest.raises(StoreFailure):
        found.write(at(8), packed(message(8)), Rewrite.NONE)
    failing = False
    with pytest.raises(StoreFailure, match="earlier part"):
        found.write(at(9), packed(message(9)), Rewrite.NONE)
    assert found.find() == [WHOLE], "nothing behind the gap"
    found.write(at(8), packed(message(8)), Rewrite.NONE)
    assert contents(found)[1] == [message(1), message(8)]
    found.close()


def test_a_damaged_copy_is_set_aside_and_does_not_count(tmp_path: Path) -> None:
    found = begun(tmp_path)
    for number in range(8, 12):
        found.write(at(number), packed(message(number)), Rewrite.NONE)
    found.close()
    (segment, *_) = sorted((tmp_path / "gw2" / "1" / "log").glob("0*.seg"))
    data = bytearray(segment.read_bytes())
    data[1600] ^= 255
    segment.write_bytes(data)
    found = shelf(tmp_path)
    assert found.find() == []
    assert [path.name for path in (tmp_path / "gw2").iterdir()] == ["lost-1"]
    found.close()


def test_records_of_a_later_version_are_kept_as_they_are(tmp_path: Path) -> None:
    found = begun(tmp_path)
    strange = ["later", 1, 2]
    payload = msgspec.msgpack.encode([strange, message(8), Row("s", "c", b"3")])
    found.write(at(8), payload, Rewrite.NONE)
    rows, records = contents(found)
    assert rows["s", "c"] == b"3" and records == [message(1), message(8)]
    log = b"".join(p.read_bytes() for p in (tmp_path / "gw2" / "1" / "log").glob("0*.seg"))
    assert msgspec.msgpack.encode(strange) in log
    with pytest.raises(msgspec.DecodeError):
        found.write(at(9), b"\xc1", Rewrite.NONE)
    found.find()
    found.write(at(9), packed(Done(1, [(8, 8)])), Rewrite.NONE)
    found.close()


def test_what_is_asked_after_the_end_is_not_done(tmp_path: Path) -> None:
    keeper = CopyKeeper(str(tmp_path), SETTINGS, Disk())
    keeper.do(DropCopies("gw2", "store-1"))
    keeper.close()
    keeper.do(DropCopies("gw2", "store-1"))
    assert keeper.written_bytes() == 0
