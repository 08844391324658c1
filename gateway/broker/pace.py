"""How fast one client may publish: a bucket of `burst` messages that fills at `rate` a second.

What was read is taken, and counted; a client whose bucket is empty is read no further until there is
something in it again, so that nothing is lost and TCP slows it down. Must not know connections.
"""

from collections.abc import Iterable

_PUBLISH = 0x30  # the upper four bits of its first byte


class Pace:
    """`over` is True while the client should not be read."""

    __slots__ = ("_at", "_burst", "_left", "_rate", "over")

    def __init__(self, rate: int, burst: int, now: float) -> None:
        self.over = False
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def count(self, first_bytes: Iterable[int], now: float) -> float | None:
        """Packets came; returns when the client may be read again, or None if it may now."""
        self._fill(now)
        self._left -= sum(first & 0xF0 == _PUBLISH for first in first_bytes)
        if self.over or self._left >= 0:
            return None
        self.over = True
        return now - self._left / self._rate

    def again(self, now: float) -> None:
        """The time that `count` returned has come."""
        self.over = False
        self._fill(now)

    def _fill(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
