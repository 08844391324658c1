"""How far the disk is with what other gateways send, so that after a start nothing comes twice.

The position of a stream goes into the batch of the messages that it counts. Must not know links.
"""

from gateway.broker.journal import Journal
from gateway.broker.keeping import StreamRow, keep_stream


class Streams:
    """By gateway: the start of it whose stream it is, and the number of the last message."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows: dict[str, StreamRow] = {}

    def restore(self, gateway: str, row: StreamRow) -> None:
        """What the disk says."""
        self._rows[gateway] = row

    def position(self, gateway: str, start: str) -> int:
        """The number; 0 for another start of it than the one that is known."""
        row = self._rows.get(gateway)
        return row.number if row is not None and row.start == start else 0

    def rows(self) -> list[tuple[str, StreamRow]]:
        """All of them, for a copy of the disk."""
        return list(self._rows.items())

    def keep(self, gateway: str, start: str, number: int) -> None:
        """All up to `number` is on disk as soon as this is."""
        row = self._rows[gateway] = StreamRow(start, number)
        keep_stream(self._journal, gateway, row)
