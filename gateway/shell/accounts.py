"""Users and rules in the state file, for the version before this one.

Here they are rows of a table of the mesh (`gateway/broker/people.py`) that the journal keeps. The
version before knows the state file only: it is brought up to date now and then, so that who goes back to
it finds the same users, and what was changed by it is found here afterwards.

    user    (name, stored, groups)     `stored` is the hash of the password, groups with commas between
    scram   (name, stored, keys)       of the same password, for SCRAM
    rule    (number, text)             as the rule prints itself, a word a line
    secret  (name, value)              "decoy": what is random about the keys of who does not exist;
                                       "root": the digest of the table whose users and rules these are

A version that does not know the table `scram` changes a password without its keys: they hold only while
the user's hash is the one that they were made with. Must not know who uses them.
"""

import secrets
import sqlite3
from typing import NamedTuple

from gateway.broker.access import Rule
from gateway.broker.logins import User
from gateway.broker.people import People, decoy_row, rule_row, user_row
from gateway.shell.passwords import keys_of, keys_text
from gateway.shell.store import Store, StoreError

DECOY_KEY_BYTES = 32

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
    root: int


class Accounts:
    """Users by name, and rules in the order in which they were made. Raises StoreError.

    `decoy_key` is for `Logins`, `root` the digest of the table that was written here last.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        try:
            self.users, self.rules, self.decoy_key, self.root = store.run(_read).result()
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(
                f"the users and rules cannot be read: {error}; nobody is served without them:"
                " restore the state file, or move it away to begin without users"
            ) from error

    def news(self, people: People) -> dict[str, bytes | None]:
        """What the version before changed, as changes of the table.

        Where the file is behind the table instead, for the gateway stopped before it was brought up to
        date, it has nothing to say. A table without any row was lost with its disk, or never was.
        """
        root = people.table.root()
        rows = dict([decoy_row(self.decoy_key)]) if people.decoy_key is None else {}
        if root not in (0, self.root):
            return rows
        for name in self.users.keys() | people.users.keys():
            if self.users.get(name) != people.users.get(name):
                rows |= [user_row(name, self.users.get(name))]
        rows |= [rule_row(rule, True) for rule in self.rules if rule not in people.rules]
        rows |= [rule_row(rule, False) for rule in people.rules if rule not in self.rules]
        return rows

    def save(self, users: dict[str, User], rules: list[Rule], root: int) -> None:
        """Puts these in the place of what there is. Waits for the disk: not for the loop."""
        self._store.run(lambda database: _write(database, users, rules, root)).result()
        self.users, self.rules, self.root = users, rules, root


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
    written = database.execute("SELECT value FROM secret WHERE name = 'root'").fetchone()
    root = 0 if written is None else int.from_bytes(written[0], "big")
    return _Kept(users, rules, _decoy_key(database), root)


def _decoy_key(database: sqlite3.Connection) -> bytes:
    """Made at the first start."""
    row = database.execute("SELECT value FROM secret WHERE name = 'decoy'").fetchone()
    if row is not None:
        return bytes(row[0])
    key = secrets.token_bytes(DECOY_KEY_BYTES)
    database.execute("INSERT INTO secret VALUES ('decoy', ?)", (key,))
    return key


def _write(
    database: sqlite3.Connection, users: dict[str, User], rules: list[Rule], root: int
) -> None:
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
        value = root.to_bytes(8, "big")
        database.execute("INSERT OR REPLACE INTO secret VALUES ('root', ?)", (value,))
        database.execute("COMMIT")
    except sqlite3.Error:
        database.execute("ROLLBACK")
        raise
