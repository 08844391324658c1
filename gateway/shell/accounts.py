"""Users and rules on disk, in the state file.

    user    (name, stored, groups)     `stored` is the hash of the password, groups with commas between
    scram   (name, stored, keys)       of the same password, for SCRAM
    rule    (number, text)             as the rule prints itself, a word a line
    secret  (name, value)              "decoy": what is random about the keys of who does not exist

A version that does not know the table `scram` changes a password without its keys: they hold only while
the user's hash is the one that they were made with. All of it is in memory as well; a change is on disk
before it holds. Must not know who uses them.
"""

import secrets
import sqlite3
from typing import NamedTuple

from gateway.broker.access import Access, Rule
from gateway.broker.logins import User
from gateway.shell.passwords import keys_of, keys_text
from gateway.shell.store import Store, StoreError

USERS_MAX = 10_000  # a device each; 300 bytes in memory
DECOY_KEY_BYTES = 32
RULES_MAX = 1_000  # all are looked at when a client connects

_SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
    name TEXT PRIMARY KEY, stored TEXT NOT NULL, groups TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scram (
    name TEXT PRIMARY KEY, stored TEXT NOT NULL, keys TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rule (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class _Kept(NamedTuple):
    users: dict[str, User]
    rules: list[Rule]
    decoy_key: bytes


class Accounts:
    """Users by name, and rules in the order in which they were made. Raises StoreError.

    `decoy_key` is for `Logins`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        try:
            self.users, self.rules, self.decoy_key = store.run(_read).result()
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


def _read(database: sqlite3.Connection) -> _Kept:
    database.executescript(_SCHEMA)
    made = database.execute("SELECT name, stored, keys FROM scram")
    keys = {(name, stored): keys_of(text) for name, stored, text in made}
    users = {
        name: User(stored, frozenset(filter(None, groups.split(","))), keys.get((name, stored)))
        for name, stored, groups in database.execute("SELECT name, stored, groups FROM user")
    }
    rows = database.execute("SELECT text FROM rule ORDER BY number")
    rules = [Rule.of(text.split("\n")) for (text,) in rows]
    return _Kept(users, rules, _decoy_key(database))


def _decoy_key(database: sqlite3.Connection) -> bytes:
    """Made at the first start."""
    row = database.execute("SELECT value FROM secret WHERE name = 'decoy'").fetchone()
    if row is not None:
        return bytes(row[0])
    key = secrets.token_bytes(DECOY_KEY_BYTES)
    database.execute("INSERT INTO secret VALUES ('decoy', ?)", (key,))
    return key


def _write(database: sqlite3.Connection, users: dict[str, User], rules: list[Rule]) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        for table in ("user", "scram", "rule"):
            database.execute(f"DELETE FROM {table}")
        database.executemany(
            "INSERT INTO user VALUES (?, ?, ?)",
            [(name, user.stored, ",".join(sorted(user.groups))) for name, user in users.items()],
        )
        database.executemany(
            "INSERT INTO scram VALUES (?, ?, ?)",
            [
                (name, user.stored, keys_text(user.keys))
                for name, user in users.items()
                if user.keys is not None
            ],
        )
        database.executemany(
            "INSERT INTO rule (text) VALUES (?)", [("\n".join(rule.words()),) for rule in rules]
        )
        database.execute("COMMIT")
    except sqlite3.Error:
        database.execute("ROLLBACK")
        raise
