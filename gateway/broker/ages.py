"""For how long messages have waited, by their numbers: those only grow.

A mark says that every message below a number came before a time. There are few marks, the further apart
the older they are, so that an age is right to about a tenth. The disk has them as ages, every ten
minutes: a gateway that is off does not count. Must not know who waits for what.
"""

from bisect import bisect_left, bisect_right

STEP_S = 1.0  # between two marks
MARKS_MAX = 256  # 16 bytes each on disk
SAVE_S = 600.0


class Ages:
    """`marks` are numbers and times, in monotonic seconds, both growing."""

    __slots__ = ("_numbers", "_saved_at", "_times")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._times: list[float] = []
        self._saved_at = float("-inf")

    def __len__(self) -> int:
        return len(self._numbers)

    def mark(self, number: int, now: float) -> None:
        """All messages so far have numbers below this one."""
        if self._times and (self._numbers[-1] == number or now - self._times[-1] < STEP_S):
            return
        if len(self) >= MARKS_MAX:
            self._thin(now)
        self._numbers.append(number)
        self._times.append(now)

    def came_at(self, number: int, now: float) -> float:
        """When the message came, at the latest."""
        at = bisect_right(self._numbers, number)
        return self._times[at] if at < len(self) else now

    def below(self, when: float) -> int:
        """All messages with numbers below this one came before `when`."""
        at = bisect_right(self._times, when)
        return self._numbers[at - 1] if at else 0

    def forget_below(self, number: int) -> None:
        """Nobody has a message below this one."""
        at = bisect_left(self._numbers, number + 1)
        del self._numbers[:at], self._times[:at]

    def clear(self) -> None:
        """Nothing waits."""
        self._numbers, self._times = [], []

    def to_save(self, now: float) -> list[tuple[int, int]] | None:
        """Numbers, and how old they are in seconds, if the disk has to hear of them."""
        if now - self._saved_at < SAVE_S:
            return None
        self._saved_at = now
        return [
            (number, int(now - at)) for number, at in zip(self._numbers, self._times, strict=True)
        ]

    def restore(self, saved: list[tuple[int, int]], now: float) -> None:
        """What the disk has."""
        self._numbers = [number for number, _ in saved]
        self._times = [now - age_s for _, age_s in saved]

    def _thin(self, now: float) -> None:
        """The mark goes without which the ages beside it are still the least wrong, for their size. The
        oldest says how old all is, and stays."""
        times = self._times

        def error(at: int) -> float:
            return (times[at + 1] - times[at - 1]) / (now - times[at + 1] + STEP_S)

        at = min(range(1, len(times) - 1), key=error)
        del self._numbers[at], times[at]
