"""Virtual time, one queue of what happens next, one source of chance.

Rules: what happens at the same moment happens in the order in which it was planned; nothing reads a
clock, and nothing depends on hashes. Must not know gateways.
"""

import heapq
from collections.abc import Callable
from random import Random

EVENTS_MAX = 3_000_000  # a run that needs more goes round in circles


class World:
    """`now` is in virtual seconds; the trace is what two runs of one seed are compared by."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.trace: list[str] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Plans a call."""
        self._serial += 1
        assert self._serial < EVENTS_MAX, "too many events"
        heapq.heappush(self._queue, (self.now + delay_s, self._serial, call))

    def run(self, until: float) -> None:
        """Lets time pass."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, call = heapq.heappop(self._queue)
            call()
        self.now = until

    def say(self, text: str) -> None:
        """Adds a line to the trace."""
        self.trace.append(f"{self.now:10.4f} {text}")
