"""What the broker knows of users and of who tried to log in: tables, each with its bound.

Names, groups and hashes as texts; passwords never, only an HMAC under a key that lives as long as the
process. Must not know connections, packets or how a password is hashed.
"""

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# A login that was right is believed again for so long without a check; so many of them are kept.
REMEMBERED_S = 43_200.0
REMEMBERED_MAX = 10_000

# Different logins being checked or waiting for it. Two at once at a third of a second each: the last
# one waits five seconds, half of what a client has for its CONNECT.
CHECKS_MAX = 32

# Wrong passwords of one address: the answer to the first waits so long, each more doubles it.
DELAY_MIN_S, DELAY_MAX_S = 0.25, 4.0
FORGIVEN_S = 600.0  # without another
ADDRESSES_MAX = 4_096  # the one that was wrong longest ago makes room

# Is checked for a user that does not exist, so that he takes as long as another.
NOBODYS_HASH = f"$scrypt$ln=14,r=8,p=1${'A' * 22}${'A' * 43}"


@dataclass(frozen=True, slots=True)
class User:
    """`stored` is what is kept of the password; only the shell can read it."""

    stored: str = field(repr=False)
    groups: frozenset[str] = frozenset()


@dataclass(slots=True)
class Check:
    """One login that the shell looks at, and whom to tell: all who showed the same meanwhile."""

    user: str
    stored: str = field(repr=False)
    proof: bytes = field(repr=False)
    waiting: list[Callable[[bool], None]] = field(default_factory=list)


class Logins:
    """`key` is random, and new at each start."""

    def __init__(self, key: bytes) -> None:
        self.users: Mapping[str, User] = {}
        self._key = key
        self._remembered: dict[bytes, float] = {}  # proof -> until when, oldest first
        self._checks: dict[int, Check] = {}
        self._by_proof: dict[bytes, int] = {}
        self._token = 0
        self._failures: dict[str, tuple[int, float]] = {}  # address -> how often, when last

    def stored(self, user: str) -> str:
        """What is kept of this user's password, or of nobody's."""
        known = self.users.get(user)
        return NOBODYS_HASH if known is None else known.stored

    def proof(self, user: str, password: bytes) -> bytes:
        """Stands for a user with a password as it is now."""
        parts = (user.encode(), password, self.stored(user).encode())
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, text, "sha256")

    def remembers(self, proof: bytes, now: float) -> bool:
        """Whether this login was right not long ago."""
        return self._remembered.get(proof, 0.0) > now

    def is_checked(self, proof: bytes, tell: Callable[[bool], None]) -> bool:
        """Whether the same is looked at already; then its answer is told here, too."""
        token = self._by_proof.get(proof)
        if token is not None:
            self._checks[token].waiting.append(tell)
        return token is not None

    def full(self) -> bool:
        """Whether no other check may begin."""
        return len(self._checks) >= CHECKS_MAX

    def begin(self, user: str, proof: bytes, tell: Callable[[bool], None]) -> int:
        """A check begins; `end` must follow with this token."""
        self._token += 1
        self._checks[self._token] = Check(user, self.stored(user), proof, [tell])
        self._by_proof[proof] = self._token
        return self._token

    def end(self, token: int, good: bool, now: float) -> tuple[list[Callable[[bool], None]], bool]:
        """Whom to tell what. A user who was changed meanwhile is told no."""
        check = self._checks.pop(token)
        del self._by_proof[check.proof]
        known = self.users.get(check.user)
        good = good and known is not None and known.stored == check.stored
        if good:
            self._remembered.pop(check.proof, None)
            if len(self._remembered) >= REMEMBERED_MAX:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[check.proof] = now + REMEMBERED_S
        return check.waiting, good

    def failed(self, address: str, now: float) -> float:
        """Counts a wrong password; for how many seconds its answer is to wait."""
        place = place_of(address)
        count, at = self._failures.pop(place, (0, now))
        count = 1 if now - at > FORGIVEN_S else count + 1
        if len(self._failures) >= ADDRESSES_MAX:
            del self._failures[next(iter(self._failures))]
        self._failures[place] = (count, now)
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
