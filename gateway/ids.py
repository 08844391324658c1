"""Identities: of a gateway, of its store, of a moment in the mesh.

Rules: a gateway's id comes from its hardware, so that a wiped card keeps it and a cloned one is
exposed; nothing is ordered by wall time. Must not know who uses them.
"""

import hashlib
from typing import NamedTuple
from zlib import crc32

GATEWAY_ID_LENGTH = 16  # hexadecimal digits: 64 bits, no collision among any plausible fleet


def gateway_id(serial_number: str) -> str:
    """The stable id of the box with this serial number: 16 hexadecimal digits."""
    digest = hashlib.sha256(b"gateway-id\0" + serial_number.encode()).hexdigest()
    return digest[:GATEWAY_ID_LENGTH]


class Stamp(NamedTuple):
    """When something was set, in the mesh's own order; the larger one is the newer one.

    `time_ms` is mesh time (see `gateway/clock.py`), `counter` tells apart what one gateway did
    within a millisecond, the gateway's id breaks the tie between two gateways.
    """

    time_ms: int
    counter: int
    gateway: str


NEVER = Stamp(0, 0, "")

_ENTRY_BITS = 32  # of the number in a stream that are used: so many are never under way at once


def entry_name(start: str, number: int) -> int:
    """Names what a gateway, as of this start, said as this entry of its stream to another one."""
    return crc32(start.encode()) << _ENTRY_BITS | number & (1 << _ENTRY_BITS) - 1
