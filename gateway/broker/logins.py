"""What the broker knows of users and of who tried to log in: tables, each with its bound.

Names, groups, hashes as texts, keys of SCRAM; a password only while it waits for its check, and then an
HMAC of it under a key that lives as long as the process. Checks are slow and few at once: addresses take
turns, so that one that asks all the time delays the others by one check. An address whose login was
wrong is not looked at again before its wait is over; who only repeats a wrong password is no guesser but
set up wrongly, and makes nobody wait. Must not know connections, packets or how a password is hashed.
"""

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeVar

from gateway.broker.scram import ITERATIONS, SALT_BYTES, Keys
from gateway.broker.shares import Shares

# A login that was right is believed again for so long without a check; so many of them are kept.
REMEMBERED_S = 43_200.0
REMEMBERED_MAX = 10_000

# One that was wrong is known to be wrong, too: a device with an old password tries all day.
KNOWN_WRONG_S = 600.0
KNOWN_WRONG_MAX = 1_000

# Checks at once: 32 MB, and half the cores of a small board.
CHECKS_AT_ONCE = 2

# Different logins that wait for a check of a third of a second: the last one of an address that has all
# of them waits five seconds, half of what a client has for its CONNECT.
CHECKS_MAX = 32

# Exchanges of SCRAM under way: 5 kB each, and as many as sockets that have not got through CONNECT.
EXCHANGES_MAX = 1_024

# Wrong logins of one address: the answer to the first, and its next try, wait so long; each more doubles
# it.
DELAY_MIN_S, DELAY_MAX_S = 0.25, 4.0
FORGIVEN_S = 600.0  # without another
ADDRESSES_MAX = 4_096  # the one that was wrong longest ago makes room

# Is checked for a user that does not exist, so that he takes as long as another.
NOBODYS_HASH = f"$scrypt$ln=14,r=8,p=1${'A' * 22}${'A' * 43}"


class Verdict(Enum):
    """What came of a check."""

    RIGHT = auto()
    WRONG = auto()
    BUSY = auto()  # others were in more need of it


Tell = Callable[[Verdict], None]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class User:
    """`stored` is what is kept of the password; only the shell can read it. `keys`: the same for SCRAM;
    None: the password was set by a version that made none, or cannot have any."""

    stored: str = field(repr=False)
    groups: frozenset[str] = frozenset()
    keys: Keys | None = None


@dataclass(slots=True)
class Check:
    """One login that is to be looked at, and whom to tell: all who showed the same meanwhile."""

    user: str
    password: bytes = field(repr=False)
    stored: str = field(repr=False)
    digest: bytes = field(repr=False)
    waiting: list[Tell]


class Logins:
    """`key` is random, and new at each start. `decoy_key` is random, too, and should be the same as long
    as the users are: what is asked for twice is answered alike."""

    def __init__(self, key: bytes) -> None:
        self.users: Mapping[str, User] = {}
        self.exchanges = Shares(EXCHANGES_MAX)
        self.decoy_key = key
        self._key = key
        self._remembered: dict[bytes, float] = {}  # digest -> until when, oldest first
        self._wrong: dict[bytes, float] = {}  # the same, of those that were wrong
        self._proved: dict[tuple[str, str], float] = {}  # place and user; as `_remembered`
        self._line = Shares(CHECKS_MAX)
        self._checks: dict[int, Check] = {}  # by token: those in the line, and those under way
        self._by_digest: dict[bytes, int] = {}
        self._under_way = 0
        self._failures: dict[str, tuple[int, float]] = {}  # place -> how often, when last

    def stored(self, user: str) -> str:
        """What is kept of this user's password, or of nobody's."""
        known = self.users.get(user)
        return NOBODYS_HASH if known is None else known.stored

    def keys(self, user: str) -> Keys:
        """What a proof of this user has to fit; without keys of his own, some that nothing fits."""
        decoy = self._decoy(user)  # always made: the answer takes as long
        known = self.users.get(user)
        return decoy if known is None or known.keys is None else known.keys

    def are_keys_of(self, keys: Keys | None, user: str) -> bool:
        """Whether this user exists, and these are his keys now."""
        known = self.users.get(user)
        return known is not None and keys is not None and known.keys == keys

    def _decoy(self, user: str) -> Keys:
        salt, stored, server = (
            hmac.digest(self.decoy_key, b"%s %s" % (what, user.encode()), "sha256")
            for what in (b"salt", b"stored", b"server")
        )
        return Keys(ITERATIONS, salt[:SALT_BYTES], stored, server)

    def digest(self, user: str, password: bytes) -> bytes:
        """Stands for a user with a password as it is now."""
        parts = (user.encode(), password, self.stored(user).encode())
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, text, "sha256")

    def remembers(self, digest: bytes, now: float) -> bool:
        """Whether this login was right not long ago."""
        return self._remembered.get(digest, 0.0) > now

    def is_known_wrong(self, digest: bytes, now: float) -> bool:
        """Whether this login was wrong not long ago."""
        return self._wrong.get(digest, 0.0) > now

    def is_checked(self, digest: bytes, tell: Tell) -> bool:
        """Whether the same is looked at already; then its answer is told here, too."""
        token = self._by_digest.get(digest)
        if token is not None:
            self._checks[token].waiting.append(tell)
        return token is not None

    def stand_in_line(
        self, address: str, user: str, password: bytes, digest: bytes, tell: Tell
    ) -> bool:
        """A login is to be checked when it is its turn (`next_check`); False: there is no room."""
        token = self._line.enter(place_of(address), lambda: self._push_out(digest))
        if token:
            self._checks[token] = Check(user, password, self.stored(user), digest, [tell])
            self._by_digest[digest] = token
        return token > 0

    def next_check(self, now: float) -> tuple[int, Check] | None:
        """The check that is to begin now, if one may; `end` must follow with its token."""
        if self._under_way >= CHECKS_AT_ONCE:
            return None
        for each in self._line.places():
            if self._opens_at(each) <= now:
                token = self._line.turn(each)
                self._line.leave(token)
                self._under_way += 1
                return token, self._checks[token]
        return None

    def end(self, token: int, good: bool, now: float) -> tuple[list[Tell], Verdict]:
        """Whom to tell what. A user who was changed meanwhile is told no."""
        self._under_way -= 1
        check = self._checks.pop(token)
        del self._by_digest[check.digest]
        known = self.users.get(check.user)
        if not good or known is None or known.stored != check.stored:
            _keep(self._wrong, KNOWN_WRONG_MAX, check.digest, now + KNOWN_WRONG_S)
            return check.waiting, Verdict.WRONG
        _keep(self._remembered, REMEMBERED_MAX, check.digest, now + REMEMBERED_S)
        return check.waiting, Verdict.RIGHT

    def _push_out(self, digest: bytes) -> None:
        for tell in self._checks.pop(self._by_digest.pop(digest)).waiting:
            tell(Verdict.BUSY)

    def failed(self, address: str, now: float) -> float:
        """Counts a wrong login; for how many seconds its answer and the next try are to wait."""
        where = place_of(address)
        count, at = self._failures.get(where, (0, now))
        count = 1 if now - at > FORGIVEN_S else count + 1
        _keep(self._failures, ADDRESSES_MAX, where, (count, now))
        return _delay_s(count)

    def delay_s(self, address: str) -> float:
        """For how long the answer to what is known to be wrong is to wait."""
        return _delay_s(self._failures.get(place_of(address), (1, 0.0))[0])

    def proved(self, address: str, user: str, right: bool, now: float) -> None:
        """A proof of SCRAM was looked at. Each is another: what is remembered is who was right where."""
        who = (place_of(address), user)
        if right:
            _keep(self._proved, REMEMBERED_MAX, who, now + REMEMBERED_S)
        else:
            self._proved.pop(who, None)

    def was_right(self, address: str, user: str, now: float) -> bool:
        """Whether this user's last proof from here was right, and not long ago: the mistakes of others
        are not his."""
        return self._proved.get((place_of(address), user), 0.0) > now

    def opens_at(self, address: str) -> float:
        """From when on a login from here may be looked at again; 0: always."""
        return self._opens_at(place_of(address))

    def _opens_at(self, where: str) -> float:
        count, at = self._failures.get(where, (0, 0.0))
        return at + _delay_s(count) if count else 0.0


def _keep(table: dict[K, V], most: int, key: K, value: V) -> None:
    """Puts it in as the newest; the oldest makes room."""
    table.pop(key, None)
    if len(table) >= most:
        del table[next(iter(table))]
    table[key] = value


def _delay_s(count: int) -> float:
    return min(DELAY_MIN_S * 2.0 ** min(count - 1, 10), DELAY_MAX_S)


def place_of(address: str) -> str:
    """What one stranger cannot have many of: an IPv4 address, or a /64 of IPv6."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address  # a local socket
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((ip, 64), strict=False))
    return str(ip)
