"""Deadlines of a machine, as values in one heap.

Who no longer needs a timer drops it, so that what comes and goes leaves nothing behind: not the timer,
and not what it would have called. Ties fire in the order in which they were set, so that a run can be
replayed.
"""

import heapq
from collections.abc import Callable

FOREVER = float("inf")
NO_TIMER = 0  # may be dropped: it is never set
_DROPPED_MIN = 64  # dropped timers that may stay in the heap however few are set


class Timers:
    """Deadlines in monotonic seconds, and what to call then with `now`. `len()` is what is held."""

    __slots__ = ("_calls", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []  # deadline, serial; dropped ones too
        self._calls: dict[int, Callable[[float], None]] = {}  # by serial
        self._serial = NO_TIMER

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, when: float, call: Callable[[float], None]) -> int:
        """Calls `call(now)` once, at the first `wake` at or after `when`; returns a name for `drop`."""
        self._serial += 1
        self._calls[self._serial] = call
        heapq.heappush(self._heap, (when, self._serial))
        return self._serial

    def drop(self, timer: int) -> None:
        """It does not fire. Dropping one that has fired, or was dropped, does nothing."""
        if self._calls.pop(timer, None) is None:
            return
        if len(self._heap) > 2 * len(self._calls) + _DROPPED_MIN:
            self._heap = [each for each in self._heap if each[1] in self._calls]
            heapq.heapify(self._heap)

    def deadline(self) -> float:
        """When `wake` has something to do; FOREVER if never."""
        while self._heap and self._heap[0][1] not in self._calls:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else FOREVER

    def wake(self, now: float) -> None:
        """Fires what is due. What is set meanwhile for `now` waits for the next call: work that goes on
        in slices lets others in between."""
        newest, later = self._serial, []
        try:
            while self.deadline() <= now:
                when, serial = heapq.heappop(self._heap)
                if serial > newest and when == now:
                    later.append((when, serial))
                else:
                    self._calls.pop(serial)(now)
        finally:
            for each in later:
                heapq.heappush(self._heap, each)
