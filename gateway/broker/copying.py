"""The second copy, as a broker sees it: what goes there, and whether an answer waits for it.

Batches go to the copier as they begin. A copy that is made anew gets all that lives besides, in slices
between the batches: rows first, each as it is when its turn comes, then messages, with what became of
them since this began (`rewriting.py`). What is retained, users and rules are in no slice: all gateways
have them. Must not know where the copy lies.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

import msgspec

from gateway.broker.collected import MeshTime
from gateway.broker.records import Record, Rewrite, Row
from gateway.broker.rewriting import SLICE_BYTES_MAX, Rewriting

ROWS_MAX = 500  # in a slice: the loop makes them, and others wait meanwhile
_ROW_BYTES = 60  # of its envelope, near enough

_encoder = msgspec.msgpack.Encoder()


class Copier(Protocol):
    """The gateway that keeps the copy."""

    def takes(self) -> bool:
        """Whether batches are to be shipped now."""

    def ship(self, number: int, payload: bytes, now: float) -> None:
        """A batch begins: its number, and its records as they stand in the log."""

    def ship_slice(self, payload: bytes, part: int, now: float) -> None:
        """Some of all that lives, in the same form; `part` is the value of a `Rewrite`."""

    def owes(self, number: int, now: float) -> bool:
        """The batch is on disk here: whether its answers wait until the copy has it, too.

        If so, `Journal.copied` follows.
        """


class NoCopier:
    """Nobody keeps a copy."""

    def takes(self) -> bool:
        return False

    def ship(self, number: int, payload: bytes, now: float) -> None:
        raise AssertionError("nobody takes it")

    def ship_slice(self, payload: bytes, part: int, now: float) -> None:
        raise AssertionError("nobody takes it")

    def owes(self, number: int, now: float) -> bool:
        return False


class Copying:
    """All that lives, on its way to the copy. `rows` is empty where the copy has them."""

    def __init__(self, rows: Iterator[Row], messages: Rewriting) -> None:
        self._rows = rows
        self.messages = messages
        self._begun = False

    def slice(self, mesh_ms: MeshTime) -> tuple[list[Record], Rewrite]:
        """The next slice, and whether it is the first, the last, or both."""
        begins, self._begun = not self._begun, True
        records: list[Record] = []
        size = 0
        for row in islice(self._rows, ROWS_MAX):
            records.append(row)
            size += len(row.key) + len(row.value or b"") + _ROW_BYTES
            if size > SLICE_BYTES_MAX:
                break
        if records:
            return records, Rewrite.BEGIN if begins else Rewrite.NONE
        part = self.messages.slice(records, mesh_ms)
        if not begins and part in (Rewrite.BEGIN, Rewrite.WHOLE):
            part = Rewrite.NONE if part is Rewrite.BEGIN else Rewrite.END
        return records, part


def encoded(records: list[Record]) -> bytes:
    """Records as they stand in the log."""
    return _encoder.encode(records)
