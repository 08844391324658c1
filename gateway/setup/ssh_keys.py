"""Public keys of SSH as one line each, as `ssh-keygen` writes them into a `.pub` file.

    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... anna@laptop
    type        blob in base64               comment

The blob repeats the type and then has the numbers of the key, each after its length in four bytes
(RFC 4253 section 6.6, RFC 5656, RFC 8709). Must not know whose keys they are.
"""

import base64
import binascii

LINE_CHARACTERS_MAX = 8192  # what sshd reads of one line
RSA_BITS_MIN = 2048  # shorter ones sshd may refuse, and can be broken
RSA_BITS_MAX = 16384  # the longest that OpenSSH takes

# How many fields stand behind the type in the blob.
_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_POINT_BYTES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}  # uncompressed
_ED25519_BYTES = 32


def ssh_key_fault(line: str) -> str:
    """What is wrong with one public key; "" when nothing is. Does not repeat what it was given."""
    if "PRIVATE KEY" in line:
        return "is a private key, which must never leave its computer"
    if len(line) > LINE_CHARACTERS_MAX:
        return f"is {len(line)} characters long"
    if not line.isprintable() or line != line.strip():
        return "has blanks at an end, a line break or other characters that cannot be seen"
    kind, _, rest = line.partition(" ")
    if kind not in _FIELDS:
        return "does not begin with a type of key that is accepted"
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return "is not whole: what follows the type is not base64"
    fields = _fields(blob)
    if fields is None or len(fields) != 1 + _FIELDS[kind]:
        return "is not whole: a part of it is missing"
    if fields[0] != kind.encode():
        return "has one type written and another inside"
    return _numbers_fault(kind, fields[1:])


def _fields(blob: bytes) -> list[bytes] | None:
    """The parts of a blob; None when a length in it leads past its end."""
    fields = []
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        at += 4 + size
        if at > len(blob):
            return None
        fields.append(blob[at - size : at])
    return fields


def _numbers_fault(kind: str, numbers: list[bytes]) -> str:
    if kind == "ssh-rsa":
        bits = int.from_bytes(numbers[1], "big").bit_length()
        fine = RSA_BITS_MIN <= bits <= RSA_BITS_MAX
        return "" if fine else f"has {bits} bits, {RSA_BITS_MIN} are the least"
    if "ed25519" in kind:
        return "" if len(numbers[0]) == _ED25519_BYTES else "is not whole: it is too short"
    curve = numbers[0].decode("ascii", "replace")
    if curve not in _POINT_BYTES or not kind.partition("@")[0].endswith(curve):
        return "has one curve written and another inside"
    fine = len(numbers[1]) == _POINT_BYTES[curve] and numbers[1][0] == 4
    return "" if fine else "is not whole: its point is not on the curve"
