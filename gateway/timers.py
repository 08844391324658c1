"""Deadlines of a machine, as values in one heap.

A timer is never cancelled: it fires, and whoever set it looks whether it still means something. Ties
fire in the order in which they were set, so that a run can be replayed.
"""

import heapq
from collections.abc import Callable

FOREVER = float("inf")


class Timers:
    """A heap of (deadline in monotonic seconds, what to call then with `now`)."""

    __slots__ = ("_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._serial = 0

    def set(self, when: float, call: Callable[[float], None]) -> None:
        """Calls `call(now)` at the first `wake` at or after `when`."""
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, call))

    def deadline(self) -> float:
        """When `wake` has something to do; FOREVER if never."""
        return self._heap[0][0] if self._heap else FOREVER

    def wake(self, now: float) -> None:
        """Fires what is due."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2](now)
