"""Long work in slices, so that others are served in between: so much a turn for one, so much for all.

Who may go on in this turn is told by `budget`; who may not stands in a line, and is called in the next
turns. Must not know what the work is.
"""

from collections import deque
from collections.abc import Callable

from gateway.timers import NO_TIMER, Timers

SLICE_BYTES = 65_536  # of one session in a turn: 1 ms, about
TURN_BYTES = 524_288  # of all together: 10,000 sessions that begin at once fill no memory


class Slices:
    """The unit is a byte that is written; for other work its owner says how many bytes it is worth."""

    __slots__ = ("_left", "_line", "_timer", "_timers")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._timer = NO_TIMER  # the next turn, while there is anything to say in it
        self._left = TURN_BYTES
        self._line: deque[Callable[[float], None]] = deque()

    def budget(self) -> int:
        """What one may do now; nothing, if not positive: `wait`."""
        return min(SLICE_BYTES, self._left)

    def spent(self, size: int, now: float) -> None:
        """Work of so many bytes was done."""
        self._left -= size
        self._wake_at(now)

    def wait(self, go_on: Callable[[float], None], now: float) -> None:
        """Calls `go_on(now)` in a later turn, once, when there is a budget."""
        self._line.append(go_on)
        self._wake_at(now)

    def _wake_at(self, now: float) -> None:
        if self._timer == NO_TIMER:
            self._timer = self._timers.set(now, self._next_turn)

    def _next_turn(self, now: float) -> None:
        self._timer = NO_TIMER
        self._left = TURN_BYTES
        for _ in range(len(self._line)):  # who comes again meanwhile, comes in the next
            if self._left <= 0:
                break
            self._line.popleft()(now)
        if self._line:
            self._wake_at(now)
