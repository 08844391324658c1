"""Between the mesh and the copies on this disk: what it asks is done, and it hears how that went.

All about one gateway happens on one thread, in the order in which it was asked. A gateway of which there
is a copy takes 0.6 MB of memory, as measured: two threads and a small database. Must not know links, or
what records mean.
"""

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from gateway.broker.records import Rewrite
from gateway.effects import BeginCopy, Copies, DropCopies, FindCopies, ReadCopy, WriteCopy
from gateway.mesh.mesh import Mesh
from gateway.shell.copies import CopyShelf
from gateway.shell.disk import Disk, StoreFailure
from gateway.shell.durable import Settings
from gateway.shell.runtime import Runtime

FOLDER = "copies"
Tell = Callable[[float], None]

logger = logging.getLogger("gatewayd")


class CopyKeeper:
    """All copies that are kept here. `serve` comes first."""

    def __init__(self, state_dir: str, settings: Settings, disk: Disk) -> None:
        self._directory = Path(state_dir) / FOLDER
        self._settings = settings
        self._disk = disk
        self._shelves: dict[str, tuple[CopyShelf, ThreadPoolExecutor]] = {}
        self._runtime: Runtime | None = None
        self._mesh: Mesh | None = None
        self._closed = False

    def serve(self, runtime: Runtime, mesh: Mesh) -> None:
        """From here on there may be something to do; the mesh hears what is here."""
        self._runtime, self._mesh = runtime, mesh
        if self._directory.exists():
            for path in sorted(self._directory.iterdir()):
                if any(path.iterdir()):
                    mesh.copies.here(path.name, True)

    def do(self, effect: Copies) -> None:
        """Does it on its thread; the mesh is told in a later turn. Nothing is done once it is closed."""
        if self._closed:
            return
        if effect.gateway not in self._shelves:
            place = self._directory / effect.gateway
            worker = ThreadPoolExecutor(1, f"copy-{effect.gateway[:4]}")
            self._shelves[effect.gateway] = CopyShelf(place, self._settings, self._disk), worker
        shelf, worker = self._shelves[effect.gateway]
        worker.submit(self._work, shelf, effect)

    def written_bytes(self) -> int:
        """What all copies have cost the disk since the start."""
        return sum(shelf.written_bytes() for shelf, _ in self._shelves.values())

    def close(self) -> None:
        """Waits for what is under way, and lets go of the files."""
        self._closed = True  # what was done last may lead to more, in a turn of the loop meanwhile
        for shelf, worker in self._shelves.values():
            worker.submit(shelf.close)
            worker.shutdown()

    def _work(self, shelf: CopyShelf, effect: Copies) -> None:
        assert self._runtime is not None, "not serving"
        try:
            tell = self._done(shelf, effect)
        except (StoreFailure, OSError, sqlite3.Error, msgspec.DecodeError) as error:
            logger.error("a copy of %s cannot be kept or read: %s", effect.gateway, error)
            tell = self._failed(effect, str(error))
        self._runtime.loop.call_soon_threadsafe(self._tell, tell)

    def _tell(self, tell: Tell) -> None:
        assert self._runtime is not None, "not serving"
        tell(self._runtime.now())
        self._runtime.schedule()

    def _done(self, shelf: CopyShelf, effect: Copies) -> Tell:
        """Does it; returns what the mesh is told of it."""
        assert self._mesh is not None, "not serving"
        mesh, owner = self._mesh, effect.gateway
        match effect:
            case FindCopies():
                places = shelf.find()
                return lambda now: mesh.copies_found(owner, places, "", now)
            case BeginCopy():
                shelf.begin(effect.place, effect.keep_old)
                return lambda now: None
            case WriteCopy():
                wish, full = shelf.write(effect.place, effect.payload, Rewrite(effect.part))
                return lambda now: mesh.copy_written(owner, effect.place, wish, full, now)
            case DropCopies():
                left = shelf.drop(effect.store)
                return lambda now: mesh.copies.here(owner, left)
            case ReadCopy():
                found = shelf.read(effect.but)
                if found is None:
                    return self._failed(effect, "there is no whole copy")
                made = effect.make(*found)
                return lambda now: effect.then(made, "")

    def _failed(self, effect: Copies, why: str) -> Tell:
        assert self._mesh is not None, "not serving"
        mesh, owner = self._mesh, effect.gateway
        match effect:
            case FindCopies():
                return lambda now: mesh.copies_found(owner, [], why, now)
            case BeginCopy() | WriteCopy():
                return lambda now: mesh.copy_written(owner, effect.place, 0, why, now)
            case ReadCopy():
                return lambda now: effect.then(None, why)
            case DropCopies():
                return lambda now: None
