"""The bound over all clients together: bytes written to sockets that the other ends have not taken.

Each client has its own bound, and ten thousand times that is more than any box has. While more than
half is used, a client that is far behind counts as one that does not read: QoS 0 for it is dropped, the
rest waits in its queue. When all is used, what is in an outbox stays there, as pieces that many outboxes
share, and is written as others take theirs; who takes next to nothing for STUCK_S meanwhile is cut
off, and gets the rest in its session when it is back. Short answers to a client that is not behind
never wait.

What is written counts until it is looked at again, which costs a question to each socket, and happens
when half seems used. Under TLS the last write is not seen: it is in the library below. Must not know
what the bytes say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

TICK_S = 0.02  # while somebody waits or more than half is used; who took much in it is not behind
BEHIND_BYTES = 65_536  # unsent to one client, while more than half is used
SHORT_BYTES = 4_096  # acknowledgements of one turn
STUCK_S = 5.0  # a client that takes less than MOVES_BYTES in this time keeps others waiting
MOVES_BYTES = 16_384
AT_ONCE_MAX = 200  # of those who wait, in one tick: the longest waiting first


class Sender(Protocol):
    """The shell's end of one client's socket."""

    def unsent(self) -> int:
        """Bytes that were written and not taken."""

    def flush(self) -> None:
        """Writes what waits, if `Unsent.takes` allows it."""

    def hold(self, held: bool) -> None:
        """From now on the client counts as one that does not read, or as one that does."""

    def cut_off(self) -> None:
        """Ends the connection at once. `Unsent.left` follows."""


@dataclass(slots=True, eq=False)
class Line:
    """`size` is what was unsent when it was looked at, and all that was written since. `behind_since`
    is since when the client was not seen to take anything to speak of; 0: it took all, or much."""

    sender: Sender
    size: int = 0
    behind_since: float = 0.0
    taken: int = 0  # since then
    held: bool = False
    waits: bool = False


class Unsent:
    """`used` of `bytes_max`. `call_later` is the loop's, `now` in monotonic seconds."""

    def __init__(
        self,
        bytes_max: int,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.used = 0
        self.half = bytes_max // 2
        self._bytes_max = bytes_max
        self._now = now
        self._call_later = call_later
        self._lines: dict[Line, None] = {}
        self._waiting: dict[Line, None] = {}
        self._fresh = False  # it was looked since the turn began
        self._ticking = False

    def joined(self, sender: Sender) -> Line:
        """A client's socket is open; `left` must follow when it is gone."""
        line = Line(sender)
        self._lines[line] = None
        return line

    def left(self, line: Line) -> None:
        """The socket is gone, and what was unsent with it."""
        self.used -= line.size
        line.size = 0
        self._lines.pop(line, None)
        self._waiting.pop(line, None)

    def turn(self) -> None:
        """A turn of the loop begins: what was written in the last one may be gone by now."""
        self._fresh = False

    def wrote(self, line: Line, size: int) -> None:
        """So many bytes more were handed to the socket."""
        line.size += size
        self.used += size

    def takes(self, line: Line, size: int) -> bool:
        """Whether so many bytes may be handed to the socket; if not, `flush` is called again."""
        if self._has_room(line, size):
            line.waits = False
            self._waiting.pop(line, None)
            return True
        line.waits = True
        self._waiting[line] = None
        self._hold(line, True)
        self._tick_later()
        return False

    def _has_room(self, line: Line, size: int) -> bool:
        if self.used > self.half and not self._fresh:
            self._look()
        if self.used <= self.half or self.used + size <= self._bytes_max:
            return True
        return size <= SHORT_BYTES and not line.size

    def _look(self) -> None:
        """Asks each socket, and tells who is far behind."""
        self._fresh = True
        now = self._now()
        self.used = 0
        for line in self._lines:
            if line.size:
                self._look_at(line, now)
                self.used += line.size
        crowded = self.used > self.half
        if crowded:
            self._tick_later()
        for line in self._lines:
            if line.held and not line.waits and (not crowded or line.size < BEHIND_BYTES // 4):
                self._hold(line, False)
            elif crowded and line.size > BEHIND_BYTES and 0 < line.behind_since <= now - TICK_S:
                self._hold(line, True)

    def _look_at(self, line: Line, now: float) -> None:
        size = line.sender.unsent()
        line.taken += line.size - size
        line.size = size
        if not size or line.taken >= MOVES_BYTES:
            line.behind_since, line.taken = 0.0, 0
        elif not line.behind_since:
            line.behind_since, line.taken = now, 0

    def _hold(self, line: Line, held: bool) -> None:
        if line.held != held:
            line.held = held
            line.sender.hold(held)

    def _tick_later(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._look()
        if self._waiting:
            stuck_since = self._now() - STUCK_S
            for line in [each for each in self._lines if 0 < each.behind_since < stuck_since]:
                self.left(line)
                line.sender.cut_off()
        for line in list(self._waiting)[:AT_ONCE_MAX]:
            line.sender.flush()
        if self._waiting or any(line.held for line in self._lines):
            self._tick_later()
