"""Users and rules on disk, and what an older version does to them."""

import sqlite3
from pathlib import Path

import pytest

from gateway.broker.access import Rule
from gateway.broker.logins import User
from gateway.shell.accounts import Accounts
from gateway.shell.passwords import new_keys
from gateway.shell.store import FILE_NAME, Store

KEYS = new_keys("correct horse")
USERS = {"ann": User("hash", frozenset({"staff", "night"}), KEYS), "bob": User("other")}
RULES = [
    Rule.of(["allow", "everybody", "read", "b/#"]),
    Rule.of(["deny", "user", "ann", "read", "a"]),
]


def accounts(directory: Path) -> Accounts:
    store = Store(str(directory), "gw")
    try:
        return Accounts(store)
    finally:
        store.close()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    store = Store(str(tmp_path), "gw")
    Accounts(store).save(USERS, RULES)
    store.close()
    return tmp_path


def older(directory: Path, *statements: str) -> None:
    """What the version before SCRAM does: it knows the tables `user` and `rule`, with these columns."""
    with sqlite3.connect(directory / FILE_NAME) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_users_with_their_keys_and_rules_in_their_order_are_there_again(kept: Path) -> None:
    again = accounts(kept)
    assert (again.users, again.rules) == (USERS, RULES)


def test_who_does_not_exist_is_the_same_after_a_restart_and_another_elsewhere(
    kept: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    key = accounts(kept).decoy_key
    assert key == accounts(kept).decoy_key and len(set(key)) > 8
    assert accounts(tmp_path_factory.mktemp("other")).decoy_key != key


def test_users_of_an_older_file_have_no_keys(tmp_path: Path) -> None:
    Store(str(tmp_path), "gw").close()
    columns = "(name TEXT PRIMARY KEY, stored TEXT NOT NULL, groups TEXT NOT NULL) WITHOUT ROWID"
    older(tmp_path, f"CREATE TABLE user {columns}", "INSERT INTO user VALUES ('ann', 'hash', '')")
    assert accounts(tmp_path).users == {"ann": User("hash")}


def test_an_older_version_can_change_users_and_their_old_keys_hold_no_more(kept: Path) -> None:
    older(
        kept,
        "DELETE FROM user",
        "INSERT INTO user VALUES ('ann', 'a new hash', '')",
        "INSERT INTO user VALUES ('eve', 'hash', '')",
    )
    assert accounts(kept).users == {"ann": User("a new hash"), "eve": User("hash")}


def test_keys_that_cannot_be_read_are_none_and_cost_nobody_his_password(kept: Path) -> None:
    older(kept, "UPDATE scram SET keys = 'SCRAM-SHA-256$4096:x'")
    assert accounts(kept).users["ann"] == User("hash", frozenset({"staff", "night"}))
