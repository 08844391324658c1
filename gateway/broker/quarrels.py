"""Two devices with one client id at different gateways: each takes the session from the other.

Every takeover costs both gateways a commit and all others a row. So whoever takes an id over for more
than the fifth time within a minute, from another address than the connection that ends by it, waits
before its CONNECT is looked at. Must not know connections, or how a session moves.
"""

from collections import deque
from dataclasses import dataclass, field

FREE = 5  # takeovers within a minute that nobody waits for: a client that roams
WITHIN_S = 60.0
DELAY_MIN_S = 1.0
DELAY_MAX_S = 8.0  # clients and this gateway give up on a CONNECT after ten seconds
CLIENTS_MAX = 1_024  # about 500 bytes each; the one that was quiet for longest is forgotten first


@dataclass(slots=True)
class Quarrel:
    """One client id; `places` are where the two last were, `slowed` how often one had to wait."""

    client_id: str
    places: tuple[str, str] = ("", "")
    times: deque[float] = field(default_factory=lambda: deque(maxlen=2 * FREE))

    def recent(self, now: float) -> int:
        """Takeovers within the last minute."""
        return sum(now - at < WITHIN_S for at in self.times)


class Quarrels:
    """The client ids that were taken over between addresses lately."""

    def __init__(self) -> None:
        self._by_id: dict[str, Quarrel] = {}

    def taken(self, client_id: str, place: str, other: str, now: float) -> bool:
        """It was connected at one place and is at another; whether that is news to be told."""
        quarrel = self._by_id.pop(client_id, None) or Quarrel(client_id)
        if len(self._by_id) >= CLIENTS_MAX:
            del self._by_id[next(iter(self._by_id))]
        self._by_id[client_id] = quarrel
        quarrel.places = (place, other)
        quarrel.times.append(now)
        return quarrel.recent(now) == FREE + 1

    def due(self, client_id: str, now: float) -> float:
        """When a CONNECT with this id is to be looked at; not after `now`: at once."""
        quarrel = self._by_id.get(client_id)
        if quarrel is None or (count := quarrel.recent(now)) <= FREE:
            return now
        return quarrel.times[-1] + min(DELAY_MIN_S * 2.0 ** (count - FREE - 1), DELAY_MAX_S)

    def current(self, now: float) -> list[Quarrel]:
        """Those that go on."""
        return [each for each in self._by_id.values() if each.recent(now) > FREE]
