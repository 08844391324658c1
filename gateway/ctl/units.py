"""Figures as short words, each within the width that its name promises.

None is always "-": the figure is not known. Must not know which column it is for.
"""

from collections.abc import Callable

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
YEAR_S = 365 * DAY_S


def count(value: float | None) -> str:
    """At most four characters up to 999T: 0.3, 9999, 12k, 1.5M."""
    if value is None:
        return "-"
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    if round(value) < 10_000:
        return str(round(value))
    for suffix in "kMG":
        value /= 1000
        if round(value) < 1000:
            return _two_digits(value) + suffix
    return f"{round(value / 1000)}T"


def _two_digits(value: float) -> str:
    """1.5, but 10 and 150."""
    return f"{value:.1f}" if value < 9.95 else str(round(value))


def duration(seconds: float | None) -> str:
    """At most five characters: 0.4s, 59s, 12m, 9h59, 3d4h, 999d, 12y."""
    if seconds is None:
        return "-"
    if seconds < 0.95:
        return f"{seconds:.1f}s"
    whole = int(seconds + 0.05)
    steps: tuple[tuple[int, Callable[[int], str]], ...] = (
        (MINUTE_S, lambda s: f"{s}s"),
        (HOUR_S, lambda s: f"{s // MINUTE_S}m"),
        (DAY_S, lambda s: f"{s // HOUR_S}h{s % HOUR_S // MINUTE_S:02}"),
        (10 * DAY_S, lambda s: f"{s // DAY_S}d{s % DAY_S // HOUR_S}h"),
        (1000 * DAY_S, lambda s: f"{s // DAY_S}d"),
        (1000 * YEAR_S, lambda s: f"{s // YEAR_S}y"),
    )
    for limit, word in steps:
        if whole < limit:
            return word(whole)
    return ">999y"


def size(value_bytes: float) -> str:
    """At most five characters: 0B, 1.5kB, 12MB, 999GB."""
    return count(value_bytes) + "B"


def milliseconds(value: float | None) -> str:
    """At most five characters: 350us, 1.2ms, 250ms, 1.5s, 99s."""
    if value is None:
        return "-"
    if value < 0.9995:
        return f"{round(value * 1000)}us"
    if value < 999.5:
        return f"{_two_digits(value)}ms"
    return f"{_two_digits(value / 1000)}s" if value < 999_500 else ">999s"


def load(value: float | None) -> str:
    """At most four characters: 0.25, 12.5, 250."""
    if value is None or value >= 99.95:
        return count(value)
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


def percent(value: float | None) -> str:
    """At most four characters."""
    return "-" if value is None else f"{min(round(value), 100)}%"


def celsius(value: float | None) -> str:
    """At most four characters: 52C, -40C."""
    return "-" if value is None else f"{max(-99, min(round(value), 999))}C"
