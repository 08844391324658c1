"""A table that every gateway of a mesh has, and that becomes the same on all: small rows, by key.

    row          value, or None for one that was deleted; `born`, when it was made; `stamp`, when it
                 was changed last
    which wins   the one born later; of one birth a deletion; else the newer stamp

So a row that is deleted on one side of a cut stays deleted, whatever the other side changed in it, and
comes back only by being made anew by somebody who knew of the deletion. Rows are safe to apply twice, in
any order.

Deleted rows are bounded. When there are too many the oldest are forgotten, and the stamp up to which
that was done is a row of its own, the floor: it goes to all gateways like any other, each forgets as
much, and the newest floor wins. So two gateways that had to forget at different times are the same
again. A deletion from below the floor still deletes; only it leaves nothing behind. Must not know what
the values mean, links or disks.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from operator import xor

import msgspec

from gateway.digest import Digest
from gateway.ids import NEVER, Stamp

FLOOR = ""  # the key of the floor; no other row has an empty one


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What stands under a key. None as `value`: it was deleted.

    On disk and on links as it is: fields may be added at the end, with a default.
    """

    born: Stamp
    stamp: Stamp
    value: bytes | None

    def beats(self, other: "Row") -> bool:
        """Whether this one stands where both are known."""
        mine = (self.born, self.value is None, self.stamp)
        return mine > (other.born, other.value is None, other.stamp)


_pack = msgspec.msgpack.Encoder().encode
_row = msgspec.msgpack.Decoder(Row).decode


class Table:
    """At most `rows_max` rows that are not deleted, and `deleted_max` that are.

    `forgotten` is told the key of each deleted row that leaves the table.
    """

    __slots__ = (
        "_deleted",
        "_deleted_max",
        "_digest",
        "_floor",
        "_forgotten",
        "_rows",
        "_rows_max",
    )

    def __init__(
        self,
        rows_max: int,
        deleted_max: int | None = None,
        forgotten: Callable[[str], None] | None = None,
    ) -> None:
        self._rows_max = rows_max
        self._deleted_max = rows_max if deleted_max is None else deleted_max
        self._forgotten = forgotten
        self._rows: dict[str, bytes] = {}  # packed: a third of what their objects would take
        self._deleted: dict[str, None] = {}
        self._floor = NEVER
        self._digest = Digest()

    def __len__(self) -> int:
        return len(self._rows) - len(self._deleted) - (self._floor is not NEVER)

    def put(self, key: str, row: Row) -> bool:
        """Takes a row in; False if one that beats it, or the same, is there.

        Rows of other gateways are taken beyond the bound, or the tables would never be the same; each
        gateway keeps to it with what it adds itself (`is_full`).
        """
        old = self.get(key)
        if old is not None and not row.beats(old):
            return False
        if row.value is None and row.stamp <= self._floor:
            if old is None:
                return False
            self._forget(key, old.stamp)
            return True
        self._set(key, old, row)
        if key == FLOOR:
            self._floor = row.stamp
            self._forget_below()
        elif len(self._deleted) > self._deleted_max:
            self._raise_floor()
        return True

    def changed(self, key: str, value: bytes | None, stamp: Stamp) -> Row:
        """The row that sets (or, with None, deletes) what stands under a key now; `put` it.

        `stamp` must be newer than every one before.
        """
        old = self.get(key)
        if value is not None and (old is None or old.value is None):
            return Row(stamp, stamp, value)
        return Row(NEVER if old is None else old.born, stamp, value)

    def is_full(self) -> bool:
        """Whether no row may be added here."""
        return len(self) >= self._rows_max

    def get(self, key: str) -> Row | None:
        """What stands under the key, deleted or not."""
        packed = self._rows.get(key)
        return None if packed is None else _row(packed)

    def values(self) -> Iterator[tuple[str, bytes]]:
        """Keys and values of what is not deleted, in the order in which the keys were first seen."""
        for key, packed in self._rows.items():
            if key not in self._deleted and key != FLOOR:
                value = _row(packed).value
                assert value is not None, "deleted, and not known to be"
                yield key, value

    def digest(self) -> list[int]:
        """One number a bucket; equal where two tables hold the same."""
        return self._digest.numbers()

    def root(self) -> int:
        """The whole digest as one number of 64 bits; 0 for a table that never had a row."""
        return reduce(xor, self._digest.numbers())

    def bucket(self, number: int) -> Iterator[tuple[str, Row]]:
        """Keys and rows of one bucket, deleted ones included."""
        for key in self._digest.names(number):
            yield key, _row(self._rows[key])

    def _set(self, key: str, old: Row | None, row: Row) -> None:
        self._digest.change(key, None if old is None else old.stamp, row.stamp)
        self._rows[key] = _pack(row)
        if row.value is None:
            self._deleted[key] = None
        else:
            self._deleted.pop(key, None)

    def _raise_floor(self) -> None:
        """A tenth of what is deleted is forgotten, here and everywhere."""
        stamps = sorted(row.stamp for key in self._deleted if (row := self.get(key)) is not None)
        floor = stamps[len(stamps) // 10]
        self.put(FLOOR, Row(floor, floor, b""))

    def _forget_below(self) -> None:
        for key in list(self._deleted):
            row = self.get(key)
            if row is not None and row.stamp <= self._floor:
                self._forget(key, row.stamp)

    def _forget(self, key: str, stamp: Stamp) -> None:
        self._digest.change(key, stamp, None)
        del self._rows[key]
        self._deleted.pop(key, None)
        if self._forgotten is not None:
            self._forgotten(key)
