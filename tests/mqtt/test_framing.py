"""The fixed header: where packets begin and end, and when that is refused."""

import pytest

from gateway.errors import ProtocolError
from gateway.mqtt.framing import encode_length, read_length, split
from gateway.mqtt.reasons import Reason

PING = b"\xc0\x00"

LENGTHS = [  # section 1.5.5, table 1-1
    (0, "00"),
    (127, "7f"),
    (128, "8001"),
    (16_383, "ff7f"),
    (16_384, "808001"),
    (2_097_151, "ffff7f"),
    (2_097_152, "80808001"),
    (268_435_455, "ffffff7f"),
]


@pytest.mark.parametrize(("length", "encoded"), LENGTHS)
# [MQTT-1.5.5-1]
def test_a_length_has_as_few_bytes_as_it_needs(length: int, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert encode_length(length) == data
    assert read_length(data, 0, len(data)) == (length, len(data))


@pytest.mark.parametrize("length", [-1, 268_435_456])
def test_a_length_that_cannot_be_is_our_own_mistake(length: int) -> None:
    with pytest.raises(AssertionError):
        encode_length(length)


def test_what_is_not_whole_stays_in_the_buffer() -> None:
    assert split(PING + PING + b"\x30\x05abc", 100) == ([(0xC0, 2, 2), (0xC0, 4, 4)], 4)


@pytest.mark.parametrize("bad", [b"\x00", b"\xc1\x00", b"\x30\x80\x00", b"\x30\xff\xff\xff\xff"])
def test_packets_before_a_bad_one_are_not_lost(bad: bytes) -> None:
    packets, rest = split(PING + bad, 100)
    assert (packets, rest) == ([(0xC0, 2, 2)], 2)
    with pytest.raises(ProtocolError) as refusal:
        split(bad, 100)
    assert refusal.value.reason == Reason.MALFORMED_PACKET


@pytest.mark.parametrize("body_bytes", [98, 200])
def test_the_limit_counts_the_header(body_bytes: int) -> None:
    frame = b"\x30" + encode_length(body_bytes) + bytes(body_bytes)
    packets, rest = split(frame, len(frame))
    assert len(packets) == 1 and rest == len(frame)
    with pytest.raises(ProtocolError) as refusal:
        split(frame, len(frame) - 1)
    assert refusal.value.reason == Reason.PACKET_TOO_LARGE


def test_a_packet_over_the_limit_is_refused_as_soon_as_its_header_is_there() -> None:
    assert split(b"\x30\xff", 100) == ([], 0)
    with pytest.raises(ProtocolError) as refusal:
        split(b"\x30\xff\x01", 100)
    assert refusal.value.reason == Reason.PACKET_TOO_LARGE


@pytest.mark.parametrize("first", [0x00, 0x11, 0x60, 0x80, 0xF1])
def test_a_bad_first_byte_is_refused_before_the_second_comes(first: int) -> None:
    with pytest.raises(ProtocolError):
        split(bytes((first,)), 100)
