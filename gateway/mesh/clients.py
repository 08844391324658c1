"""The clients of one gateway, as it tells the others of them.

What came and went within a turn of the loop is told together. Must not know connections, or what the
others do about it.
"""

from collections.abc import Callable, Iterator

from gateway.ids import Stamp
from gateway.limits import CLIENTS_IN_FRAME_MAX
from gateway.mesh.frames import Clients, Here
from gateway.mesh.parts import parts

NAMES_BYTES_MAX = 1_048_576  # of one frame: a client id may have 64 kB


class OwnClients:
    """The clients that are connected here, with the stamps of their connections."""

    def __init__(self) -> None:
        self.stamps: dict[str, Stamp] = {}
        self._changed: dict[str, bool] = {}  # whether what they had before is over
        self._began: dict[str, Stamp] = {}  # the first stamps of connections that got another one

    def came(self, client_id: str, stamp: Stamp, clean: bool = False) -> None:
        """A client connected; `clean`: what it had before is over."""
        self.stamps[client_id] = stamp
        self._changed[client_id] = clean

    def stamp_anew(self, client_id: str, stamp: Stamp) -> None:
        """A connection that stays gets a newer stamp."""
        self._began.setdefault(client_id, self.stamps[client_id])
        self.came(client_id, stamp)

    def began(self, client_id: str) -> Stamp | None:
        """The stamp with which its connection began; None: it is not connected."""
        return self._began.get(client_id) or self.stamps.get(client_id)

    def left(self, client_id: str) -> None:
        """A client is gone."""
        del self.stamps[client_id]
        self._began.pop(client_id, None)
        self._changed[client_id] = False

    def full(self, silent_s: Callable[[str], float]) -> list[Clients]:
        """The frames that tell of everybody. `silent_s`: for how long a client was not heard."""
        here = [
            Here(name, stamp[:2], int(silent_s(name) * 1000)) for name, stamp in self.stamps.items()
        ]
        return list(_frames(True, here, []))

    def delta(self) -> list[Clients]:
        """The frames that tell what changed since the last call."""
        if not self._changed:
            return []
        stamps = self.stamps
        came = [
            Here(name, stamps[name][:2], clean=clean)
            for name, clean in self._changed.items()
            if name in stamps
        ]
        left = [name for name in self._changed if name not in stamps]
        self._changed = {}
        return list(_frames(False, came, left))


def _frames(full: bool, came: list[Here], left: list[str]) -> Iterator[Clients]:
    """In frames of bounded size."""
    first = full
    size = CLIENTS_IN_FRAME_MAX, NAMES_BYTES_MAX
    for part in parts(came, lambda here: len(here.client_id), *size):
        yield Clients(first, part, [])
        first = False
    for names in parts(left, len, *size):
        yield Clients(first, [], names)
        first = False
    if first:
        yield Clients(True, [], [])
