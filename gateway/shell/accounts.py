"""Users and rules on disk, in the state file.

    user    (name, stored, groups)     `stored` is the hash of the password, groups with commas between
    rule    (number, text)             as the rule prints itself, a word a line

All of it is in memory as well; a change is on disk before it holds. Must not know who uses them.
"""

import sqlite3

from gateway.broker.access import Access, Rule
from gateway.broker.logins import User
from gateway.shell.store import Store, StoreError

USERS_MAX = 10_000  # a device each; 300 bytes in memory
RULES_MAX = 1_000  # all are looked at when a client connects

_SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
    name TEXT PRIMARY KEY, stored TEXT NOT NULL, groups TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rule (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
"""


class Accounts:
    """Users by name, and rules in the order in which they were made. Raises StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        try:
            self.users, self.rules = store.run(_read).result()
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(
                f"the users and rules cannot be read: {error}; nobody is served without them:"
                " restore the state file, or move it away to begin without users"
            ) from error

    def access(self) -> Access:
        """What the rules come to."""
        return Access(self.rules, {name: user.groups for name, user in self.users.items()})

    def save(self, users: dict[str, User], rules: list[Rule]) -> None:
        """Puts these in the place of what there is. Waits for the disk: not for the loop."""
        self._store.run(lambda database: _write(database, users, rules)).result()
        self.users, self.rules = users, rules


def _read(database: sqlite3.Connection) -> tuple[dict[str, User], list[Rule]]:
    database.executescript(_SCHEMA)
    users = {
        name: User(stored, frozenset(filter(None, groups.split(","))))
        for name, stored, groups in database.execute("SELECT name, stored, groups FROM user")
    }
    rows = database.execute("SELECT text FROM rule ORDER BY number")
    return users, [Rule.of(text.split("\n")) for (text,) in rows]


def _write(database: sqlite3.Connection, users: dict[str, User], rules: list[Rule]) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        database.execute("DELETE FROM user")
        database.execute("DELETE FROM rule")
        database.executemany(
            "INSERT INTO user VALUES (?, ?, ?)",
            [(name, user.stored, ",".join(sorted(user.groups))) for name, user in users.items()],
        )
        database.executemany(
            "INSERT INTO rule (text) VALUES (?)", [("\n".join(rule.words()),) for rule in rules]
        )
        database.execute("COMMIT")
    except sqlite3.Error:
        database.execute("ROLLBACK")
        raise
