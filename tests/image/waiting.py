"""Waiting for a condition, with an end."""

import time
from collections.abc import Callable

PAUSE_S = 0.1


def wait_until(
    condition: Callable[[], bool], within_s: float, what: str, story: Callable[[], str] = str
) -> float:
    """Seconds until `condition` held. Fails with `what` and the end of `story` when it does not."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > within_s:
            raise AssertionError(f"not within {within_s:g} s: {what}\n{story()[-6000:]}")
        time.sleep(PAUSE_S)
    return time.monotonic() - begun
