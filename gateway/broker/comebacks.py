"""Clients that were cut off because nothing could be taken from them, and come back to try again.

MQTT 3.1.1 has no word for "not now": all a full gateway can do is to end the connection, and a client
that comes back at once and publishes again would keep both busy with logins. So its CONNECT is answered
late, the later the more often it was cut off, by client id and address. After FORGIVEN_S without that
all is forgotten. Must not know connections, or why one was cut off.
"""

import hashlib

from gateway.broker.logins import place_of

DELAY_MIN_S = 0.5
DELAY_MAX_S = 5.0  # clients give up on a CONNECT after ten seconds or more, and so does the gateway
FORGIVEN_S = 60.0
CLIENTS_MAX = 4_096  # about 200 bytes each; whoever was cut off longest ago is forgotten first


class Comebacks:
    """How often who was cut off, and when it was the last time."""

    def __init__(self) -> None:
        self._cuts: dict[bytes, tuple[int, float]] = {}

    def cut_off(self, client_id: str, address: str, now: float) -> None:
        """The client lost its connection, and may come back at once."""
        who = _key(client_id, address)
        count, at = self._cuts.pop(who, (0, now))
        if len(self._cuts) >= CLIENTS_MAX:
            del self._cuts[next(iter(self._cuts))]
        self._cuts[who] = (1 if now - at > FORGIVEN_S else count + 1, now)

    def due(self, client_id: str, address: str, now: float) -> float:
        """When its CONNECT is to be answered; not after `now`: at once."""
        count, at = self._cuts.get(_key(client_id, address), (0, now))
        if not count or now - at > FORGIVEN_S:
            return now
        return at + min(DELAY_MIN_S * 2.0 ** min(count - 1, 10), DELAY_MAX_S)


def _key(client_id: str, address: str) -> bytes:
    """Of one length, for client ids may have 65,535 bytes."""
    return hashlib.blake2b(f"{place_of(address)}\0{client_id}".encode(), digest_size=16).digest()
