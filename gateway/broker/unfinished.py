"""The bound over all connections together: bytes that came and are no whole packet yet.

A packet may be as long as a hundred connections can afford and ten thousand cannot. When too much is
held, the connection whose bytes came longest ago is ended: so a client on a slow line stays as long as
it goes on, and who announces much and sends nothing goes first. One that is not read, because the
gateway said so, goes last. What clients may send ahead while they are held back gets half, and is
then read no further. Must not know what a packet is.
"""

from typing import Protocol

CHUNK_BYTES = 60  # what a piece costs beside its bytes: some clients send one byte at a time


class Holder(Protocol):
    """A connection with such bytes."""

    @property
    def reading(self) -> bool:
        """Whether it may send more."""

    def give_up(self) -> None:
        """It is ended. `Unfinished.clear` follows before this returns."""


class Unfinished:
    """`used` of `bytes_max` are held."""

    __slots__ = ("_held", "bytes_max", "used")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0
        self._held: dict[Holder, int] = {}  # whose bytes came longest ago is first

    def hold(self, holder: Holder, size: int, chunks: int) -> int:
        """It holds `size` bytes in so many pieces, and some just came; how many others had to go."""
        self.clear(holder)
        cost = size + chunks * CHUNK_BYTES
        self._held[holder] = cost
        self.used += cost
        gone = 0
        while self.used > self.bytes_max and len(self._held) > 1:
            self._oldest(holder).give_up()
            gone += 1
        return gone

    def clear(self, holder: Holder) -> None:
        """It holds none any more."""
        self.used -= self._held.pop(holder, 0)

    def is_half_full(self) -> bool:
        """Whether those who are held back should be read no further."""
        return self.used > self.bytes_max // 2

    def _oldest(self, newest: Holder) -> Holder:
        others = (holder for holder in self._held if holder is not newest and holder.reading)
        return next(others, next(iter(self._held)))
