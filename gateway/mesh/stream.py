"""The numbered stream of messages from one gateway to another: the sending end.

Each entry has a number, and so has what is said about a session that moves; the receiver says up to
which it has taken them, and which of those are for sessions that it keeps and wait for its disk. A
ticket is held until its entries are taken, and those that wait are kept. What is not yet so is sent
again when the link was broken and is back.

When the receiver starts anew or is dead, its memory is gone or out of reach. Then what is of QoS 1 or 2
and is not known to be kept goes to whoever calls `park`, who keeps it for the sessions of that gateway,
or, without a disk, has it parked here: when it is back it is offered once more, as far as its disk does
not have it, for the sessions that its disk has. What was for one member of a shared subscription goes to
another one instead; what was said of moves is forgotten. Must not know links or what a message is for.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from gateway.errors import LinkError
from gateway.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    PARKED_BYTES_MAX,
    UNTAKEN_BYTES_HIGH,
    UNTAKEN_BYTES_LOW,
    UNTAKEN_BYTES_MAX,
)
from gateway.mesh.frames import Entries, Entry, Frame, Ranges, Said, encode, split
from gateway.mesh.incoming import nobody_waits
from gateway.moves import Move
from gateway.tickets import Ticket

ENTRY_OVERHEAD_BYTES = 32  # of the envelope of one entry, near enough


@dataclass(slots=True)
class _Held:
    """A ticket that waits for entries `first` to `last`, which follow each other."""

    ticket: Ticket
    first: int
    last: int


@dataclass(slots=True, eq=False)
class _Batch:
    """One frame of entries. `waits` are those of them that the receiver has and does not keep yet, with
    the tickets that wait for that."""

    first: int
    last: int
    frame: bytes
    held: list[_Held]
    waits: dict[tuple[int, int], list[Ticket]] = field(default_factory=dict)


@dataclass(slots=True)
class _Parked:
    """One entry by its old number, since `at` (monotonic seconds), and who still waits for it."""

    number: int
    entry: Entry
    at: float
    tickets: list[Ticket]


Lost = tuple[Entry, list[Ticket]]  # an entry for a shared subscription, and who waits for it
Unkept = tuple[int, Entry, list[Ticket]]  # one for sessions there, by its number


@dataclass(slots=True)
class Outgoing:
    """`number` is the last one given, `taken_number` the last one taken by the other side; `dropped`
    counts messages beyond the bound, `unsent` is sealed and not yet on a link. `stir` is called when
    something is added, so that whoever closes the turn need not look for it.
    """

    number: int = 0
    taken_number: int = 0
    dropped: int = 0
    unsent: list[bytes] = field(default_factory=list)
    stir: Callable[[], object] = nobody_waits
    _entries: list[Entry] = field(default_factory=list)
    _entries_bytes: int = 0
    _held: list[_Held] = field(default_factory=list)
    _untaken: deque[_Batch] = field(default_factory=deque)
    _unkept: dict[tuple[int, int], _Batch] = field(default_factory=dict)  # by what waits
    _parked: list[_Parked] = field(default_factory=list)
    _bytes: int = 0  # of the frames in the two before
    _parked_bytes: int = 0
    _crowded: bool = False

    def add(self, entry: Entry, ticket: Ticket | None) -> None:
        """Appends an entry; holds the ticket until the other side has taken it, or keeps it."""
        if not self._entries:
            self.stir()
        self.number += 1
        self._entries.append(entry)
        self._entries_bytes += _size(entry)
        if ticket is not None:
            held = self._held
            # entries of one ticket come one after the other: to hold it once is enough
            if held and held[-1].ticket is ticket and held[-1].last == self.number - 1:
                held[-1].last = self.number
            else:
                ticket.hold()
                held.append(_Held(ticket, self.number, self.number))
        if self._entries_bytes > BATCH_BYTES_MAX or len(self._entries) >= BATCH_ENTRIES_MAX:
            self.seal()

    def seal(self) -> None:
        """Encodes what was added since the last call as one frame."""
        if not self._entries:
            return
        first = self.number - len(self._entries) + 1
        self._append(first, Entries(first, self._entries))
        self._entries, self._entries_bytes = [], 0

    def say(self, move: Move) -> None:
        """Appends what is said about a session that moves. Whoever says it bounds it."""
        self.seal()
        self.number += 1
        self._append(self.number, Said(self.number, move))

    def hold(self, ticket: Ticket) -> None:
        """Holds the ticket until the other side has taken, or keeps, all that was added so far."""
        self.seal()
        if self._untaken:
            ticket.hold()
            last = self._untaken[-1]
            last.held.append(_Held(ticket, last.first, last.last))

    def _append(self, first: int, frame: Frame) -> None:
        self.stir()
        data = encode(frame)
        self._untaken.append(_Batch(first, self.number, data, self._held))
        self._held = []
        self._bytes += len(data)
        self.unsent.append(data)
        if self._bytes > UNTAKEN_BYTES_HIGH:
            self._crowded = True

    def taken(self, number: int, waits: Ranges) -> None:
        """The other side has everything up to `number`, `waits` of the new ones in memory only.

        Raises LinkError if there is no such number.
        """
        if number > self.number:
            raise LinkError("malformed", f"entry {number} is taken, {self.number} is the last one")
        self.taken_number = max(self.taken_number, number)
        at = 0
        while self._untaken and self._untaken[0].last <= number:
            batch = self._untaken.popleft()
            while at < len(waits) and waits[at][1] < batch.first:
                at += 1
            while at < len(waits) and waits[at][0] <= batch.last:
                batch.waits[waits[at]] = []
                at += 1
            self._settle(batch)
        self._perhaps_uncrowd()

    def _settle(self, batch: _Batch) -> None:
        """The batch is taken: its tickets go, but for what waits."""
        for held in batch.held:
            for (first, last), tickets in batch.waits.items():
                if first <= held.last and held.first <= last:
                    held.ticket.hold()
                    tickets.append(held.ticket)
        self._unkept.update(dict.fromkeys(batch.waits, batch))
        if not batch.waits:
            self._bytes -= len(batch.frame)
        _release_all(batch.held)

    def kept(self, ranges: Iterable[tuple[int, int]], why: str = "") -> None:
        """The other side keeps these, or says why it cannot."""
        for entries in ranges:
            batch = self._unkept.pop(entries, None)
            if batch is None:
                continue  # it was parked meanwhile
            tickets = batch.waits.pop(entries)
            if not batch.waits:
                self._bytes -= len(batch.frame)
            for ticket in tickets:
                if why:
                    ticket.fail(why)
                else:
                    ticket.release()
        self._perhaps_uncrowd()

    def go_on(self, number: int, waits: Ranges, now: float) -> None:
        """A new link: the other side has all up to `number`, `waits` of that in memory only; if it began
        anew, on its disk. What it has not goes again. Raises LinkError as `taken`."""
        self.stir()
        self.kept(set(self._unkept).difference(waits))
        self.taken(number, waits)
        self.unsent = [batch.frame for batch in self._untaken]
        parked, self._parked, self._parked_bytes = self._parked, [], 0
        for each in parked:
            entry = _aged(each.entry, now - each.at)
            if each.number > number and entry is not None:
                self.add(entry, None)
                self._held += [_Held(ticket, self.number, self.number) for ticket in each.tickets]
            else:
                _release(each.tickets)

    def park(self) -> tuple[list[Lost], list[Unkept]]:
        """The other side as it was is gone, or out of reach.

        Returns what was for members of shared subscriptions, and what was for sessions there and is not
        known to be kept, in order; the tickets are held once for the caller.
        """
        self.seal()
        self.unsent.clear()
        lost: list[Lost] = []
        unkept: list[Unkept] = []
        for batch in [*dict.fromkeys(self._unkept.values()), *self._untaken]:
            self._part_with(batch, lost, unkept)
        unkept.sort(key=lambda each: each[0])
        self._unkept.clear()
        self._untaken.clear()
        self._bytes, self._crowded = 0, False
        self.taken_number = self.number
        return lost, unkept

    def keep(self, unkept: Iterable[Unkept], now: float) -> None:
        """Parks what `park` returned: there is no disk for it."""
        for number, entry, tickets in unkept:
            if self._parked_bytes + _size(entry) > PARKED_BYTES_MAX:
                self.dropped += 1
                _release(tickets)
                continue
            self._parked_bytes += _size(entry)
            self._parked.append(_Parked(number, replace(entry, late=True), now, tickets))

    def release_tickets(self) -> None:
        """Nobody waits any longer for it to take or keep what it was sent; that stays."""
        held = [each for batch in self._untaken for each in batch.held] + self._held
        for batch in self._untaken:
            batch.held = []
        self._held = []
        tickets = [ticket for at, batch in self._unkept.items() for ticket in batch.waits[at]]
        for at, batch in self._unkept.items():
            batch.waits[at] = []
        for parked in self._parked:
            tickets += parked.tickets
            parked.tickets = []
        self._crowded = False
        _release_all(held)  # who waited may say something, which comes behind all this
        _release(tickets)

    def full(self) -> bool:
        """Whether more waits than may: what can be dropped should be."""
        return self._bytes + self._entries_bytes + self._parked_bytes > UNTAKEN_BYTES_MAX

    def crowded(self) -> bool:
        """Whether publishers should pause: between the high and the low mark, as last passed."""
        return self._crowded

    def untaken(self) -> int:
        """Entries that the other side has not taken, in messages."""
        return self.number - self.taken_number

    def _part_with(self, batch: _Batch, lost: list[Lost], unkept: list[Unkept]) -> None:
        """Finds what the batch promised and is not known to be kept."""
        (entries,), _ = split(batch.frame)
        if isinstance(entries, Said):
            _release_all(batch.held)
            return
        assert isinstance(entries, Entries)
        for (first, last), tickets in (batch.waits or {(batch.first, batch.last): []}).items():
            for number in range(first, last + 1):
                entry = entries.entries[number - batch.first]
                if not entry.qos:
                    continue
                waiting = [each.ticket for each in batch.held if each.first <= number <= each.last]
                waiting += tickets
                for ticket in waiting:
                    ticket.hold()
                if entry.group:
                    lost.append((entry, waiting))
                else:
                    unkept.append((number, entry, waiting))
            _release(tickets)
        _release_all(batch.held)

    def _perhaps_uncrowd(self) -> None:
        if self._bytes < UNTAKEN_BYTES_LOW:
            self._crowded = False


def _size(entry: Entry) -> int:
    """In a frame, near enough; a client chooses how long each part is."""
    text = len(entry.publisher) + len(entry.properties) + len(entry.group)
    return len(entry.payload) + len(entry.field) + text + ENTRY_OVERHEAD_BYTES


def _aged(entry: Entry, seconds: float) -> Entry | None:
    """The entry after so long; None if it has expired."""
    if entry.expires_ms is None:
        return entry
    left_ms = entry.expires_ms - round(seconds * 1000)
    return replace(entry, expires_ms=left_ms) if left_ms > 0 else None


def _release_all(held: list[_Held]) -> None:
    waiting, held[:] = list(held), []
    for each in waiting:
        each.ticket.release()


def _release(tickets: list[Ticket]) -> None:
    waiting, tickets[:] = list(tickets), []
    for ticket in waiting:
        ticket.release()
