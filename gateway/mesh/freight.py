"""What is on its way to the copy: kept here until it is on the stand-in's disk, sent in pieces.

So much may be under way that a heartbeat behind it is not late; the stand-in says when more may follow,
and later what is on disk. On a new link it goes again, from what the stand-in has. Must not know records
or links.
"""

from collections import deque
from dataclasses import dataclass

from gateway.errors import LinkError
from gateway.limits import COPY_PIECE_BYTES, COPY_WINDOW_BYTES
from gateway.mesh.frames import CopyPart


@dataclass(frozen=True, slots=True)
class Item:
    """A batch or a slice; the copy is at `number` and `slices` behind it. `last`: it is whole then.

    `part` is that of a slice in the writing again of all that lives, `shipped` when it came.
    """

    number: int
    slices: int
    payload: bytes
    shipped: float
    is_slice: bool = False
    part: int = 0
    last: bool = False

    @property
    def at(self) -> tuple[int, int]:
        """Where the copy is behind it."""
        return self.number, self.slices


class Freight:
    """`bytes` is what is kept here, in all; `sent_bytes` what has left, also more than once."""

    def __init__(self) -> None:
        self.bytes = 0
        self.sent_bytes = 0
        self._sent: deque[Item] = deque()
        self._unsent: deque[Item] = deque()
        self._offset = 0  # what of the first unsent one is sent
        self._flying: deque[int] = deque()  # the sizes of pieces that the other side holds
        self._flying_bytes = 0
        self._taken = 0

    def __len__(self) -> int:
        return len(self._sent) + len(self._unsent)

    def add(self, item: Item) -> None:
        """Something more for the copy."""
        self._unsent.append(item)
        self.bytes += len(item.payload)

    def oldest(self) -> Item | None:
        """What has waited longest for the stand-in's disk."""
        if self._sent:
            return self._sent[0]
        return self._unsent[0] if self._unsent else None

    def is_all_sent(self) -> bool:
        """Whether nothing waits for the link."""
        return not self._unsent

    def rewind(self) -> None:
        """The link is over: what is not on disk goes again."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._flying.clear()
        self._offset = self._flying_bytes = self._taken = 0

    def clear(self) -> None:
        """All of it is given up."""
        self.rewind()
        self._unsent.clear()
        self.bytes = 0

    def next_piece(self) -> CopyPart | None:
        """What may leave now."""
        if not self._unsent or self._flying_bytes >= COPY_WINDOW_BYTES:
            return None
        item = self._unsent[0]
        piece = item.payload[self._offset : self._offset + COPY_PIECE_BYTES]
        self._flying.append(len(piece))
        self._flying_bytes += len(piece)
        self.sent_bytes += len(piece)
        self._offset += len(piece)
        if self._offset < len(item.payload):
            return CopyPart(piece, more=True)
        self._offset = 0
        self._sent.append(self._unsent.popleft())
        return CopyPart(piece, False, item.number, item.slices, item.part, item.last)

    def taken(self, pieces: int) -> None:
        """So many pieces, in all on this link, are off it. Raises LinkError if that cannot be."""
        if not self._taken <= pieces <= self._taken + len(self._flying):
            raise LinkError("malformed", f"{pieces} pieces are taken, which is not so")
        while self._taken < pieces:
            self._taken += 1
            self._flying_bytes -= self._flying.popleft()

    def kept(self, at: tuple[int, int]) -> list[Item]:
        """What is on the stand-in's disk by now, and leaves."""
        gone = []
        while self._sent and self._sent[0].at <= at:
            gone.append(self._sent.popleft())
            self.bytes -= len(gone[-1].payload)
        return gone

    def begin_behind(self, at: tuple[int, int]) -> None:
        """The stand-in has all up to here: the rest is to be sent."""
        while self._unsent and self._unsent[0].at <= at:
            self.bytes -= len(self._unsent.popleft().payload)
