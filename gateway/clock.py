"""Mesh time: one order for what happens on many boxes without a common clock.

Lamport's rule on a clock that runs (L. Lamport, "Time, Clocks, and the Ordering of Events in a
Distributed System", 1978): it advances with the monotonic clock in milliseconds, jumps forward to the
highest value seen, and never goes back, not even over a restart, because values are saved before they
are used, in steps. Wall time plays no part: these boxes boot in 1970.
"""

from gateway.effects import SaveMeshTime
from gateway.errors import LinkError
from gateway.ids import Stamp

SAVE_STEP_MS = 60_000  # one small write a minute
TIME_MS_MAX = 2**48  # 8,900 years


class MeshClock:
    """`saved_ms` is what the disk says was the highest value in use, 0 for a new store."""

    def __init__(self, gateway: str, saved_ms: int, now: float) -> None:
        self._gateway = gateway
        self._offset_ms = saved_ms - int(now * 1000)
        self._saved_ms = saved_ms
        self._last = Stamp(saved_ms, 0, gateway)

    def read(self, now: float) -> int:
        """Mesh time in milliseconds."""
        return max(int(now * 1000) + self._offset_ms, self._last.time_ms)

    def seen(self, time_ms: int, now: float, counter: int = 0) -> None:
        """Somebody else's time came in, or a stamp's: this clock is never behind it.

        Raises LinkError for a time that no mesh lives to see: nothing could take it back.
        """
        if time_ms > TIME_MS_MAX or counter > TIME_MS_MAX:
            raise LinkError("malformed", f"a mesh time of {time_ms} ms")
        behind_ms = time_ms - self.read(now)
        if behind_ms > 0:
            self._offset_ms += behind_ms
        if (time_ms, counter) > self._last[:2]:
            self._last = Stamp(time_ms, counter, self._gateway)

    def stamp(self, now: float) -> Stamp:
        """A stamp newer than every one made or seen here."""
        time_ms = self.read(now)
        counter = self._last.counter + 1 if time_ms == self._last.time_ms else 0
        self._last = Stamp(time_ms, counter, self._gateway)
        return self._last

    def to_save(self, now: float) -> SaveMeshTime | None:
        """What must be on disk before mesh time is used further; None while it is far enough."""
        time_ms = self.read(now)
        if time_ms + SAVE_STEP_MS // 2 < self._saved_ms:
            return None
        self._saved_ms = time_ms + SAVE_STEP_MS
        return SaveMeshTime(self._saved_ms)
