"""The PROXY protocol, versions 1 and 2: who a proxy's client is, in bytes before everything else.

Written from HAProxy's "The PROXY protocol", sections 2.1 and 2.2. The header is never guessed at: who
calls this knows that one must come. What a proxy adds behind the addresses (names, TLS, its own) is
checked for its form and its checksum, and not believed. Must not know sockets, nor which proxies are
trusted.
"""

import ipaddress
import re
from enum import Enum
from functools import cache
from typing import NamedTuple

V1_BYTES_MAX = 107  # the protocol's own, with the line's end
# Version 2 allows 65,551; addresses and all that HAProxy can add have under 2,000.
V2_BYTES_MAX = 4_096

_V1_HEAD = b"PROXY "
_V2_HEAD = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_LOCAL, _PROXY = 0x20, 0x21  # version and command
# Family and transport, and how many bytes of addresses follow.
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_BYTES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_CHECKSUM = 0x03  # PP2_TYPE_CRC32C
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")


class ProxyError(Exception):
    """What came is no header; the connection must be closed."""


class Origin(Enum):
    """Whose connection it is."""

    CLIENT = "a client's, at the address that is named"
    UNKNOWN = "a client's, and the proxy does not say where it is"
    PROXY = "the proxy's own, as for a check of health"


class Header(NamedTuple):
    """`address` is empty unless a client is named; behind `length` bytes the client's own begin."""

    origin: Origin
    address: str
    length: int


def read_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None if it is not whole yet. Raises ProxyError."""
    if data[:12] == _V2_HEAD[: len(data)]:
        return _read_v2(data)
    if data[:6] == _V1_HEAD[: len(data)]:
        return _read_v1(data)
    raise ProxyError("it begins with no PROXY header")


def _read_v1(data: bytes) -> Header | None:
    line, end, _ = data[:V1_BYTES_MAX].partition(b"\r\n")
    if not end:
        if len(data) >= V1_BYTES_MAX:
            raise ProxyError(f"its header has more than {V1_BYTES_MAX} bytes")
        return None
    length = len(line) + 2
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":
        return Header(Origin.UNKNOWN, "", length)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise ProxyError("its header of version 1 is malformed")
    version = 4 if words[1] == b"TCP4" else 6
    source, _ = (_address(word, version) for word in words[2:4])
    for word in words[4:]:
        if not _PORT.fullmatch(word) or int(word) > 65_535:
            raise ProxyError("its header of version 1 names no port")
    return Header(Origin.CLIENT, source, length)


def _address(word: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        raise ProxyError("its header of version 1 names no address") from None
    if address.version != version or b"%" in word:
        raise ProxyError("its header of version 1 names an address of another kind")
    return _plain(address)


def _read_v2(data: bytes) -> Header | None:
    if len(data) < _V2_FIXED_BYTES:
        return None
    command, kind = data[12], data[13]
    length = _V2_FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise ProxyError("its header of version 2 has an unknown version or command")
    if length > V2_BYTES_MAX:
        raise ProxyError(f"its header has more than {V2_BYTES_MAX} bytes")
    if command == _PROXY and kind not in _ADDRESS_BYTES:
        raise ProxyError("its header of version 2 is about something other than TCP")
    addresses = _ADDRESS_BYTES[kind] if command == _PROXY else 0
    if length < _V2_FIXED_BYTES + addresses:
        raise ProxyError("its header of version 2 is too short for its addresses")
    if len(data) < length:
        return None
    if command == _LOCAL:
        return Header(Origin.PROXY, "", length)  # whatever follows is to be left unread
    body = data[_V2_FIXED_BYTES:length]
    _check_additions(data[:length], _V2_FIXED_BYTES + addresses)
    if kind == _TCP4:
        return Header(Origin.CLIENT, _plain(ipaddress.IPv4Address(body[:4])), length)
    if kind == _TCP6:
        return Header(Origin.CLIENT, _plain(ipaddress.IPv6Address(body[:16])), length)
    return Header(Origin.UNKNOWN, "", length)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """One word for one client, whichever way the proxy writes it."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _check_additions(header: bytes, at: int) -> None:
    """Type, length and value of each, section 2.2; the checksum is over all, with zeros in its place."""
    while at < len(header):
        end = at + 3 + int.from_bytes(header[at + 1 : at + 3], "big")
        if at + 3 > len(header) or end > len(header):
            raise ProxyError("its header of version 2 breaks off in the middle")
        if header[at] == _CHECKSUM:
            if end - at != 7:
                raise ProxyError("its header of version 2 has a checksum of another length")
            blank = header[: at + 3] + bytes(4) + header[end:]
            if crc32c(blank) != int.from_bytes(header[at + 3 : end], "big"):
                raise ProxyError("the checksum of its header is wrong")
        at = end


def crc32c(data: bytes) -> int:
    """RFC 4960, appendix B."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _crc32c_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table
