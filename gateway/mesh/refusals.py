"""Gateways that this one would not link with, and why, as long as that is news.

Must not know how they were found out.
"""

from dataclasses import dataclass

from gateway.limits import REFUSAL_SHOWN_S, REFUSALS_MAX


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is one of frames.py, "other-cluster", or of keys: "key" (another), "key-over" (theirs),
    "key-here" (ours is not taken), or "forgotten-here" (we are); `who` a name or an address."""

    code: str
    who: str
    text: str


class Refusals:
    """The latest refusal of each gateway."""

    def __init__(self) -> None:
        self._refusals: dict[str, tuple[float, Refusal]] = {}

    def add(self, refusal: Refusal, now: float) -> bool:
        """Remembers it; True if it is news, and belongs in the log."""
        before = self._refusals.pop(refusal.who, None)
        if before is None and len(self._refusals) >= REFUSALS_MAX:
            del self._refusals[next(iter(self._refusals))]
        self._refusals[refusal.who] = (now, refusal)
        return before is None or before[1] != refusal or now - before[0] > REFUSAL_SHOWN_S

    def clear(self, who: str) -> None:
        """It is one of us now."""
        self._refusals.pop(who, None)

    def current(self, now: float) -> list[Refusal]:
        """What was refused within the last minute."""
        return [refusal for at, refusal in self._refusals.values() if now - at < REFUSAL_SHOWN_S]
