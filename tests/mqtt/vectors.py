"""Reads tests/vectors/*.txt: packets as annotated bytes, written from the specification.

A file is a line or two of prose and then vectors. One vector:

    --- what it shows | the versions in which it is so | read only
    10 0d           ; CONNECT, 13 bytes follow
    0004 "MQTT"     ; hexadecimal digits and literal text; after the semicolon a comment
    61*128          ; the same bytes 128 times
    => PubAck(1)

The last line is the packet, in the words of gateway/mqtt/packets.py, or the reason code with which
the bytes are refused and a part of the detail, so that a vector cannot be refused for another
fault than its own. "read only" marks bytes that we read and would write differently.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from gateway.mqtt import packets
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason

FOLDER = Path(__file__).parent.parent / "vectors"

_VERSIONS = {
    "3.1": packets.Version.MQTT31,
    "3.1.1": packets.Version.MQTT311,
    "5.0": packets.Version.MQTT5,
}
_WORDS = {
    **{name: value for name, value in vars(packets).items() if isinstance(value, type)},
    **packets.Version.__members__,
    **Reason.__members__,
    "Properties": Properties,
    "__builtins__": {},
}
_BYTES = re.compile(r'"([^"]*)"|((?:[0-9a-f]{2})+)(?:\*(\d+))?|(;.*|\s+)')


@dataclass(frozen=True, slots=True)
class Vector:
    """One vector in one version. Either `packet` or `reason` is set."""

    name: str
    version: packets.Version
    frame: bytes
    packet: packets.Packet | None
    reason: Reason | None
    detail: str
    read_only: bool

    @property
    def first(self) -> int:
        return self.frame[0]

    @property
    def body(self) -> bytes:
        """What stands behind the fixed header; nothing else in this file reads MQTT."""
        at = 1
        while at < len(self.frame) and self.frame[at] > 127:
            at += 1
        return self.frame[at + 1 :]

    @property
    def known_version(self) -> packets.Version | None:
        """What a server knows when the packet comes."""
        return None if self.first >> 4 == packets.PacketType.CONNECT else self.version


def load() -> list[Vector]:
    """Every vector of every file, one for each version."""
    return [
        vector
        for path in sorted(FOLDER.glob("*.txt"))
        for text in re.split(r"^--- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        for vector in _vectors(f"{path.stem}: ", text.strip())
    ]


def _vectors(prefix: str, text: str) -> list[Vector]:
    heading, *lines, expected = text.split("\n")
    name, versions, *flags = (part.strip() for part in heading.split("|"))
    assert expected.startswith("=> "), f"{prefix}{name} has no expectation"
    assert flags in ([], ["read only"]), f"{prefix}{name} has an unknown flag"
    packet, reason, detail = _expected(expected[3:])
    frame = _bytes("\n".join(lines))
    return [
        Vector(
            f"{prefix}{name} [{version}]",
            _VERSIONS[version],
            frame,
            packet,
            reason,
            detail,
            flags == ["read only"],
        )
        for version in versions.split()
    ]


def _expected(text: str) -> tuple[packets.Packet | None, Reason | None, str]:
    if text.startswith("0x"):
        code, detail = text.split(" ", 1)
        return None, Reason(int(code, 16)), detail
    return eval(text, dict(_WORDS)), None, ""  # our own files, and no builtins


def _bytes(text: str) -> bytes:
    found = bytearray()
    at = 0
    while at < len(text):
        match = _BYTES.match(text, at)
        assert match is not None, f"neither bytes nor a comment: {text[at : at + 20]!r}"
        literal, digits, times, _ = match.groups()
        if literal is not None:
            found += literal.encode()
        elif digits is not None:
            found += bytes.fromhex(digits) * int(times or 1)
        at = match.end()
    return bytes(found)
