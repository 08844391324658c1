"""Copies of other gateways' stores in memory: what `gateway/shell/copies.py` does on a disk.

Effects are worked off one at a time, in order; a crash loses those that are not. Must not know what is
tested.
"""

from collections import deque
from collections.abc import Callable

from gateway.broker.records import Rewrite, Row
from gateway.copy_place import CopyPlace
from gateway.effects import BeginCopy, Copies, DropCopies, FindCopies, ReadCopy, WriteCopy
from gateway.mesh.mesh import Mesh
from tests.broker.copied import CopyCard


class MemoryCopy(CopyCard):
    """One copy."""

    def __init__(self, place: CopyPlace) -> None:
        super().__init__()
        self.place = place


class MemoryShelves:
    """By owner: `copies` the newest first, `lost` what their owners lost. `fails`: why nothing goes."""

    def __init__(self) -> None:
        self.copies: dict[str, list[MemoryCopy]] = {}
        self.lost: dict[str, list[MemoryCopy]] = {}
        self.fails = ""
        self.wishes: dict[str, int] = {}  # what the disk wishes with the next commit
        self._queue: deque[Copies] = deque()
        self._broken: dict[str, None] = {}

    def do(self, effect: Copies) -> None:
        """It is to be done."""
        self._queue.append(effect)

    def crash(self) -> None:
        """What was not done will not be."""
        self._queue.clear()
        self._broken.clear()

    def waiting(self) -> int:
        """How much is to be done."""
        return len(self._queue)

    def work(self, mesh: Mesh, now: float) -> bool:
        """Does the first of it and tells the mesh; False if there is none."""
        if not self._queue:
            return False
        self._done(self._queue.popleft())(mesh, now)
        return True

    def whole(self, owner: str, but: str = "") -> MemoryCopy | None:
        """The newest whole copy that is not of this store, also a lost one."""
        copies = [*self.copies.get(owner, ()), *self.lost.get(owner, ())]
        return next((copy for copy in copies if copy.place.whole and copy.place.store != but), None)

    def _done(self, effect: Copies) -> Callable[[Mesh, float], None]:
        owner, copies = effect.gateway, self.copies.setdefault(effect.gateway, [])
        match effect:
            case FindCopies():
                self._broken.pop(owner, None)
                places, why = [copy.place for copy in copies], self.fails
                return lambda mesh, now: mesh.copies_found(owner, places, why, now)
            case BeginCopy():
                if effect.keep_old:
                    lost = [copy for copy in copies if copy.place.whole]
                    self.lost.setdefault(owner, [])[:0] = lost
                    copies.clear()
                copies[:] = [copy for copy in copies if copy.place.whole]
                copies.insert(0, MemoryCopy(effect.place))
                return lambda mesh, now: None
            case WriteCopy():
                return self._write(effect, copies)
            case DropCopies():
                copies[:] = [copy for copy in copies if copy.place.store != effect.store]
                left = bool(copies or self.lost.get(owner))
                return lambda mesh, now: mesh.copies.here(owner, left)
            case ReadCopy():
                return self._read(effect)

    def _write(self, effect: WriteCopy, copies: list[MemoryCopy]) -> Callable[[Mesh, float], None]:
        owner, place = effect.gateway, effect.place
        why = self.fails or ("an earlier part failed" if owner in self._broken else "")
        if why:
            self._broken[owner] = None
            return lambda mesh, now: mesh.copy_written(owner, place, 0, why, now)
        copies[0].take_in(effect.payload, Rewrite(effect.part))
        copies[0].place = place
        if place.whole:
            del copies[1:]
        wish = self.wishes.pop(owner, 0)
        return lambda mesh, now: mesh.copy_written(owner, place, wish, "", now)

    def _read(self, effect: ReadCopy) -> Callable[[Mesh, float], None]:
        copy = self.whole(effect.gateway, effect.but)
        if copy is None:
            return lambda mesh, now: effect.then(None, "there is no whole copy")
        batches = [[r for r in batch if not isinstance(r, Row)] for batch in copy.batches()]
        made = effect.make(dict(copy.rows), batches)
        return lambda mesh, now: effect.then(made, "")
