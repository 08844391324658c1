"""Users and rules: a table that is the same on all gateways, and what its rows come to here.

    user/NAME      what is kept of the password, groups
    rule/WORDS     nothing: the key says all, a word a line
    secret/decoy   what is random about the keys of who does not exist

A change made here is on disk before it holds; one that was made elsewhere holds at once. Must not know
connections, how a password is hashed or checked, or how gateways talk.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.broker.access import Access, Rule
from gateway.broker.journal import Journal
from gateway.broker.keeping import keep_row
from gateway.broker.logins import User
from gateway.broker.scram import Keys
from gateway.ids import Stamp
from gateway.table import Row, Table
from gateway.tickets import Ticket

USERS_MAX = 10_000  # a device each; 300 bytes in memory
RULES_MAX = 1_000  # all are looked at when a client connects

_USER, _RULE, _DECOY = "user/", "rule/", "secret/decoy"


class UserValue(msgspec.Struct, frozen=True, array_like=True):
    """What a user's row says: the password as it is kept, groups, keys for SCRAM."""

    stored: str
    groups: list[str]
    keys: tuple[int, bytes, bytes, bytes] | None = None


class People:
    """`unread` names rows of a later version: nobody knows here what they say. `decoy_key` is for
    `Logins`; None: no row has it."""

    def __init__(self) -> None:
        self.table = Table(USERS_MAX + RULES_MAX)
        self.users: dict[str, User] = {}
        self.rules: list[Rule] = []  # in the order in which they were made
        self.unread: list[str] = []
        self.decoy_key: bytes | None = None

    def change(
        self,
        changes: Mapping[str, bytes | None],
        stamp: Callable[[], Stamp],
        journal: Journal,
        done: Callable[[str, list[tuple[str, Row]]], None],
    ) -> None:
        """Has rows set, or with None deleted.

        `done` is told "" and the rows when they are on disk and hold, or why they could not be kept.
        """
        rows = [(key, self.table.changed(key, value, stamp())) for key, value in changes.items()]

        def kept() -> None:
            self.take(rows)
            done("", rows)

        def failed(why: str) -> None:
            for key in changes:  # the batch that failed is written again, and these rows with it
                keep_row(journal, key, self.table.get(key))
            done(why, [])

        ticket = Ticket(kept, failed)
        ticket.hold()
        for key, row in rows:
            keep_row(journal, key, row)
        journal.wait(ticket)
        ticket.release()

    def take(self, rows: Sequence[tuple[str, Row]]) -> list[tuple[str, Row]]:
        """Takes rows in; returns those that are news."""
        news = [(key, row) for key, row in rows if self.table.put(key, row)]
        if news:
            self.read()
        return news

    def access(self) -> Access:
        """What the rules come to."""
        return Access(self.rules, {name: user.groups for name, user in self.users.items()})

    def read(self) -> None:
        """The table has other rows than before."""
        users: dict[str, User] = {}
        rules: list[tuple[Stamp, Rule]] = []
        unread: list[str] = []
        for key, value in self.table.values():
            try:
                if key.startswith(_USER):
                    users[key.removeprefix(_USER)] = _user_of(value)
                elif key == _DECOY:
                    self.decoy_key = value
                elif key.startswith(_RULE):
                    row = self.table.get(key)
                    assert row is not None
                    rules.append((row.born, Rule.of(key.removeprefix(_RULE).split("\n"))))
                else:
                    unread.append(key)
            except (msgspec.DecodeError, ValueError):
                unread.append(key)
        self.users, self.unread = users, unread
        self.rules = [rule for _, rule in sorted(rules, key=lambda each: each[0])]


def user_row(name: str, user: User | None) -> tuple[str, bytes | None]:
    """The key and value that say that this user exists, or with None not."""
    if user is None:
        return _USER + name, None
    keys = user.keys
    plain = None if keys is None else (keys.iterations, keys.salt, keys.stored, keys.server)
    return _USER + name, msgspec.msgpack.encode(UserValue(user.stored, sorted(user.groups), plain))


def rule_row(rule: Rule, holds: bool) -> tuple[str, bytes | None]:
    """The key and value that say that this rule holds, or not."""
    return _RULE + "\n".join(rule.words()), b"" if holds else None


def decoy_row(key: bytes) -> tuple[str, bytes | None]:
    """The key and value by which all gateways ask alike who does not exist."""
    return _DECOY, key


def _user_of(value: bytes) -> User:
    read = msgspec.msgpack.decode(value, type=UserValue)
    keys = None if read.keys is None else Keys(*read.keys)
    return User(read.stored, frozenset(read.groups), keys)
