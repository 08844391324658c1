"""The sockets of clients, from the door to a connection: within the bounds of the door, counted.

Must not know what a client says; who stands at the door is `door.py`.
"""

from gateway.broker.connection import Connection, Moves
from gateway.broker.state import BrokerState


class Entrance:
    """Makes a `Connection` for each socket."""

    def __init__(self, state: BrokerState, moves: Moves) -> None:
        self._state = state
        self._moves = moves

    def open(self, address: str, trusted: bool, now: float) -> Connection:
        """A client's socket was accepted; `trusted` if it is on this machine."""
        self._state.at(now)
        return Connection(self._state, self._moves, address, trusted)

    def admit(self, address: str, trusted: bool, now: float) -> Connection | None:
        """As `open`, within the bounds of the door; None: close the socket, its address has its share.

        `left` must follow when the socket is gone, unless the answer was None.
        """
        self._state.at(now)
        if not (trusted or self._has_share(address)):
            return None
        connection = self._at_the_door(address, trusted, now)
        connection.counted = not trusted
        return connection

    def admit_unnamed(self, proxy: str, now: float) -> Connection:
        """As `admit`, for a proxy's socket: before it is fed, `named` must say whose it is."""
        self._state.at(now)
        return self._at_the_door(proxy, False, now)

    def named(self, connection: Connection, address: str, trusted: bool, now: float) -> bool:
        """A proxy's socket is this address'; False: close it, the address has its share."""
        self._state.at(now)
        if not (trusted or self._has_share(address)):
            return False
        connection.address, connection.trusted, connection.counted = address, trusted, not trusted
        return True

    def left(self, connection: Connection) -> None:
        """The socket of an admitted connection is gone."""
        if connection.counted:
            self._state.door.left(connection.address)

    def _has_share(self, address: str) -> bool:
        state, vitals = self._state, self._state.vitals
        if state.door.came(address, state.settings.connections_per_address_max):
            return True
        vitals.refused_per_address += 1
        vitals.last_refused_at = state.now
        return False

    def _at_the_door(self, address: str, trusted: bool, now: float) -> Connection:
        state, vitals = self._state, self._state.vitals
        if len(state.door.unopened) >= state.settings.unauthenticated_max:
            vitals.closed_unauthenticated += 1
            vitals.last_refused_at = now
            state.door.oldest()()
        vitals.sockets += 1
        return self.open(address, trusted, now)
