"""One link: the bytes between two gateways, as frames, inside a TLS connection that the shell holds, or
inside the links of a third gateway (`roads.py`).

What is long and may wait is made a frame at a time, as the other side takes what was said before: what
is said meanwhile is behind one of those at most.

States: a link waits for the other side's Hello, then for its Received and Start (greeted), then is up.
Must not know what frames mean or what a peer remembers.
"""

from collections import deque
from collections.abc import Iterator
from enum import Enum

from gateway.effects import Writer
from gateway.limits import HELLO_TIMEOUT_S
from gateway.mesh.frames import HEADER_BYTES, AnyFrame, Frame, encode, split


class LinkState(Enum):
    """Of a link, as this side sees it."""

    WAITING = "waiting for hello"
    GREETED = "greeted"
    UP = "up"
    CLOSED = "closed"


class Link:
    """`certified` is the gateway id in the other side's certificate.

    `address` is where it was dialled, or where the connection comes from; `dialled` who began it; `key`
    the fingerprint of the cluster key by which both know each other. `via` is the gateway over which it
    goes, where it is no connection of its own.
    """

    __slots__ = (
        "_chunks",
        "_chunks_bytes",
        "_later",
        "_wanted",
        "address",
        "blocked",
        "certified",
        "dialled",
        "echo_at",
        "echo_ms",
        "gateway",
        "hello_by",
        "key",
        "out",
        "owner",
        "state",
        "via",
    )

    def __init__(
        self,
        address: tuple[str, int],
        certified: str,
        dialled: bool,
        now: float,
        key: str = "",
        via: str = "",
    ) -> None:
        self.address = address
        self.certified = certified
        self.dialled = dialled
        self.key = key
        self.via = via
        self.state = LinkState.WAITING
        self.gateway = ""  # who is there, once it said so
        self.hello_by = now + HELLO_TIMEOUT_S
        self.out: list[bytes] = []
        self.blocked = False  # the other side does not take what was written: nothing long for now
        self._later: deque[Iterator[Frame]] = deque()
        self.owner: Writer | None = None
        self.echo_ms = 0.0  # `sent_ms` of the other side's last beat, and when it came
        self.echo_at = 0.0
        self._chunks: list[bytes] = []
        self._chunks_bytes = 0
        self._wanted = HEADER_BYTES

    @property
    def closed(self) -> bool:
        """Whether it is over, as far as this side is concerned."""
        return self.state is LinkState.CLOSED

    def say(self, frame: Frame) -> None:
        """Sends a frame."""
        self.out.append(encode(frame))

    def say_later(self, frames: Iterator[Frame]) -> None:
        """Sends frames that are made when there is room for them, behind those that wait already."""
        self._later.append(frames)

    def say_next(self) -> None:
        """Sends one of those, if there is room."""
        while self._later and not (self.blocked or self.closed):
            frame = next(self._later[0], None)
            if frame is not None:
                self.say(frame)
                return
            self._later.popleft()

    def has_more(self) -> bool:
        """Whether there is something to be sent at once, when what stands in `out` is written."""
        return bool(self._later) and not (self.blocked or self.closed)

    def close(self) -> None:
        """Nothing more is read or said; the shell closes behind what is in `out`."""
        self.state = LinkState.CLOSED

    def take(self, data: bytes) -> list[AnyFrame]:
        """The frames that have come, whole ones only. Raises LinkError for what is none."""
        self._chunks.append(data)
        self._chunks_bytes += len(data)
        if self._chunks_bytes < self._wanted:
            return []
        whole = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        frames, rest = split(whole)
        left = whole[rest:]
        self._chunks = [left] if left else []
        self._chunks_bytes = len(left)
        self._wanted = HEADER_BYTES
        if len(left) >= HEADER_BYTES:
            self._wanted += int.from_bytes(left[:HEADER_BYTES], "big")
        return frames
