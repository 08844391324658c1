"""The data types that packets are made of (section 1.5), read from and written to bytes.

Each reader takes the bytes, where the field begins and where the packet ends, and returns the
value and where the next field begins; what does not fit raises ProtocolError with 0x81. Knows no
packet and no property.
"""

from gateway.errors import ProtocolError
from gateway.mqtt.reasons import Reason


def malformed(detail: str) -> ProtocolError:
    """Bytes that cannot be read as the specification says: 0x81."""
    return ProtocolError(Reason.MALFORMED_PACKET, detail)


def broken(detail: str) -> ProtocolError:
    """Bytes that can be read and say what the specification forbids: 0x82."""
    return ProtocolError(Reason.PROTOCOL_ERROR, detail)


def read_byte(data: bytes, at: int, end: int) -> tuple[int, int]:
    """One byte."""
    if at >= end:
        raise malformed("the packet ends where a byte should be")
    return data[at], at + 1


def read_u16(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A two byte integer, section 1.5.2."""
    if at + 2 > end:
        raise malformed("the packet ends inside a two byte integer")
    return data[at] << 8 | data[at + 1], at + 2


def read_u32(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A four byte integer, section 1.5.3."""
    if at + 4 > end:
        raise malformed("the packet ends inside a four byte integer")
    return int.from_bytes(data[at : at + 4], "big"), at + 4


def read_packet_id(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A packet identifier, which is never 0 [MQTT-2.2.1-3] [MQTT-2.2.1-4]: 0x82."""
    if at + 2 > end:
        raise malformed("the packet ends inside a packet identifier")
    packet_id = data[at] << 8 | data[at + 1]
    if packet_id == 0:
        raise broken("packet identifier 0")
    return packet_id, at + 2


def read_binary(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Binary data, section 1.5.6."""
    length, start = read_u16(data, at, end)
    stop = start + length
    if stop > end:
        raise malformed("a field is longer than its packet")
    return data[start:stop], stop


def read_string(data: bytes, at: int, end: int) -> tuple[str, int]:
    """A UTF-8 string, section 1.5.4.

    Python's decoder is as strict as Unicode: surrogates [MQTT-1.5.4-1] and forms longer than
    needed are refused. A byte order mark stays in the text [MQTT-1.5.4-3]. Control characters and
    non-characters are let through, as the specification allows.
    """
    encoded, at = read_binary(data, at, end)
    return text_of(encoded), at


def text_of(encoded: bytes) -> str:
    """The text of a string whose length has been cut off; see read_string()."""
    try:
        text = str(encoded, "utf-8")
    except UnicodeDecodeError:
        raise malformed("a string is not UTF-8") from None
    if "\0" in text:  # [MQTT-1.5.4-2]
        raise malformed("a string contains U+0000")
    return text


def read_pair(data: bytes, at: int, end: int) -> tuple[tuple[str, str], int]:
    """A string pair, section 1.5.7 [MQTT-1.5.7-1]."""
    name, at = read_string(data, at, end)
    value, at = read_string(data, at, end)
    return (name, value), at


def write_byte(value: int) -> bytes:
    """One byte; a bool counts as 0 or 1."""
    return value.to_bytes(1, "big")


def write_u16(value: int) -> bytes:
    """A two byte integer."""
    return value.to_bytes(2, "big")


def write_u32(value: int) -> bytes:
    """A four byte integer."""
    return value.to_bytes(4, "big")


def write_binary(value: bytes) -> bytes:
    """Binary data of at most 65,535 bytes; a longer one is the caller's mistake."""
    assert len(value) <= 65_535
    return len(value).to_bytes(2, "big") + value


def write_string(value: str) -> bytes:
    """A UTF-8 string of at most 65,535 bytes; a longer one is the caller's mistake."""
    return write_binary(value.encode())


def write_pair(value: tuple[str, str]) -> bytes:
    """A string pair."""
    return write_string(value[0]) + write_string(value[1])
