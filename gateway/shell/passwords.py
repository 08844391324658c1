"""Passwords as text that may be kept, and the threads that check them.

    $scrypt$ln=14,r=8,p=1$SALT$HASH               base64 without padding; memory is 128 * r * 2**ln bytes
    SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER   RFC 5803, base64; for clients that only prove it

A check takes 16 MB and, on a small board, a third of a second: two at once, on threads of their own. How
many wait is bounded by who asks (`broker/identity.py`). What it took goes back to the system when it is
over. Must not know users.
"""

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache

from gateway.broker.logins import CHECKS_AT_ONCE
from gateway.broker.scram import (
    ITERATIONS_MAX,
    ITERATIONS_MIN,
    KEY_BYTES,
    METHOD,
    SALT_BYTES,
    Keys,
    make_keys,
)
from gateway.effects import CheckPassword

COST_LOG2, BLOCK, LANES = 14, 8, 1  # 16 MB
MEMORY_BYTES_MAX = 67_108_864  # of a text that was made elsewhere
HASH_BYTES = 32
OWN_PAGES_BYTES = 8_388_608  # half of what a check takes
M_MMAP_THRESHOLD = -3  # mallopt(3)

_FORM = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_KEYS_FORM = re.compile(METHOD + r"\$(\d{1,8}):([^$:]+)\$([^$:]+):([^$:]+)")


def hashed(password: str) -> str:
    """The text to keep instead of the password. Takes its time: not for the loop."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(password.encode(), salt, COST_LOG2, BLOCK, LANES, HASH_BYTES)
    return f"$scrypt$ln={COST_LOG2},r={BLOCK},p={LANES}${_text(salt)}${_text(digest)}"


def is_right(password: bytes, stored: str) -> bool:
    """Whether this is the password. Takes its time: not for the loop."""
    found = _FORM.fullmatch(stored)
    if found is None:
        return False
    cost, block, lanes = (int(found[number]) for number in (1, 2, 3))
    salt, expected = _bytes(found[4]), _bytes(found[5])
    try:
        digest = _scrypt(password, salt, cost, block, lanes, len(expected))
    except ValueError:
        return False  # more than we give, or no parameters of scrypt
    return hmac.compare_digest(digest, expected)


def new_keys(password: str) -> Keys:
    """Keys of SCRAM under a new salt. Takes its time: not for the loop. Raises ValueError that says why
    this password cannot have any."""
    try:
        return make_keys(password, secrets.token_bytes(SALT_BYTES))
    except ValueError as error:
        raise ValueError(f"the password has {error}") from None


def keys_text(keys: Keys) -> str:
    """The text to keep."""
    salt, stored, server = (
        b64encode(each).decode() for each in (keys.salt, keys.stored, keys.server)
    )
    return f"{METHOD}${keys.iterations}:{salt}${stored}:{server}"


def keys_of(text: str) -> Keys | None:
    """What `keys_text` made the text from; None: it did not."""
    found = _KEYS_FORM.fullmatch(text)
    if found is None or not ITERATIONS_MIN <= int(found[1]) <= ITERATIONS_MAX:
        return None
    try:
        salt, stored, server = (b64decode(found[at], validate=True) for at in (2, 3, 4))
    except ValueError:
        return None
    whole = len(stored) == len(server) == KEY_BYTES and salt
    return Keys(int(found[1]), salt, stored, server) if whole else None


class Checker:
    """The threads. `check` returns at once; `tell(token, right)` is called on one of them."""

    def __init__(self, tell: Callable[[int, bool], None]) -> None:
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, "password")
        self._tell = tell

    def check(self, effect: CheckPassword) -> None:
        """Looks whether the password is right."""
        tell, token = self._tell, effect.token

        def done(future: Future[bool]) -> None:
            if not future.cancelled():
                tell(token, future.exception() is None and future.result())

        self._threads.submit(is_right, effect.password, effect.stored).add_done_callback(done)

    def close(self) -> None:
        """What waits is given up."""
        self._threads.shutdown(cancel_futures=True)


def _scrypt(password: bytes, salt: bytes, cost: int, block: int, lanes: int, size: int) -> bytes:
    _give_back_what_is_large()
    return hashlib.scrypt(
        password, salt=salt, n=1 << cost, r=block, p=lanes, maxmem=MEMORY_BYTES_MAX, dklen=size
    )


@cache
def _give_back_what_is_large() -> None:
    """Else glibc learns from the first check to keep 16 MB for each thread that ever made one."""
    from ctypes import CDLL  # not loaded by a gateway that has no users

    with suppress(OSError, AttributeError):  # another C library
        CDLL(None).mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES)


def _text(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))
