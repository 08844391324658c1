"""From a stream of bytes to whole packets: the fixed header (section 2.1) and nothing behind it.

    byte 0      packet type (4 bits), flags (4 bits)
    byte 1-4    remaining length, a variable byte integer (section 1.5.5)
    then        that many bytes: the body, which decode.py reads

Keeps no state: the caller owns the buffer and cuts off what was split. Must not know what a body
means, nor the version of the client, so what depends on the version is left to decode.py.
"""

from gateway.errors import ProtocolError
from gateway.limits import REMAINING_LENGTH_BYTES_MAX
from gateway.mqtt.reasons import Reason

# In MQTT 3.1 a PUBREL, SUBSCRIBE or UNSUBSCRIBE that is sent again has the DUP bit (its section
# 2.1). decode.py refuses these to every later version.
REDELIVERED_FIRST_BYTES = frozenset((0x6A, 0x8A, 0xAA))

# [MQTT-2.1.3-1] The flags of every packet but PUBLISH are fixed; type 0 is forbidden.
FIRST_BYTES = REDELIVERED_FIRST_BYTES | frozenset(
    (
        # [MQTT-3.6.1-1]
        *(0x10, 0x20, *range(0x30, 0x40), 0x40, 0x50, 0x62, 0x70),
        # [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
        *(0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0),
    )
)

_HEADER_BYTES_MAX = 5


def encode_length(length: int) -> bytes:
    """A variable byte integer in as few bytes as it needs [MQTT-1.5.5-1]."""
    if length < 128:
        assert length >= 0
        return length.to_bytes(1, "big")
    assert length <= REMAINING_LENGTH_BYTES_MAX, "the caller bounds what it encodes"
    encoded = bytearray()
    while length > 127:
        encoded.append(length & 127 | 128)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def read_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The variable byte integer at `at`, and where the next field begins.

    Raises ProtocolError (0x81) when it has a fifth byte, more bytes than it needs
    [MQTT-1.5.5-1], or does not end before `end`.
    """
    length = 0
    for count in range(4):
        if at >= end:
            raise ProtocolError(Reason.MALFORMED_PACKET, "a length ends too early")
        byte = data[at]
        at += 1
        length |= (byte & 127) << 7 * count
        if byte < 128:
            if byte == 0 and count:
                raise ProtocolError(Reason.MALFORMED_PACKET, "a length has needless bytes")
            return length, at
    raise ProtocolError(Reason.MALFORMED_PACKET, "a length has more than four bytes")


def split(buffer: bytes, packet_bytes_max: int) -> tuple[list[tuple[int, int, int]], int]:
    """Find every whole packet: (first byte, where its body begins, where it ends), and the rest.

    The second value is the offset of the first byte that belongs to no whole packet; the caller
    keeps the bytes from there and calls again when more have come. `packet_bytes_max` counts the
    whole packet with its header.

    Raises ProtocolError only when the first packet of the buffer is bad, so what stands before a
    bad packet is never lost: 0x81 for a type, flags or a length that cannot be, 0x95 for a packet
    over the limit, both as soon as the header shows it.
    """
    packets: list[tuple[int, int, int]] = []
    append = packets.append
    known = FIRST_BYTES
    size = len(buffer)
    at = 0
    # The caller hands in up to 256 kB of small packets: anything odd leaves this loop, and is
    # looked at with care only when nothing good stands before it.
    while at + 1 < size:
        first = buffer[at]
        length = buffer[at + 1]
        body = at + 2
        if length > 127:
            length, body = _long_length(buffer, at + 1, size)
        end = body + length
        if end > size or end - at > packet_bytes_max or first not in known:
            break
        append((first, body, end))
        at = end
    if not packets:
        _check_header(buffer, packet_bytes_max)
    return packets, at


def _long_length(buffer: bytes, at: int, size: int) -> tuple[int, int]:
    """A length of several bytes; one that is bad or not whole reaches beyond the buffer."""
    shift = length = 0
    for index in range(at, min(at + 4, size)):
        byte = buffer[index]
        length |= (byte & 127) << shift
        if byte < 128:
            return (length, index + 1) if byte else (size, size)
        shift += 7
    return size, size


def _check_header(buffer: bytes, packet_bytes_max: int) -> None:
    """Raise when the packet at the buffer's begin is bad as far as its header has come."""
    if not buffer:
        return
    if buffer[0] not in FIRST_BYTES:
        raise ProtocolError(Reason.MALFORMED_PACKET, f"a packet begins with 0x{buffer[0]:02x}")
    header = buffer[1:_HEADER_BYTES_MAX]
    if len(header) < 4 and all(byte > 127 for byte in header):
        return  # the length has not come yet
    length, header_bytes = read_length(header, 0, len(header))
    if 1 + header_bytes + length > packet_bytes_max:
        raise ProtocolError(Reason.PACKET_TOO_LARGE, f"more than {packet_bytes_max} bytes")
