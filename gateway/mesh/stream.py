"""The numbered stream of messages from one gateway to another, both ends.

Each entry has a number, and so has what is said about a session that moves; the receiver says up to
which it has taken them, and applies each once. What is not yet taken is kept encoded and sent again when
the link was broken and is back. A ticket is held until its entries are taken. Must not know links or
what a message is for.
"""

from collections import deque
from dataclasses import dataclass, field

from gateway.errors import LinkError
from gateway.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    UNTAKEN_BYTES_HIGH,
    UNTAKEN_BYTES_LOW,
    UNTAKEN_BYTES_MAX,
)
from gateway.mesh.frames import Entries, Entry, Said, encode
from gateway.moves import Move
from gateway.tickets import Ticket

ENTRY_OVERHEAD_BYTES = 32  # of the envelope of one entry, near enough


@dataclass(slots=True)
class _Batch:
    last: int
    frame: bytes
    tickets: list[Ticket]


@dataclass(slots=True)
class Outgoing:
    """The sending end. `number` is the last one given, `taken_number` the last one taken by the
    other side; `dropped` counts messages beyond the bound, `unsent` is sealed and not yet on a link.
    """

    number: int = 0
    taken_number: int = 0
    dropped: int = 0
    unsent: list[bytes] = field(default_factory=list)
    _entries: list[Entry] = field(default_factory=list)
    _entries_bytes: int = 0
    _tickets: list[Ticket] = field(default_factory=list)
    _untaken: deque[_Batch] = field(default_factory=deque)
    _untaken_bytes: int = 0
    _crowded: bool = False

    def add(self, entry: Entry, ticket: Ticket | None) -> None:
        """Appends an entry; holds the ticket until the other side has taken it."""
        self.number += 1
        self._entries.append(entry)
        self._entries_bytes += _size(entry)
        # entries of one ticket come one after the other: to hold it once is enough
        if ticket is not None and (not self._tickets or self._tickets[-1] is not ticket):
            ticket.hold()
            self._tickets.append(ticket)
        if self._entries_bytes > BATCH_BYTES_MAX or len(self._entries) >= BATCH_ENTRIES_MAX:
            self.seal()

    def say(self, move: Move) -> None:
        """Appends what is said about a session that moves. Whoever says it bounds it."""
        self.seal()
        self.number += 1
        self._append(encode(Said(self.number, move)))

    def hold(self, ticket: Ticket) -> None:
        """Holds the ticket until the other side has taken all that was added so far."""
        self.seal()
        if self._untaken:
            ticket.hold()
            self._untaken[-1].tickets.append(ticket)

    def seal(self) -> None:
        """Encodes what was added since the last call as one frame."""
        if not self._entries:
            return
        self._append(encode(Entries(self.number - len(self._entries) + 1, self._entries)))
        self._entries, self._entries_bytes = [], 0

    def _append(self, frame: bytes) -> None:
        self._untaken.append(_Batch(self.number, frame, self._tickets))
        self._tickets = []
        self._untaken_bytes += len(frame)
        self.unsent.append(frame)
        if self._untaken_bytes > UNTAKEN_BYTES_HIGH:
            self._crowded = True

    def restart(self) -> None:
        """A new link: everything that is not taken goes again."""
        self.unsent = [batch.frame for batch in self._untaken]

    def taken(self, number: int) -> None:
        """The other side has everything up to `number`. Raises LinkError if there is no such one."""
        if number > self.number:
            raise LinkError("malformed", f"entry {number} is taken, {self.number} is the last one")
        self.taken_number = max(self.taken_number, number)
        while self._untaken and self._untaken[0].last <= number:
            batch = self._untaken.popleft()
            self._untaken_bytes -= len(batch.frame)
            _release(batch.tickets)
        if self._untaken_bytes < UNTAKEN_BYTES_LOW:
            self._crowded = False

    def release_tickets(self) -> None:
        """Nobody waits any longer for the other side; the entries stay, to be sent again."""
        tickets = [ticket for batch in self._untaken for ticket in batch.tickets]
        tickets += self._tickets
        for batch in self._untaken:
            batch.tickets = []
        self._tickets = []
        _release(tickets)  # who was waiting may say something
        self._crowded = False

    def forget(self) -> None:
        """The other side, as it was, is gone: what it has not taken is not kept for it."""
        self.release_tickets()
        self._untaken.clear()
        self._entries.clear()
        self.unsent.clear()
        self._untaken_bytes = self._entries_bytes = 0
        self.taken_number = self.number

    def full(self) -> bool:
        """Whether more waits than may: what can be dropped should be."""
        return self._untaken_bytes + self._entries_bytes > UNTAKEN_BYTES_MAX

    def crowded(self) -> bool:
        """Whether publishers should pause: between the high and the low mark, as last passed."""
        return self._crowded

    def untaken(self) -> int:
        """Entries that the other side has not taken, in messages."""
        return self.number - self.taken_number


def _size(entry: Entry) -> int:
    """In a frame, near enough; a client chooses how long each part is."""
    text = len(entry.publisher) + len(entry.properties)
    return len(entry.payload) + len(entry.field) + text + ENTRY_OVERHEAD_BYTES


def _release(tickets: list[Ticket]) -> None:
    waiting, tickets[:] = list(tickets), []
    for ticket in waiting:
        ticket.release()


@dataclass(slots=True)
class Incoming:
    """The receiving end. `number` is the last one taken."""

    number: int = 0

    def start(self, number: int) -> None:
        """The stream goes on behind `number`. Raises LinkError if that was taken long ago."""
        if number < self.number:
            raise LinkError("malformed", f"the stream goes back from {self.number} to {number}")
        self.number = number

    def take(self, frame: Entries) -> list[Entry]:
        """The entries of the frame that are new here. Raises LinkError if some are missing."""
        fresh = frame.entries[self._known_from(frame.number) :]
        self.number += len(fresh)
        return fresh

    def is_new(self, frame: Said) -> bool:
        """Whether what is said is new here. Raises LinkError as `take` does."""
        if self._known_from(frame.number):
            return False
        self.number += 1
        return True

    def _known_from(self, number: int) -> int:
        """How many entries from this one on were taken before."""
        if number > self.number + 1:
            raise LinkError("malformed", f"entry {number} follows entry {self.number}")
        return self.number + 1 - number
