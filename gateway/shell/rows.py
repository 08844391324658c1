"""The rows of the durable store: `broker.db`, written lazily, behind the segment log.

    kept   (kind, key, value)   what Row records said, the last one of each
    about  (key, value)         complete_to: rows of batches up to this one are all here
                                replay_from: records of batches before this one are over
                                store, gateway (hexadecimal), bytes_total, rewritten_bytes

A file that cannot be read is set aside, never deleted. Before segments are freed the file is copied: the
copy and the log that is left are complete, so that a broken file costs nothing. Must not know what the
values mean.
"""

import os
import shutil
import sqlite3
from pathlib import Path

FILE_NAME = "broker.db"
COPY_NAME = "broker.db.copy"
PAGE_BYTES = 4096
LOCKED_S = 0.2  # another program that reads the file must not hold up commits
NUMBERS = ("complete_to", "replay_from", "bytes_total", "rewritten_bytes")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
    kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""
# A full, read-only or locked disk says nothing against what the file holds.
_THE_FILE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)

Rows = dict[tuple[str, str], bytes]
Changes = dict[tuple[str, str], bytes | None]


class RowFile:
    """The open file. Everything raises sqlite3.Error; a transaction that failed left no trace."""

    def __init__(self, directory: Path, notes: list[str]) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._database: sqlite3.Connection | None = None
        self.about: dict[str, str] = {}
        self.rows: Rows = {}
        self.bytes_written = 0  # to the journal, and once more from there to the file
        try:
            self._database, self.about, self.rows = self._open()
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code not in _THE_FILE:
                raise
            self.set_aside("broken", f"cannot be read ({error})", notes, copied=True)

    def set_aside(self, word: str, why: str, notes: list[str], copied: bool = False) -> None:
        """Moves the file, with its journal, under a new name; goes on with the copy, or an empty one."""
        if self._database is not None:
            self._database.close()
        number = 1
        while (self._directory / f"{FILE_NAME}.{word}-{number}").exists():
            number += 1
        for ending in ("", "-wal", "-shm"):
            file = self._directory / (FILE_NAME + ending)
            if file.exists():
                file.rename(self._directory / f"{FILE_NAME}.{word}-{number}{ending}")
        notes.append(f"{FILE_NAME} {why}: set aside as {FILE_NAME}.{word}-{number}")
        if copied and (self._directory / COPY_NAME).exists():
            shutil.copyfile(self._directory / COPY_NAME, self._path)
            try:
                self._database, self.about, self.rows = self._open()
                return
            except sqlite3.DatabaseError as error:
                notes.append(f"{COPY_NAME} cannot be read either ({error})")
                self._path.unlink()
        self._database, self.about, self.rows = self._open()

    def copy(self) -> None:
        """A second one, whole or not at all."""
        assert self._database is not None
        draft = self._directory / f"{COPY_NAME}.new"
        draft.unlink(missing_ok=True)
        target = sqlite3.connect(draft)
        try:
            self._database.backup(target)
        finally:
            target.close()
        with open(draft, "rb+") as file:
            os.chmod(draft, 0o600)
            os.fsync(file.fileno())
        self.bytes_written += draft.stat().st_size
        draft.replace(self._directory / COPY_NAME)
        folder = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def save(self, changes: Changes, about: dict[str, str]) -> None:
        """Puts all of it on disk, or nothing."""
        database = self._database
        assert database is not None
        database.execute("BEGIN IMMEDIATE")
        try:
            gone = [name for name, value in changes.items() if value is None]
            kept = [(*name, value) for name, value in changes.items() if value is not None]
            database.executemany("DELETE FROM kept WHERE kind = ? AND key = ?", gone)
            database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", kept)
            database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())
            database.execute("COMMIT")
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self.about.update(about)
        journal = self._directory / f"{FILE_NAME}-wal"
        self.bytes_written += 2 * journal.stat().st_size
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def read(self) -> Rows:
        """The rows as they are in the file."""
        assert self._database is not None
        return _rows_of(self._database)

    def close(self) -> None:
        assert self._database is not None
        self._database.close()

    def _open(self) -> tuple[sqlite3.Connection, dict[str, str], Rows]:
        database = sqlite3.connect(
            self._path, LOCKED_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._path.chmod(0o600)
            database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA wal_autocheckpoint = 0")
            database.executescript(_SCHEMA)
            problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(problem)
            about = dict(database.execute("SELECT key, value FROM about"))
            numbers = (about.get(key, "0") for key in NUMBERS)
            if not all(number.isdecimal() for number in numbers):
                raise sqlite3.DatabaseError("a number is none")
            return database, about, _rows_of(database)
        except (sqlite3.Error, OSError):
            database.close()
            raise


def _rows_of(database: sqlite3.Connection) -> Rows:
    found = database.execute("SELECT kind, key, value FROM kept")
    return {(kind, key): value for kind, key, value in found}
