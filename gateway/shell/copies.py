"""The copies of other gateways' stores on this disk: each a durable store of its own.

    copies/<gateway>/<n>/        the whole one, and perhaps one that is being made; n grows
    copies/<gateway>/lost-<n>/   one that has what its owner has lost, or is damaged: kept until somebody
                                 decides

Every commit has a row that says where the copy is then (`gateway/copy_place.py`). One that is made anew
takes the place of the one before when it is whole. Must not know what records mean, or links.
"""

import logging
import shutil
from pathlib import Path

import msgspec

from gateway.broker.records import Record, Rewrite, Row
from gateway.copy_place import CopyPlace
from gateway.shell.disk import Disk, FailureKind, StoreFailure
from gateway.shell.durable import DurableStore, Recovered, Settings
from gateway.shell.recovery import with_strangers
from gateway.shell.rows import Rows

PLACE = ("copy", "place")  # kind and key of the row
LOST, LOST_MAX = "lost-", 3  # of one gateway: before a fourth a person should look

logger = logging.getLogger("gatewayd")


class Copy:
    """One copy, open. `place` is where it is on disk, or None if it is damaged or never began."""

    def __init__(self, path: Path, settings: Settings, disk: Disk) -> None:
        self.path = path
        self.store = DurableStore(str(path), settings, disk)
        recovered = self.store.recover()
        row = recovered.rows.get(PLACE)
        self.damage = recovered.notes
        self.place = None if row is None else msgspec.msgpack.decode(row, type=CopyPlace)

    @property
    def whole(self) -> bool:
        """Whether all is in it that its owner had then."""
        return self.place is not None and self.place.whole

    def written_bytes(self) -> int:
        """Handed to the disk since it was opened."""
        return self.store.vitals.log_written_bytes + self.store.vitals.rows_written_bytes

    def write(
        self, place: CopyPlace, records: list[Record | msgspec.Raw], part: Rewrite
    ) -> "_Told":
        """Adds the records; it is then at `place`."""
        row = Row(*PLACE, msgspec.msgpack.encode(place))
        report = self.store.commit([*records, row], part).result()
        self.place = place
        return report.rewrite.value, report.refusing


_Told = tuple[int, str]  # what the disk wishes, and why it takes no more, or nothing


class CopyShelf:
    """The copies of one gateway's stores. Everything raises OSError, sqlite3.Error or StoreFailure."""

    def __init__(self, directory: Path, settings: Settings, disk: Disk) -> None:
        self._directory = directory
        self._settings = settings
        self._disk = disk
        self._copies: list[Copy] = []  # that are open, the newest first
        self._closed_bytes = 0  # written to those that are not any more
        self._known = False  # these are all that there are
        self._failed = False  # the last write: what would come next is not to be taken

    def find(self) -> list[CopyPlace]:
        """What is here, and not lost at its owner, newest first. After a failure all begins with this.

        An open one is not read again: what a sync did not put on disk could seem to be there.
        """
        if not self._known:
            self.close()
            self._copies = [copy for path in self._paths() if (copy := self._opened(path))]
            self._known = True
        self._failed = False
        for copy in self._copies:
            copy.store.forget_rewrite()
        return [copy.place for copy in self._copies if copy.place is not None]

    def begin(self, place: CopyPlace, keep_old: bool) -> None:
        """A new copy, beside the whole one; one that was half made goes."""
        self.find()
        self._known = False  # until it is done
        serial = 1 + max((int(path.name) for path in self._paths()), default=0)
        for copy in list(self._copies):
            if keep_old or not copy.whole:
                self._close(copy)
                self._copies.remove(copy)
            if not copy.whole:
                shutil.rmtree(copy.path)
            elif keep_old:
                self._keep_aside(copy.path, "has what its owner lost")
        path = self._directory / str(serial)
        path.mkdir(mode=0o700, parents=True)
        self._copies.insert(0, Copy(path, self._settings, self._disk))
        self._copies[0].write(place, [], Rewrite.NONE)
        self._known = True

    def write(self, place: CopyPlace, payload: bytes, part: Rewrite) -> _Told:
        """Adds what the owner sent. Raises msgspec.DecodeError for what are no records, too."""
        if self._failed or not (self._known and self._copies):
            raise StoreFailure(
                FailureKind.BROKEN, "an earlier part of the copy could not be written"
            )
        copy = self._copies[0]
        was_whole, self._failed = copy.whole, True
        told = copy.write(place, [*with_strangers(payload)], part)
        self._failed = False
        if place.whole and not was_whole:
            for old in self._copies[1:]:
                self._close(old)
                shutil.rmtree(old.path)
            del self._copies[1:]
        return told

    def drop(self, store: str) -> bool:
        """Deletes what is here of this store, but what its owner lost; whether anything is left."""
        self.find()
        for copy in list(self._copies):
            if copy.place is None or copy.place.store == store:
                self._close(copy)
                self._copies.remove(copy)
                shutil.rmtree(copy.path)
        return any(self._directory.iterdir())

    def read(self, but: str) -> tuple[Rows, list[list[Record]]] | None:
        """The newest whole copy that is not of this store; also one that its owner lost."""
        self.find()
        for copy in self._copies:
            if copy.whole and copy.place is not None and copy.place.store != but:
                return _contents(copy.store.read().result())
        for path in sorted(self._directory.glob(f"{LOST}*"), reverse=True):
            copy = Copy(path, self._settings, self._disk)
            try:
                if copy.whole and copy.place is not None and copy.place.store != but:
                    return _contents(copy.store.read().result())
            finally:
                copy.store.close()
        return None

    def written_bytes(self) -> int:
        """All that was handed to the disk since the start."""
        return self._closed_bytes + sum(copy.written_bytes() for copy in list(self._copies))

    def close(self) -> None:
        """Lets go of the files."""
        for copy in self._copies:
            self._close(copy)
        self._copies, self._known = [], False

    def _close(self, copy: Copy) -> None:
        copy.store.close()
        self._closed_bytes += copy.written_bytes()

    def _paths(self) -> list[Path]:
        found = self._directory.iterdir() if self._directory.exists() else ()
        numbered = [path for path in found if path.name.isdecimal()]
        return sorted(numbered, key=lambda path: int(path.name), reverse=True)

    def _opened(self, path: Path) -> Copy | None:
        copy = Copy(path, self._settings, self._disk)
        if not copy.damage:
            return copy
        copy.store.close()
        self._keep_aside(path, f"is damaged: {'; '.join(copy.damage)}")
        return None

    def _keep_aside(self, path: Path, why: str) -> None:
        numbers = [int(each.name.removeprefix(LOST)) for each in self._directory.glob(f"{LOST}*")]
        if len(numbers) >= LOST_MAX:
            text = f"{LOST_MAX} copies that their owners lost wait in {self._directory}"
            raise StoreFailure(FailureKind.FULL, text)
        other = path.with_name(f"{LOST}{max(numbers, default=0) + 1}")
        path.rename(other)
        logger.warning("the copy %s %s: kept as %s", path, why, other.name)


def _contents(recovered: Recovered) -> tuple[Rows, list[list[Record]]]:
    recovered.rows.pop(PLACE, None)
    return recovered.rows, list(recovered.batches)
