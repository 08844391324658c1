"""The numbered stream of messages from one gateway to another: the receiving end.

Takes each entry once. Those that are for sessions which are kept wait until they are on disk (and at the
stand-in): the other side is told which wait, and then that they do not any more. Must not know links or
what a message is for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.errors import LinkError
from gateway.mesh.frames import Entries, Entry, Ranges, Said
from gateway.tickets import Ticket


def nobody_waits() -> None:
    """For a stream that is on its own."""


@dataclass(slots=True)
class Incoming:
    """`number` is the last one taken. `start` names the start of the gateway that it comes from; `stir`
    is called when there is something to say.

    What is to be said about entries that were taken: `news` wait for the disk, `kept` do not any more,
    `failed` cannot be kept, by reason.
    """

    number: int = 0
    start: str = ""
    stir: Callable[[], object] = nobody_waits
    news: Ranges = field(default_factory=list)
    kept: Ranges = field(default_factory=list)
    failed: dict[str, Ranges] = field(default_factory=dict)
    _waiting: dict[int, int] = field(default_factory=dict)  # first to last

    def begin(self, number: int) -> None:
        """The stream goes on behind `number`. Raises LinkError if that was taken long ago."""
        if number < self.number:
            raise LinkError("malformed", f"the stream goes back from {self.number} to {number}")
        self.stir()
        self.number = number

    def take(self, frame: Entries) -> list[Entry]:
        """The entries of the frame that are new here. Raises LinkError if some are missing."""
        self.stir()
        fresh = frame.entries[self._known_from(frame.number) :]
        self.number += len(fresh)
        return fresh

    def is_new(self, frame: Said) -> bool:
        """Takes what is said about a move; whether it is new here. Raises LinkError as `take`."""
        if self._known_from(frame.number):
            return False
        self.stir()
        self.number += 1
        return True

    def _known_from(self, number: int) -> int:
        """How many entries from this one on were taken before."""
        if number > self.number + 1:
            raise LinkError("malformed", f"entry {number} follows entry {self.number}")
        return self.number + 1 - number

    def waiting(self) -> Ranges:
        """All that wait. On a new link this says it all: what was to be said before is settled by it."""
        self.news, self.kept, self.failed = [], [], {}
        return list(self._waiting.items())

    def wait(self, first: int, last: int) -> None:
        """These wait for the disk."""
        self.stir()
        self._waiting[first] = last
        self.news.append((first, last))

    def settle(self, first: int, why: str) -> None:
        """The range that begins there is kept, or, for this reason, cannot be."""
        last = self._waiting.pop(first, None)
        if last is None:
            return
        self.stir()
        if why:
            self.failed.setdefault(why, []).append((first, last))
        elif self.news and self.news[-1] == (first, last):
            self.news.pop()  # within a turn: nothing to say
        else:
            self.kept.append((first, last))


class Promise:
    """Entries `first` to `last`, while they are given to the broker; it may ask for a ticket."""

    __slots__ = ("_closed", "_first", "_incoming", "_insist", "_last", "_ticket", "_why")

    def __init__(
        self,
        incoming: Incoming,
        first: int,
        last: int,
        insist: Callable[[Ticket], None] | None = None,
    ) -> None:
        """`insist`: they were taken from their publisher, and cannot be refused: it holds a ticket until
        the disk has all that was given to it, whenever that is."""
        self._insist = insist
        self._incoming = incoming
        self._first, self._last = first, last
        self._ticket: Ticket | None = None
        self._closed = False
        self._why = ""

    def ticket(self) -> Ticket:
        """The one that is held by whoever must keep them."""
        if self._ticket is None:
            self._ticket = Ticket(lambda: self._incoming.settle(self._first, ""), self._failed)
            self._ticket.hold()
        return self._ticket

    def close(self) -> bool:
        """The broker has them; True if they are on their way to a disk, whoever waits for that."""
        ticket = self._ticket
        if ticket is None:
            return False
        self._closed = True
        if ticket.waiting > 1 or self._why:
            self._incoming.wait(self._first, self._last)
        if self._why:
            self._incoming.settle(self._first, self._why)
        ticket.release()
        return not self._why

    def _failed(self, why: str) -> None:
        if self._insist is not None:
            ticket = Ticket(lambda: self._incoming.settle(self._first, ""), self._failed)
            ticket.hold()
            self._insist(ticket)
            ticket.release()
        elif self._closed:
            self._incoming.settle(self._first, why)
        else:
            self._why = why
