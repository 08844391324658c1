"""A digest of many named things, so that two gateways find where they differ without sending them.

Names lie in buckets; a bucket's number is the exclusive or of a hash of each name with its stamp, so
that a change costs two hashes and equal contents give equal numbers, in whatever order they came. Must
not know what the names stand for.
"""

import hashlib
import zlib
from collections.abc import Iterator

from gateway.ids import Stamp

BUCKETS = 256  # 100,000 names are 400 a bucket


def bucket_of(name: str) -> int:
    """The bucket of a name, the same on every gateway."""
    return zlib.crc32(name.encode()) % BUCKETS


class Digest:
    """The names that a store has, each with the stamp of what it has there."""

    __slots__ = ("_names", "_numbers")

    def __init__(self) -> None:
        self._numbers = [0] * BUCKETS
        self._names: list[dict[str, None]] = [{} for _ in range(BUCKETS)]

    def change(self, name: str, old: Stamp | None, new: Stamp | None) -> None:
        """What the store has under a name is of another stamp now; None: it has nothing there."""
        bucket = bucket_of(name)
        for stamp in (old, new):
            if stamp is not None:
                self._numbers[bucket] ^= _fingerprint(name, stamp)
        if new is None:
            del self._names[bucket][name]
        else:
            self._names[bucket][name] = None

    def numbers(self) -> list[int]:
        """One number of 64 bits for each bucket."""
        return list(self._numbers)

    def names(self, bucket: int) -> Iterator[str]:
        """What lies in one bucket."""
        return iter(self._names[bucket])


def _fingerprint(name: str, stamp: Stamp) -> int:
    text = f"{name}\0{stamp.time_ms}\0{stamp.counter}\0{stamp.gateway}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
