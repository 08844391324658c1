"""What is on its way out to one client: a list of encoded pieces, joined and written once a turn.

The touched outboxes of a broker stand in one list, so that a turn of the loop costs nothing for the
others. Must not know what the pieces mean.
"""

from typing import Protocol

from gateway.effects import Writer
from gateway.mqtt.message import Message


class Shorten(Protocol):
    """What replaces topics by aliases on one connection."""

    def parts(self, message: Message, qos: int, retain: bool, now: float) -> tuple[bytes, bytes]:
        """The message as `Message.parts` gives it, or shorter. It must be sent."""

    def give_room(self) -> None:
        """The connection is over."""


class Tap(Protocol):
    """What is told of each message to clients, while somebody watches (`traces.py`)."""

    def sent(
        self,
        client: str,
        message: Message,
        qos: int,
        retain: bool,
        now: float,
        packet_id: int = 0,
        dup: bool = False,
    ) -> None:
        """It was written to the client."""

    def lost(self, client: str, message: Message, qos: int, why: str, now: float) -> None:
        """The client does not get it."""


class Outbox:
    """Appending to `pieces` directly is allowed in hot loops that do what `send` does."""

    __slots__ = (
        "aliases",
        "congested",
        "dialect",
        "ended",
        "held",
        "look",
        "owner",
        "packet_bytes_max",
        "pieces",
        "tap",
        "touched",
    )

    def __init__(self, touched: "list[Outbox]") -> None:
        self.pieces: list[bytes] = []
        self.touched = touched
        self.dialect = 0
        self.packet_bytes_max = 0  # what the client takes; 0: no limit of its own
        self.aliases: Shorten | None = None  # the client takes topic aliases
        self.tap: Tap | None = None  # somebody watches
        self.congested = False  # the client does not read as fast as it is written to
        self.look = False  # the shell is to look at more than the pieces: the flow, the end
        self.ended = False  # close the connection once these pieces are written
        self.held = False  # nothing is to be written yet, unless it is the end
        self.owner: Writer | None = None

    @property
    def ready(self) -> bool:
        """Whether there is something to be written now."""
        return bool(self.pieces) and (not self.held or self.ended)

    def let_go(self) -> None:
        """What was held may be written."""
        self.held = False
        if self.pieces:
            self.touched.append(self)

    def parts(self, message: Message, qos: int, retain: bool, now: float) -> tuple[bytes, bytes]:
        """The message for this client: what comes before its packet id, and what behind. To be sent
        next, unless it is larger than the client takes."""
        if self.aliases is not None:
            return self.aliases.parts(message, qos, retain, now)
        return message.parts(self.dialect, qos, retain, now)

    def send(self, *pieces: bytes) -> None:
        """Adds one packet, in pieces."""
        if not self.pieces:
            self.touched.append(self)
        self.pieces.extend(pieces)

    def touch(self) -> None:
        """Has the shell look at this connection at the end of the turn, pieces or not."""
        self.look = True
        if not self.pieces:
            self.touched.append(self)

    def end(self) -> None:
        """Nothing may follow: the connection closes behind what is in here."""
        self.touch()
        self.ended = True

    def take(self) -> bytes:
        """All that waits, as one write; the box is empty afterwards."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data
