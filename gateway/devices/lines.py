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
        was longer than the limit (ending not counted) and is lost."""
        *ends, rest = data.split(b"\n")
        lines = [self._finish(end) for end in ends]
        self._extend(rest)
        return lines

    def _finish(self, end: bytes) -> bytes | None:
        self._extend(end)
        line = bytes(self._partial).removesuffix(b"\r")
        too_long = self._skipping or len(line) > self._line_bytes_max
        self._partial.clear()
        self._skipping = False
        return None if too_long else line

    def _extend(self, data: bytes) -> None:
        if self._skipping:
            return
        self._partial += data
        # One byte more than the limit is kept: it may be the CR of the ending.
        if len(self._partial) > self._line_bytes_max + 1:
            self._partial.clear()
            self._skipping = True
