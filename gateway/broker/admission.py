"""Users and rules as they hold for the clients here: set here, or known from other gateways.

What they are is `people.py`, in a table that all gateways have; this puts a change of it into force.
Must not know files or passwords.
"""

from collections.abc import Callable, Mapping, Sequence

from gateway.broker.access import Access
from gateway.broker.connecting import Online
from gateway.broker.keeping import PEOPLE, keep_row
from gateway.broker.logins import User
from gateway.broker.state import BrokerState
from gateway.ids import Stamp
from gateway.mqtt.reasons import Reason
from gateway.table import Row


class Admission:
    """Who may come in, and what each may do."""

    def __init__(self, state: BrokerState, online: Online) -> None:
        self._state = state
        self._online = online

    def change(
        self, changes: Mapping[str, bytes | None], done: Callable[[str], None], now: float
    ) -> None:
        """Has rows of the users and rules set, or with None deleted: on disk, then here, then elsewhere.

        `done` is told "" when they hold, or why they could not be kept.
        """
        self._state.at(now)
        state = self._state

        def kept(why: str, rows: list[tuple[str, Row]]) -> None:
            if not why:
                self.put_in_force()
                state.elsewhere.rows_changed(PEOPLE, rows)
            done(why)

        state.people.change(changes, lambda: state.elsewhere.stamp(now), state.journal, kept)

    def adopt(self, changes: Mapping[str, bytes | None], now: float) -> None:
        """As `change` for what is on disk already, in another form: it holds at once.

        Where the table was lost, or there never was one, whatever the other gateways know is newer.
        """
        self._state.at(now)
        table, stamp = self._state.people.table, self._state.elsewhere.stamp(now)
        oldest = Stamp(1, 0, stamp.gateway) if table.root() == 0 else None
        rows = [
            (key, table.changed(key, value, oldest or self._state.elsewhere.stamp(now)))
            for key, value in changes.items()
        ]
        self.take(rows, now)

    def take(self, rows: Sequence[tuple[str, Row]], now: float) -> None:
        """Rows that another gateway has."""
        state = self._state
        state.at(now)
        news = state.people.take(rows)
        for key, row in news:
            keep_row(state.journal, key, row)
        if news:
            self.put_in_force()

    def put_in_force(self) -> None:
        """What the table says holds."""
        people, now = self._state.people, self._state.now
        self.rules_changed(people.access(), now)
        self.users_changed(people.users, now)
        if people.decoy_key is not None:
            self._state.logins.decoy_key = people.decoy_key

    def rules_changed(self, access: Access, now: float) -> None:
        """Other rules hold from here on: for what is published, subscribed to and delivered."""
        self._state.now = now
        self._state.access = access
        for session in self._state.sessions.values():
            session.rights = access.rights(session.user, session.client_id)
        self._state.routes.cache.clear()

    def users_changed(self, users: Mapping[str, User], now: float) -> None:
        """Other users exist: who was removed, or has another password, is disconnected."""
        self._state.at(now)
        before, self._state.logins.users = self._state.logins.users, dict(users)
        for connection in list(self._online.values()):
            old, new = before.get(connection.user), users.get(connection.user)
            if old is not None and (new is None or new.stored != old.stored):
                why = "its user was removed" if new is None else "its user has another password"
                connection.refuse(Reason.NOT_AUTHORIZED, why)
