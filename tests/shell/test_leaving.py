"""A state directory that is left behind: nothing is deleted, and it is done again after a crash."""

from pathlib import Path

import pytest

from gateway.shell.leaving import WISH, leave, wish
from gateway.shell.store import LOCK_NAME, Store

GATEWAY = "00112233445566aa"
STAYS = ("cluster-keys", "server.pem")
GOES = ("state.db.broken-1", "broker.db", "log-000001", "copies")


def fill(directory: Path) -> None:
    for name in (*STAYS, *GOES[:-1]):
        (directory / name).write_text(name)
    (directory / GOES[-1]).mkdir()
    (directory / GOES[-1] / "one").write_text("one")


def start(directory: Path) -> tuple[str, list[str]]:
    store = Store(str(directory), GATEWAY)
    store.close()
    return store.kept.store, store.notes


def test_without_a_wish_nothing_is_touched(tmp_path: Path) -> None:
    fill(tmp_path)
    before, notes = start(tmp_path)
    assert notes == [] and start(tmp_path)[0] == before
    assert not list(tmp_path.glob("left-*"))


def test_all_but_keys_and_certificate_is_set_aside_and_the_store_is_new(tmp_path: Path) -> None:
    before, _ = start(tmp_path)
    fill(tmp_path)
    wish(str(tmp_path))
    after, (note,) = start(tmp_path)
    assert after != before and "left-1" in note
    assert (tmp_path / "left-1" / "copies" / "one").read_text() == "one"
    assert {path.name for path in (tmp_path / "left-1").iterdir()} == {*GOES, "state.db"}
    assert {path.name for path in tmp_path.iterdir()} == {*STAYS, "state.db", LOCK_NAME, "left-1"}
    assert start(tmp_path) == (after, [])


def test_each_time_has_a_folder_of_its_own(tmp_path: Path) -> None:
    stores = []
    for _ in range(3):
        stores.append(start(tmp_path)[0])
        wish(str(tmp_path))
    start(tmp_path)
    assert len(set(stores)) == 3
    assert [(tmp_path / f"left-{n}" / "state.db").exists() for n in (1, 2, 3)] == [True] * 3


def test_what_a_crash_interrupted_is_done_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = start(tmp_path)
    fill(tmp_path)
    wish(str(tmp_path))
    rename, moved = Path.rename, []

    def fails_later(path: Path, target: Path) -> Path:
        if len(moved) == 2:
            raise OSError("the power is gone")
        moved.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_later)
    with pytest.raises(OSError, match="power"):
        leave(tmp_path, LOCK_NAME)
    monkeypatch.undo()
    assert (tmp_path / WISH).exists()
    after, _ = start(tmp_path)
    aside = {path.name for folder in tmp_path.glob("left-*") for path in folder.iterdir()}
    assert after != before and aside == {*GOES, "state.db"}
