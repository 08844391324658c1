"""The file that a gateway keeps about itself, with the real SQLite (gateway/shell/store.py)."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from gateway.effects import ForgetMember, SaveMember, SaveMeshTime, SaveRow, SaveStandIn
from gateway.ids import Stamp
from gateway.mesh.frames import Member
from gateway.shell.store import FILE_NAME, Kept, Store, StoreError
from gateway.table import Row

GATEWAY = "00112233445566aa"


def begin(directory: Path, gateway: str = GATEWAY) -> tuple[Kept, list[str]]:
    """One start of a gateway; what it found, and what it had to say."""
    store = Store(str(directory), gateway)
    store.close()
    return store.kept, store.notes


def test_a_new_directory_gets_a_store_of_its_own(tmp_path: Path) -> None:
    kept, notes = begin(tmp_path / "deep" / "state")
    other, _ = begin(tmp_path / "other")
    assert kept == Kept(kept.store, 1, 0, ())
    assert notes == []
    assert len(kept.store) == 32 and kept.store != other.store
    mode = (tmp_path / "deep" / "state" / FILE_NAME).stat().st_mode
    assert mode & 0o077 == 0


def test_each_start_counts_and_keeps_the_store(tmp_path: Path) -> None:
    starts = [begin(tmp_path)[0] for _ in range(3)]
    assert [kept.boot for kept in starts] == [1, 2, 3]
    assert len({kept.store for kept in starts}) == 1


def test_what_was_saved_is_found_at_the_next_start(tmp_path: Path) -> None:
    store = Store(str(tmp_path), GATEWAY)
    store.save(SaveMeshTime(60_000))
    store.save(SaveMember("b", "gw2", "192.0.2.2", 7883))
    store.save(SaveMember("a", "gw3", "192.0.2.3", 7883))
    store.save(SaveMember("b", "gw2", "192.0.2.9", 7884))
    store.save(SaveStandIn("a"))
    store.save(SaveStandIn("b"))
    store.save(SaveMeshTime(120_000)).result(10)
    store.close()
    kept, _ = begin(tmp_path)
    assert kept.mesh_time_ms == 120_000
    assert kept.stand_in == "b"
    assert kept.members == (
        Member("a", "gw3", "192.0.2.3", 7883),
        Member("b", "gw2", "192.0.2.9", 7884),
    )


def test_what_the_mesh_keeps_of_gateways_that_are_gone_is_found_at_the_next_start(
    tmp_path: Path,
) -> None:
    at = Stamp(7, 1, "a")
    store = Store(str(tmp_path), GATEWAY)
    store.save(SaveMember("a", "gw2", "192.0.2.2", 7883, "store-a", 1200.5))
    store.save(SaveMember("b", "gw3", "192.0.2.3", 7883, "store-b"))
    store.save(SaveMember("c", "gw4", "192.0.2.4", 7883, "store-c", 600.0))
    store.save(ForgetMember("c"))
    store.save(SaveRow("forgotten", "store-c", Row(at, at, b"c")))
    store.save(SaveRow("forgotten", "gateway/d", Row(at, at, b"d")))
    store.save(SaveRow("forgotten", "gateway/d", Row(at, at, None))).result(10)
    store.close()
    kept, notes = begin(tmp_path)
    assert notes == []
    assert [(member.gateway, member.store) for member in kept.members] == [
        ("a", "store-a"),
        ("b", "store-b"),
    ]
    assert kept.dead_s == {"a": 1200.5}
    assert kept.rows == (
        ("forgotten", "gateway/d", Row(at, at, None)),
        ("forgotten", "store-c", Row(at, at, b"c")),
    )


def test_members_that_an_earlier_version_kept_are_found(tmp_path: Path) -> None:
    begin(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("INSERT INTO member VALUES ('a', 'gw2', '192.0.2.2', 7883)")
        database.execute("INSERT INTO mesh_row VALUES ('forgotten', 'x', x'ff')")
    database.close()
    kept, (note,) = begin(tmp_path)
    assert kept.members == (Member("a", "gw2", "192.0.2.2", 7883),)
    assert kept.rows == () and "the row x of forgotten cannot be read" in note


def test_what_was_saved_survives_without_a_close(tmp_path: Path) -> None:
    store = Store(str(tmp_path), GATEWAY)
    store.save(SaveMeshTime(60_000)).result(10)
    copy = tmp_path / "as after a cut of power"
    copy.mkdir()
    for file in tmp_path.glob(f"{FILE_NAME}*"):
        shutil.copy(file, copy)
    store.close()
    kept, notes = begin(copy)
    assert (kept.boot, kept.mesh_time_ms, notes) == (2, 60_000, [])


@pytest.mark.parametrize("how", ["no database", "a torn page", "cut short", "a bad number"])
def test_a_broken_file_is_set_aside_and_not_deleted(tmp_path: Path, how: str) -> None:
    before, _ = begin(tmp_path)
    file = tmp_path / FILE_NAME
    match how:
        case "no database":
            file.write_bytes(b"not a database at all" * 1_000)
        case "a torn page":
            data = bytearray(file.read_bytes())
            data[4_096:] = os.urandom(len(data) - 4_096)
            file.write_bytes(data)
        case "cut short":
            file.write_bytes(file.read_bytes()[:5_000])
        case "a bad number":
            with sqlite3.connect(file) as database:
                database.execute("UPDATE about SET value = 'many' WHERE key = 'boot'")
            database.close()
    broken = file.read_bytes()
    kept, notes = begin(tmp_path)
    assert (kept.boot, kept.members) == (1, ())
    assert kept.store != before.store
    (note,) = notes
    assert f"{FILE_NAME}.broken-1" in note
    aside = (tmp_path / f"{FILE_NAME}.broken-1").read_bytes()
    assert len(aside) == len(broken) and aside[4_096:] == broken[4_096:]
    assert begin(tmp_path)[0].store == kept.store


def test_each_broken_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / FILE_NAME).write_bytes(b"broken %d " % number * 500)
        begin(tmp_path)
    names = sorted(path.name for path in tmp_path.glob(f"{FILE_NAME}.broken-?"))
    assert names == [f"{FILE_NAME}.broken-1", f"{FILE_NAME}.broken-2"]
    assert b"broken 2" in (tmp_path / names[1]).read_bytes()


def test_a_card_copied_to_another_box_begins_anew(tmp_path: Path) -> None:
    before, _ = begin(tmp_path)
    kept, notes = begin(tmp_path, "another box's id")
    assert kept.boot == 1 and kept.store != before.store
    assert "made on another box" in notes[0]
    with sqlite3.connect(tmp_path / f"{FILE_NAME}.foreign-1") as database:
        assert ("gateway", GATEWAY) in database.execute("SELECT key, value FROM about").fetchall()
    database.close()


def test_a_directory_serves_one_gateway_at_a_time(tmp_path: Path) -> None:
    first = Store(str(tmp_path), GATEWAY)
    with pytest.raises(StoreError, match="another gatewayd uses"):
        Store(str(tmp_path), GATEWAY)
    first.close()
    assert begin(tmp_path)[0].boot == 2


def test_a_directory_that_cannot_be_had_is_said_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"gateway\.state_dir"):
        Store(str(tmp_path / "file" / "state"), GATEWAY)


def test_a_disk_that_cannot_be_written_does_not_cost_the_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = begin(tmp_path)
    put = Store._put

    def full(database: sqlite3.Connection, key: str, value: str) -> None:
        database.execute("PRAGMA max_page_count = 1")
        put(database, key, value * 100_000)

    monkeypatch.setattr(Store, "_put", staticmethod(full))
    with pytest.raises(StoreError, match="disk is full"):
        Store(str(tmp_path), GATEWAY)
    monkeypatch.undo()
    kept, notes = begin(tmp_path)
    assert kept.store == before.store
    assert notes == []


def test_a_file_that_cannot_be_opened_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreError, match="cannot be"):
        Store(str(tmp_path), GATEWAY)
    assert (tmp_path / FILE_NAME).is_dir()
