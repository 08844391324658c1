"""A table that every gateway of a mesh has, and that becomes the same on all: small rows, by key.

    row          value, or None for one that was deleted; `born`, when it was made; `stamp`, when it
                 was changed last
    which wins   the one born later; of one birth a deletion; else the newer stamp

So a row that is deleted on one side of a cut stays deleted, whatever the other side changed in it, and
comes back only by being made anew by somebody who knew of the deletion. Rows are safe to apply twice, in
any order. Must not know what the values mean, links or disks.
"""

from collections.abc import Iterator
from functools import reduce
from operator import xor

import msgspec

from gateway.digest import Digest
from gateway.ids import NEVER, Stamp


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


class Table:
    """At most `rows_max` rows that are not deleted, and as many that are: those are forgotten, the
    oldest first."""

    __slots__ = ("_deleted", "_digest", "_rows", "_rows_max")

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._rows: dict[str, Row] = {}
        self._deleted = 0
        self._digest = Digest()

    def __len__(self) -> int:
        return len(self._rows) - self._deleted

    def put(self, key: str, row: Row) -> bool:
        """Takes a row in; False if one that beats it, or the same, is there.

        Rows of other gateways are taken beyond the bound, or the tables would never be the same; each
        gateway keeps to it with what it adds itself (`is_full`).
        """
        old = self._rows.get(key)
        if old is not None and not row.beats(old):
            return False
        self._digest.change(key, None if old is None else old.stamp, row.stamp)
        self._rows[key] = row
        self._deleted += (row.value is None) - (old is not None and old.value is None)
        if self._deleted > self._rows_max:
            self._forget_oldest()
        return True

    def changed(self, key: str, value: bytes | None, stamp: Stamp) -> Row:
        """The row that sets (or, with None, deletes) what stands under a key now; `put` it.

        `stamp` must be newer than every one before.
        """
        old = self._rows.get(key)
        if value is not None and (old is None or old.value is None):
            return Row(stamp, stamp, value)
        return Row(NEVER if old is None else old.born, stamp, value)

    def is_full(self) -> bool:
        """Whether no row may be added here."""
        return len(self) >= self._rows_max

    def get(self, key: str) -> Row | None:
        """What stands under the key, deleted or not."""
        return self._rows.get(key)

    def values(self) -> Iterator[tuple[str, bytes]]:
        """Keys and values of what is not deleted, in the order in which the keys were first seen."""
        for key, row in self._rows.items():
            if row.value is not None:
                yield key, row.value

    def digest(self) -> list[int]:
        """One number a bucket; equal where two tables hold the same."""
        return self._digest.numbers()

    def root(self) -> int:
        """The whole digest as one number of 64 bits; 0 for a table that never had a row."""
        return reduce(xor, self._digest.numbers())

    def bucket(self, number: int) -> Iterator[tuple[str, Row]]:
        """Keys and rows of one bucket, deleted ones included."""
        for key in self._digest.names(number):
            yield key, self._rows[key]

    def _forget_oldest(self) -> None:
        dead = sorted((row.stamp, key) for key, row in self._rows.items() if row.value is None)
        for stamp, key in dead[: len(dead) // 10 + 1]:
            self._digest.change(key, stamp, None)
            del self._rows[key]
            self._deleted -= 1
