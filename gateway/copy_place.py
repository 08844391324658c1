"""Where the copy of a gateway's store is: how far it has come, as both sides compare it.

    copy     its name, given when it was begun
    store    whose it is, as the log of the owner names itself
    run      the start of the owner's process that wrote to it last
    number   the owner's last batch in it
    slices   of all that lived; they count on over the copy's life
    whole    whether all that lived when it was begun is in it

Numbers of one run are in one order; of an earlier run the owner knows only where that ended. Must not
know how it is kept.
"""

from typing import Any

import msgspec


class CopyPlace(msgspec.Struct, frozen=True, array_like=True):
    """One copy. `at` is what is compared within a run. On disk and on links: fields are added at the
    end, with a default."""

    copy: str
    store: str
    run: str
    number: int
    slices: int
    whole: bool

    @property
    def at(self) -> tuple[int, int]:
        """Batches and slices."""
        return self.number, self.slices

    def but(self, **changes: Any) -> "CopyPlace":
        """The same with these changes."""
        return msgspec.structs.replace(self, **changes)
