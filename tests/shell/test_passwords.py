"""Passwords: the text that is kept, and the threads that check."""

import subprocess
import sys
from queue import Queue

import pytest

from gateway.broker.logins import NOBODYS_HASH
from gateway.broker.scram import ITERATIONS, make_keys
from gateway.effects import CheckPassword
from gateway.shell.passwords import (
    BLOCK,
    COST_LOG2,
    Checker,
    hashed,
    is_right,
    keys_of,
    keys_text,
    new_keys,
)

# RFC 7914, section 12, the third vector.
RFC_7914 = (
    "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$"
    "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"
)


def test_the_hash_is_the_one_of_the_specification() -> None:
    assert is_right(b"pleaseletmein", RFC_7914)


def test_a_password_is_right_and_another_is_not() -> None:
    stored = hashed("räuber")
    assert stored.startswith("$scrypt$ln=14,r=8,p=1$") and "räuber" not in stored
    assert is_right("räuber".encode(), stored)
    assert not is_right(b"rauber", stored)
    assert hashed("räuber") != stored, "each has its own salt"
    assert 128 * BLOCK << COST_LOG2 == 16_777_216


@pytest.mark.parametrize(
    "stored",
    ["", "pw", "$scrypt$ln=30,r=8,p=1$AAAA$AAAA", "$scrypt$ln=0,r=8,p=1$AAAA$AAAA", "$5$AAAA$AAAA"],
)
def test_a_text_that_is_no_hash_of_ours_fits_no_password(stored: str) -> None:
    assert not is_right(b"pw", stored)


def test_nobodys_hash_costs_what_another_costs_and_fits_nothing() -> None:
    assert NOBODYS_HASH.split("$")[2] == hashed("x").split("$")[2]
    assert len(NOBODYS_HASH) == len(hashed("x"))
    assert not is_right(b"x", NOBODYS_HASH)


def test_a_check_keeps_none_of_its_memory() -> None:
    """In a process of its own: what the C library keeps depends on all that was taken before."""
    program = """
import resource
from concurrent.futures import ThreadPoolExecutor
from gateway.shell.passwords import hashed
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
hashed("x")
before = resident()
for _ in range(4):
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(hashed, "abcd"))
print(resident() - before)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert int(said) < 4_000_000


def test_the_threads_tell_the_answer_of_each_token() -> None:
    told: Queue[tuple[int, bool]] = Queue()
    checker = Checker(lambda token, right: told.put((token, right)))
    stored = hashed("pw")
    for token, password in enumerate((b"pw", b"no", b"pw")):
        checker.check(CheckPassword(token, password, stored))
    assert sorted(told.get(timeout=30) for _ in range(3)) == [(0, True), (1, False), (2, True)]
    checker.close()


# RFC 5803's form, with the keys of RFC 7677's vector.
RFC_7677 = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_keys_of_scram_are_kept_in_the_form_of_the_specification() -> None:
    keys = keys_of(RFC_7677)
    assert keys is not None and keys_text(keys) == RFC_7677
    assert keys == make_keys("pencil", keys.salt, 4_096)


def test_each_password_has_a_salt_of_its_own_and_the_full_cost() -> None:
    keys = new_keys("pencil")
    assert keys.iterations == ITERATIONS and keys_of(keys_text(keys)) == keys
    assert new_keys("pencil").salt != keys.salt
    with pytest.raises(ValueError, match="the password has a control character"):
        new_keys("pen\tcil")


@pytest.mark.parametrize(
    "text",
    [
        "",
        RFC_7677.replace("4096", "4095"),
        RFC_7677.replace("4096", "99999999"),
        RFC_7677.replace("W22Z", "W22!"),
        RFC_7677[:-4],
        RFC_7677.replace("256", "512"),
    ],
)
def test_a_text_that_is_no_keys_is_none(text: str) -> None:
    assert keys_of(text) is None
