"""Who stands at the door: sockets by address, and those that have not got through CONNECT.

An address that has its share gets no more. When too many have not said who they are, the oldest of
them goes and the new one stays: so idle strangers cannot keep a client out that speaks at once.
Must not know sockets, or what a CONNECT says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Door:
    """`unopened` is how to close each connection without CONNECT, by its number, oldest first."""

    by_address: dict[str, int] = field(default_factory=dict)
    unopened: dict[int, Callable[[], None]] = field(default_factory=dict)
    _last: int = 0

    def came(self, address: str, most: int) -> bool:
        """Counts a socket of this address; False, and not counted, if it has `most` already."""
        count = self.by_address.get(address, 0)
        if count >= most:
            return False
        self.by_address[address] = count + 1
        return True

    def left(self, address: str) -> None:
        """A socket that was counted is gone."""
        count = self.by_address[address] - 1
        if count:
            self.by_address[address] = count
        else:
            del self.by_address[address]

    def wait(self, close: Callable[[], None]) -> int:
        """A connection waits for its CONNECT; its number is for `through`."""
        self._last += 1
        self.unopened[self._last] = close
        return self._last

    def through(self, number: int) -> None:
        """That connection is open, or closed."""
        self.unopened.pop(number, None)

    def oldest(self) -> Callable[[], None]:
        """How to close the connection that has waited longest; there must be one."""
        return next(iter(self.unopened.values()))
