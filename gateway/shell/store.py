"""What a gateway keeps on disk about itself and the mesh: one small SQLite file.

    about    (key, value)                     store, boot, gateway, mesh_time_ms, stand_in
    member   (gateway, name, address, port)   other gateways, and where each was last seen
    member_about  (gateway, store, dead_s)    its store, and for how long it has been dead
    mesh_row      (name, key, row)            rows of tables that are the mesh's own, as MessagePack

A file that cannot be read is set aside, never deleted, and a new one is made; the same when the file
was made on another box (a copied card), and with the whole directory when the operator wants to begin
anew (`leaving.py`). Writes happen on a thread of their own, never on the loop.
Must not know what the values mean to the mesh.
"""

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.effects import ForgetMember, SaveMember, SaveMeshTime, SaveRow, SaveStandIn
from gateway.mesh.frames import Member
from gateway.shell.leaving import leave
from gateway.table import Row

T = TypeVar("T")
Saved = SaveMeshTime | SaveMember | ForgetMember | SaveRow | SaveStandIn

FILE_NAME = "state.db"
LOCK_NAME = "gatewayd.pid"  # holds the process id, and is locked while that process lives

# Errors that say nothing against what the file holds: a full or read-only disk must not cost the
# gateway its identity.
_NOT_THE_FILE = (
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM),
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS member (
    gateway TEXT PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS member_about (
    gateway TEXT PRIMARY KEY, store TEXT NOT NULL, dead_s REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mesh_row (
    name TEXT NOT NULL, key TEXT NOT NULL, row BLOB NOT NULL, PRIMARY KEY (name, key)
) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The state directory cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file held when it was opened. `boot` is already the new, larger one.

    `rows` are table, key and row of the mesh's own tables, `dead_s` is for how long members were dead.
    """

    store: str
    boot: int
    mesh_time_ms: int
    members: tuple[Member, ...]
    rows: tuple[tuple[str, str, Row], ...] = ()
    dead_s: dict[str, float] = field(default_factory=dict)
    stand_in: str = ""


class Store:
    """The open file. Raises StoreError when the directory is not usable, or in use."""

    def __init__(self, directory: str, gateway: str) -> None:
        self.notes: list[str] = []  # what had to be done to the file, for the log
        self._directory = Path(directory)
        self._gateway = gateway
        self._lock = self._take_lock()
        try:
            self.notes += leave(self._directory, LOCK_NAME)
        except OSError as error:
            os.close(self._lock)
            raise StoreError(
                f"what is in {self._directory} cannot be set aside: {error.strerror};"
                " see whether the disk is full or broken"
            ) from error
        self._thread = ThreadPoolExecutor(1, "store")
        try:
            self._database, self.kept = self._thread.submit(self._open).result()
        except sqlite3.Error as error:
            self._thread.shutdown()
            os.close(self._lock)
            raise StoreError(
                f"the state directory {self._directory} cannot be written: {error};"
                " see whether the disk is full or broken, or name another with gateway.state_dir"
            ) from error

    def save(self, effect: Saved) -> Future[None]:
        """Puts it on disk, in the background and in order; the future tells when, or the error."""
        return self._thread.submit(self._write, effect)

    def run(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Does other work with the file on its thread; each table has one module that knows it."""
        return self._thread.submit(lambda: work(self._database))

    def close(self) -> None:
        """Waits for what is under way, and lets go of the directory."""
        self._thread.submit(self._database.close).result()
        self._thread.shutdown()
        os.close(self._lock)

    def _take_lock(self) -> int:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(
                self._directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise StoreError(
                f"the state directory {self._directory} cannot be used: {error.strerror};"
                " name another with gateway.state_dir, or give its user the right to write there"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise StoreError(
                f"another gatewayd uses the state directory {self._directory};"
                " stop it, or name another with gateway.state_dir"
            ) from error
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        return lock

    def _open(self) -> tuple[sqlite3.Connection, Kept]:
        try:
            database, values = self._read()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _NOT_THE_FILE:
                raise
            self._set_aside("broken", f"cannot be read ({error})")
            database, values = self._read()
        if values.get("gateway", self._gateway) != self._gateway:
            database.close()
            self._set_aside("foreign", "was made on another box")
            database, values = self._read()
        return database, self._begin(database, values)

    def _read(self) -> tuple[sqlite3.Connection, dict[str, str]]:
        database = sqlite3.connect(self._directory / FILE_NAME, isolation_level=None)
        try:
            self._prepare(database)
            return database, self._values(database)
        except sqlite3.Error:
            database.close()
            raise

    def _prepare(self, database: sqlite3.Connection) -> None:
        os.chmod(self._directory / FILE_NAME, 0o600)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_SCHEMA)

    def _values(self, database: sqlite3.Connection) -> dict[str, str]:
        """Reads everything once, so that a broken page is found now."""
        problems = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        values = dict(database.execute("SELECT key, value FROM about"))
        numbers = (values.get(key, "0") for key in ("boot", "mesh_time_ms"))
        if problems == "ok" and not all(number.isdecimal() for number in numbers):
            problems = "a number is none"
        if problems != "ok":
            raise sqlite3.DatabaseError(problems)
        return values

    def _begin(self, database: sqlite3.Connection, values: dict[str, str]) -> Kept:
        """Counts this start, on disk before anybody hears of it."""
        store = values.get("store") or secrets.token_hex(16)
        boot = int(values.get("boot", "0")) + 1
        database.execute("BEGIN")
        self._put(database, "store", store)
        self._put(database, "boot", str(boot))
        self._put(database, "gateway", self._gateway)
        database.execute("COMMIT")
        rows = database.execute(
            "SELECT gateway, name, address, port, coalesce(store, ''), coalesce(dead_s, 0)"
            " FROM member LEFT JOIN member_about USING (gateway) ORDER BY gateway"
        ).fetchall()
        members = tuple(Member(*row[:5]) for row in rows)
        dead_s = {row[0]: row[5] for row in rows if row[5]}
        stand_in = values.get("stand_in", "")
        mesh_ms = int(values.get("mesh_time_ms", "0"))
        return Kept(store, boot, mesh_ms, members, tuple(self._rows(database)), dead_s, stand_in)

    def _rows(self, database: sqlite3.Connection) -> Iterator[tuple[str, str, Row]]:
        """A row that cannot be read stays where it is."""
        found = database.execute("SELECT name, key, row FROM mesh_row ORDER BY name, key")
        for name, key, row in found.fetchall():
            try:
                yield name, key, msgspec.msgpack.decode(row, type=Row)
            except msgspec.DecodeError as error:
                self.notes.append(f"{FILE_NAME}: the row {key} of {name} cannot be read: {error}")

    def _write(self, effect: Saved) -> None:
        match effect:
            case SaveMeshTime():
                self._put(self._database, "mesh_time_ms", str(effect.time_ms))
            case SaveMember():
                self._write_member(effect)
            case SaveStandIn():
                self._put(self._database, "stand_in", effect.gateway)
            case ForgetMember():
                for table in ("member", "member_about"):
                    self._database.execute(
                        f"DELETE FROM {table} WHERE gateway = ?", (effect.gateway,)
                    )
            case SaveRow():
                row = msgspec.msgpack.encode(effect.row)
                self._database.execute(
                    "INSERT OR REPLACE INTO mesh_row VALUES (?, ?, ?)",
                    (effect.table, effect.key, row),
                )

    def _write_member(self, effect: SaveMember) -> None:
        """Two tables: the version before knows the first one, and how many columns it has."""
        self._database.execute(
            "INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?)",
            (effect.gateway, effect.name, effect.address, effect.port),
        )
        self._database.execute(
            "INSERT OR REPLACE INTO member_about VALUES (?, ?, ?)",
            (effect.gateway, effect.store, effect.dead_s),
        )

    @staticmethod
    def _put(database: sqlite3.Connection, key: str, value: str) -> None:
        database.execute(
            "INSERT INTO about VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    def _set_aside(self, word: str, why: str) -> None:
        """Moves the file, with its journal, under a name that was not used yet."""
        number = 1
        while (self._directory / f"{FILE_NAME}.{word}-{number}").exists():
            number += 1
        for ending in ("", "-wal", "-shm"):
            file = self._directory / (FILE_NAME + ending)
            if file.exists():
                file.rename(self._directory / f"{FILE_NAME}.{word}-{number}{ending}")
        self.notes.append(f"{FILE_NAME} {why}: set aside as {FILE_NAME}.{word}-{number}")
