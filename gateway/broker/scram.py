"""SCRAM-SHA-256 (RFC 5802, RFC 7677) as the side that checks: one exchange, without packets.

    the client                           we
    n,,n=USER,r=ITS                      r=ITS+OURS,s=SALT,i=ITERATIONS
    c=biws,r=ITS+OURS,p=PROOF            v=SIGNATURE

The password is never said: PROOF shows that the client knows it, SIGNATURE that we know its keys. A
user that does not exist has keys as well, which nothing fits, so that nobody learns by asking who does.
Channel binding is not offered: a client that insists ("p=") is refused, one that only could ("y") is
not. Must not know packets, tables of users or where dice come from.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

METHOD = "SCRAM-SHA-256"
MESSAGE_BYTES_MAX = 2_048  # a name of 128 characters, nonces, and room for extensions
CLIENT_NONCE_CHARACTERS_MAX = 256  # clients take 24 to 64
SALT_BYTES, KEY_BYTES = 16, 32

# 4,096 is the least that RFC 7677 allows. It is done once here, when the password is set, but by the
# client at every login, which may be a microcontroller: four times the least is a second or two there.
ITERATIONS = 16_384
ITERATIONS_MIN, ITERATIONS_MAX = 4_096, 10_000_000  # of keys that were made elsewhere


@dataclass(frozen=True, slots=True)
class Keys:
    """What is kept of a password: enough to check a proof, not to make one."""

    iterations: int
    salt: bytes
    stored: bytes = field(repr=False)
    server: bytes = field(repr=False)


def make_keys(password: str, salt: bytes, iterations: int = ITERATIONS) -> Keys:
    """Takes its time: not for the loop. Raises ValueError for a password that SASLprep forbids."""
    text = _prepared(password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", text, salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    return Keys(iterations, salt, hashlib.sha256(client).digest(), server)


class Step(Enum):
    """What the client has to say next."""

    FIRST = auto()
    FINAL = auto()
    NOTHING = auto()


class Exchange:
    """One exchange. `nonce` is random, and new each time; `find` gives the keys of a user, or of
    nobody. Both methods raise ValueError that says what is wrong with the message, and never why a
    proof does not fit."""

    def __init__(self, nonce: str, find: Callable[[str], Keys]) -> None:
        self.step = Step.FIRST
        self.user = ""  # who the client says it is
        self.keys: Keys | None = None  # what its proof has to fit
        self._find = find
        self._nonce = nonce
        self._binding = ""  # the client's first words again, as its last message has to repeat them
        self._said = ""  # both first messages, which proof and signature are about

    def challenge(self, first: bytes) -> bytes:
        """The answer to the client's first message."""
        assert self.step is Step.FIRST, "the first message came before"
        text = _text(first)
        flag, authorize, bare = _in_three(text)
        if flag.startswith("p="):
            raise ValueError("channel binding is not offered")
        if flag not in ("n", "y"):
            raise ValueError("it begins with neither n, y nor p")
        name, nonce = _attributes(bare, "nr")
        self.user = _name(name)
        if authorize and _name(_attributes(authorize, "a")[0]) != self.user:
            raise ValueError("it wants to act for another user")
        if len(nonce) > CLIENT_NONCE_CHARACTERS_MAX or not all(
            "!" <= sign <= "~" for sign in nonce
        ):
            raise ValueError("its nonce is no printable text, or too long")
        self._nonce = nonce + self._nonce
        self._binding = b64encode(f"{flag},{authorize},".encode()).decode()
        self.keys = self._find(self.user)
        salt = b64encode(self.keys.salt).decode()
        challenge = f"r={self._nonce},s={salt},i={self.keys.iterations}"
        self._said = f"{bare},{challenge}"
        self.step = Step.FINAL
        return challenge.encode()

    def signature(self, final: bytes) -> bytes | None:
        """The answer to the client's last message if its proof fits, else None."""
        assert self.step is Step.FINAL and self.keys is not None, (
            "the last message before the first"
        )
        self.step = Step.NOTHING
        without_proof, sign, proof_text = _text(final).rpartition(",p=")
        binding, nonce = _attributes(without_proof, "cr")
        if not sign or binding != self._binding or nonce != self._nonce:
            raise ValueError("its last message does not belong to its first")
        proof = _bytes(proof_text)
        said = f"{self._said},{without_proof}".encode()
        mask = hmac.digest(self.keys.stored, said, "sha256")
        client = bytes(one ^ other for one, other in zip(mask, proof, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client).digest(), self.keys.stored):
            return None
        return b"v=" + b64encode(hmac.digest(self.keys.server, said, "sha256"))


def _text(message: bytes) -> str:
    if len(message) > MESSAGE_BYTES_MAX:
        raise ValueError(f"it has more than {MESSAGE_BYTES_MAX} bytes")
    try:
        text = message.decode()
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8") from None
    if "\0" in text:
        raise ValueError("a zero byte is in it")
    return text


def _in_three(text: str) -> tuple[str, str, str]:
    parts = text.split(",", 2)
    if len(parts) != 3:
        raise ValueError("it is no first message of a client")
    return parts[0], parts[1], parts[2]


def _attributes(text: str, wanted: str) -> list[str]:
    """The values of these attributes, with which the text begins; what follows may be anything."""
    parts = text.split(",")
    if parts[0].startswith("m="):
        raise ValueError("it wants an extension that we do not have")
    if any(len(part) < 3 or part[1] != "=" or not part[0].isalpha() for part in parts):
        raise ValueError("its parts have not the form x=value")
    if "".join(part[0] for part in parts[: len(wanted)]) != wanted:
        raise ValueError("its parts are not those of a SCRAM message")
    return [part[2:] for part in parts[: len(wanted)]]


def _name(text: str) -> str:
    """A name as it is meant: comma and equals sign are written =2C and =3D."""
    if any(part[:2] not in ("2C", "3D") for part in text.split("=")[1:]):
        raise ValueError("an equals sign in its name is not written =3D")
    return _prepared(text.replace("=2C", ",").replace("=3D", "="))


def _prepared(text: str) -> str:
    from gateway.broker.saslprep import saslprep  # its tables are loaded where somebody uses SCRAM

    return saslprep(text)


def _bytes(text: str) -> bytes:
    try:
        proof = b64decode(text, validate=True)
    except ValueError:
        raise ValueError("its proof is no base64") from None
    if len(proof) != KEY_BYTES:
        raise ValueError(f"its proof has not {KEY_BYTES} bytes")
    return proof
