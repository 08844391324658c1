"""Where clients are sent by a gateway that takes none. Must not know who they are, or why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Referral:
    """`others` gives the doors of other gateways, "host" or "host:port"."""

    others: Callable[[], Sequence[str]]
    asked: int = 0

    def reference(self) -> str | None:
        """A server reference, section 4.11: all of them with blanks between, each in turn the first."""
        doors = list(self.others())
        if not doors:
            return None
        first = self.asked % len(doors)
        self.asked += 1
        return " ".join(doors[first:] + doors[:first])
