"""How long to wait before the next attempt: doubling, with a ceiling, spread by chance.

The spread keeps many gateways that lost the same thing from coming back in step. Knows no clock.
"""

from random import Random

_SPREAD = 0.25  # up to this part of a delay is left out


class Backoff:
    """Delays from `first_s` to `most_s`."""

    def __init__(self, first_s: float, most_s: float, random: Random) -> None:
        assert 0 < first_s <= most_s
        self._first_s = first_s
        self._most_s = most_s
        self._random = random
        self._base_s = first_s

    def next_delay_s(self) -> float:
        """The wait before the next attempt; each call doubles what the one after it returns."""
        base_s = self._base_s
        self._base_s = min(base_s * 2, self._most_s)
        return base_s * (1 - _SPREAD * self._random.random())

    def reset(self) -> None:
        """What was tried works: the next failure starts again at `first_s`."""
        self._base_s = self._first_s
