"""What may be said only when others have done their part.

A ticket stands for one answer (a PUBACK, a SUBACK). Whoever must act first holds it and releases it
when done: a peer that takes the message, a disk that commits it. When the last hold is gone the owner
is told, once. If somebody cannot act, the owner is told that instead. Must not know what the answer is.
"""

from collections.abc import Callable


class Ticket:
    """An answer that waits for `waiting` others."""

    __slots__ = ("_when_failed", "_when_free", "waiting")

    def __init__(
        self, when_free: Callable[[], None], when_failed: Callable[[str], None] | None = None
    ) -> None:
        self.waiting = 0
        self._when_free = when_free
        self._when_failed = when_failed

    def hold(self) -> None:
        """One more must act before the answer leaves."""
        self.waiting += 1

    def release(self) -> None:
        """One has acted; at the last one the owner is told, before this returns."""
        assert self.waiting > 0, "released more often than held"
        self.waiting -= 1
        if self.waiting == 0:
            self._when_free()

    def fail(self, why: str) -> None:
        """One cannot act: the answer never leaves, and the owner, if it asked for it, is told."""
        if self._when_failed is not None:
            self._when_failed(why)
