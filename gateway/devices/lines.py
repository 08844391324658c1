"""Line framing: bytes cut anywhere in, whole lines out.

Rules: the same bytes give the same lines however they were cut. A line ends at LF; one CR before it
belongs to the ending. A line longer than the limit is thrown away up to the next LF and counted, so
memory is bounded by the limit. Must not know what a line means.
"""


class LineFraming:
    """The lines of one open port; a port that is opened anew gets a new one."""

    def __init__(self, line_bytes_max: int) -> None:
        assert line_bytes_max > 0
        self._line_bytes_max = line_bytes_max
        self._partial = bytearray()
        self._skipping = False

    def receive(self, data: bytes) -> list[bytes | None]:
        """Every line that `data` completes, without its ending, in order; None for each line that
        is longer than the limit (ending not counted) and is lost, as soon as that is known."""
        lines: list[bytes | None] = []
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._extend(end, lines)
            self._finish(lines)
        self._extend(rest, lines)
        return lines

    def _extend(self, data: bytes, lines: list[bytes | None]) -> None:
        if self._skipping:
            return
        self._partial += data
        # One byte more than the limit is kept: it may be the CR of the ending.
        if len(self._partial) > self._line_bytes_max + 1:
            self._partial.clear()
            self._skipping = True
            lines.append(None)

    def _finish(self, lines: list[bytes | None]) -> None:
        if not self._skipping:
            line = bytes(self._partial).removesuffix(b"\r")
            lines.append(line if len(line) <= self._line_bytes_max else None)
        self._partial.clear()
        self._skipping = False
