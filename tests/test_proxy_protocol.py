"""What a proxy says before its client speaks (gateway/proxy_protocol.py)."""

import ipaddress
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.proxy_protocol import (
    V1_BYTES_MAX,
    V2_BYTES_MAX,
    Header,
    Origin,
    ProxyError,
    crc32c,
    read_header,
)

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
MQTT = b"\x10\x0d\x00\x04MQTT"
PORTS = st.integers(0, 65_535)


def v2(command: int, kind: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, kind]) + struct.pack("!H", len(body)) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def with_checksum(header: bytes, wrong: int = 0) -> bytes:
    """The header with a CRC32c of all of it behind it."""
    length = int.from_bytes(header[14:16], "big") + 7
    blank = header[:14] + struct.pack("!H", length) + header[16:] + tlv(3, bytes(4))
    return blank[:-4] + struct.pack("!I", crc32c(blank) ^ wrong)


TCP4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack("!HH", 40_000, 1883)
TCP6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("::1").packed + bytes(4)
MAPPED = ipaddress.ip_address("::ffff:192.0.2.7").packed * 2 + bytes(4)
GOOD = [
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 1883\r\n", Origin.CLIENT, "192.0.2.7"),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n", Origin.CLIENT, "255.255.255.255"),
    (b"PROXY TCP6 2001:db8::7 ::1 40000 1883\r\n", Origin.CLIENT, "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 40000 1883\r\n", Origin.CLIENT, "192.0.2.7"),
    (
        b"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0007 ::1 1 2\r\n",
        Origin.CLIENT,
        "2001:db8::7",
    ),
    (b"PROXY UNKNOWN\r\n", Origin.UNKNOWN, ""),
    (b"PROXY UNKNOWN ffff:f...f:ffff whatever this is\r\n", Origin.UNKNOWN, ""),
    (v2(0x21, 0x11, TCP4), Origin.CLIENT, "192.0.2.7"),
    (v2(0x21, 0x21, TCP6), Origin.CLIENT, "2001:db8::7"),
    (v2(0x21, 0x21, MAPPED), Origin.CLIENT, "192.0.2.7"),
    (v2(0x21, 0x31, bytes(216)), Origin.UNKNOWN, ""),
    (v2(0x21, 0x00, b""), Origin.UNKNOWN, ""),
    (v2(0x20, 0x00, b""), Origin.PROXY, ""),
    (v2(0x20, 0x11, TCP4), Origin.PROXY, ""),
    (v2(0x20, 0x77, b"to be left unread"), Origin.PROXY, ""),
    (v2(0x21, 0x11, TCP4 + tlv(2, b"gw1.local") + tlv(4, b"")), Origin.CLIENT, "192.0.2.7"),
    (with_checksum(v2(0x21, 0x11, TCP4 + tlv(2, b"gw1"))), Origin.CLIENT, "192.0.2.7"),
    (v2(0x21, 0x11, TCP4 + tlv(0xE0, bytes(V2_BYTES_MAX - 31))), Origin.CLIENT, "192.0.2.7"),
]
BAD = [
    (MQTT, "no PROXY header"),
    (b"\x16\x03\x01\x02\x00", "no PROXY header"),
    (b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "no PROXY header"),
    (b"PROXY\tTCP4 192.0.2.7 10.0.0.1 1 2\r\n", "no PROXY header"),
    (b"PROXY \r\n", "malformed"),
    (b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n", "malformed"),
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n", "malformed"),
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n", "malformed"),
    (b"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n", "malformed"),
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n", None),
    (b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n", "no address"),
    (b"PROXY TCP4 192.0.02.7 10.0.0.1 1 2\r\n", "no address"),
    (b"PROXY TCP4 192.0.2.7 gw1 1 2\r\n", "no address"),
    (b"PROXY TCP4 192.0.2.\xff 10.0.0.1 1 2\r\n", "no address"),
    (b"PROXY TCP4 ::1 ::1 1 2\r\n", "another kind"),
    (b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n", "another kind"),
    (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "another kind"),
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n", "no port"),
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 02\r\n", "no port"),
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 -1 2\r\n", "no port"),
    (b"PROXY UNKNOWN " + b"x" * V1_BYTES_MAX, "more than 107"),
    (v2(0x11, 0x11, TCP4), "unknown version or command"),
    (v2(0x22, 0x11, TCP4), "unknown version or command"),
    (v2(0x21, 0x12, TCP4), "other than TCP"),
    (v2(0x21, 0x41, TCP4), "other than TCP"),
    (v2(0x21, 0x11, TCP4[:-1]), "too short"),
    (v2(0x21, 0x21, TCP6[:-1]), "too short"),
    (v2(0x21, 0x11, TCP4 + b"\x02\x00"), "breaks off"),
    (v2(0x21, 0x11, TCP4 + b"\x02\x00\x09gw1"), "breaks off"),
    (v2(0x21, 0x11, TCP4 + tlv(3, b"123")), "another length"),
    (with_checksum(v2(0x21, 0x11, TCP4), wrong=1), "checksum"),
    (v2(0x21, 0x11, TCP4 + tlv(0xE0, bytes(V2_BYTES_MAX - 30))), "more than 4096"),
]


@pytest.mark.parametrize(("header", "origin", "address"), GOOD)
def test_a_header_says_whose_the_connection_is(header: bytes, origin: Origin, address: str) -> None:
    expected = Header(origin, address, len(header))
    assert read_header(header) == expected
    assert read_header(header + MQTT) == expected
    for length in range(len(header)):
        assert read_header(header[:length]) is None, header[:length]


@pytest.mark.parametrize(("data", "why"), BAD)
def test_what_is_no_header_is_an_error_and_never_more_than_the_bound_is_waited_for(
    data: bytes, why: str | None
) -> None:
    if why is None:  # not an end of line: it goes on until the bound
        assert read_header(data) is None
        data, why = data + b"x" * V1_BYTES_MAX, "more than 107"
    with pytest.raises(ProxyError, match=why):
        read_header(data)


def test_the_checksum_is_the_one_of_the_rfc() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@given(
    st.ip_addresses(v=4) | st.ip_addresses(v=6), PORTS, PORTS, st.booleans(), st.binary(max_size=9)
)
def test_every_address_comes_out_as_it_went_in(source, port, own_port, second, behind):
    four = source.version == 4
    own = ipaddress.ip_address("10.0.0.1" if four else "::1")
    if second:
        ports = struct.pack("!HH", port, own_port)
        header = v2(0x21, 0x11 if four else 0x21, source.packed + own.packed + ports)
    else:
        kind = "TCP4" if four else "TCP6"
        header = f"PROXY {kind} {source} {own} {port} {own_port}\r\n".encode()
    mapped = None if four else source.ipv4_mapped
    found = read_header(header + behind)
    assert found == Header(Origin.CLIENT, str(mapped or source), len(header))


@given(
    st.binary(max_size=300)
    | st.binary(max_size=120).map(lambda rest: b"PROXY " + rest)
    | st.binary(max_size=300).map(lambda rest: SIGNATURE + rest)
)
@example(SIGNATURE + b"\x21\x11\xff\xff")
def test_any_bytes_are_a_header_or_an_error_or_need_more(data):
    try:
        found = read_header(data)
    except ProxyError:
        for more in (b"", b"x"):
            with pytest.raises(ProxyError):
                read_header(data + more)
        return
    if found is None:
        assert len(data) < V2_BYTES_MAX
    else:
        assert 0 < found.length <= len(data)
        assert bool(found.address) is (found.origin is Origin.CLIENT)
