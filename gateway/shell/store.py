"""What a gateway keeps on disk about itself and the mesh: one small SQLite file.

    about    (key, value)                     store, boot, gateway, mesh_time_ms, stand_in
    member   (gateway, name, address, port)   other gateways, and where each was last seen

A file that cannot be read is set aside, never deleted, and a new one is made; the same when the file
was made on another box (a copied card). Writes happen on a thread of their own, never on the loop.
Must not know what the values mean to the mesh.
"""

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.effects import SaveMember, SaveMeshTime, SaveStandIn, Saving
from gateway.mesh.frames import Member

T = TypeVar("T")

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
"""


class StoreError(Exception):
    """The state directory cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file held when it was opened. `boot` is already the new, larger one."""

    store: str
    boot: int
    mesh_time_ms: int
    members: tuple[Member, ...]
    stand_in: str


class Store:
    """The open file. Raises StoreError when the directory is not usable, or in use."""

    def __init__(self, directory: str, gateway: str) -> None:
        self.notes: list[str] = []  # what had to be done to the file, for the log
        self._directory = Path(directory)
        self._gateway = gateway
        self._lock = self._take_lock()
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

    def save(self, effect: Saving) -> Future[None]:
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
        rows = database.execute("SELECT gateway, name, address, port FROM member ORDER BY gateway")
        members = tuple(Member(*row) for row in rows)
        mesh_time_ms = int(values.get("mesh_time_ms", "0"))
        return Kept(store, boot, mesh_time_ms, members, values.get("stand_in", ""))

    def _write(self, effect: Saving) -> None:
        match effect:
            case SaveMeshTime():
                self._put(self._database, "mesh_time_ms", str(effect.time_ms))
            case SaveStandIn():
                self._put(self._database, "stand_in", effect.gateway)
            case SaveMember():
                self._write_member(effect)

    def _write_member(self, effect: SaveMember) -> None:
        self._database.execute(
            "INSERT INTO member VALUES (?, ?, ?, ?) ON CONFLICT (gateway) DO UPDATE"
            " SET name = excluded.name, address = excluded.address, port = excluded.port",
            (effect.gateway, effect.name, effect.address, effect.port),
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
