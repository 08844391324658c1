"""What a broker asks its disk to keep: records, in the order in which they became true.

    Row                    one small thing by kind and key: a session, a subscription, a retained message
    Enqueued               messages for persistent sessions, all from one publisher, on one topic
    Sent, Received, Done   how far the delivery of such a message has come
    Stored, Released       a QoS 2 message of a client, between PUBLISH and PUBREL

All are safe to apply twice, and a record about something unknown is to be ignored: what it speaks of
is over. Times are mesh time in milliseconds (`gateway/clock.py`), for a monotonic clock does not
outlive the boot. A message is named by its id, `mid`: the store's boot count times 2**40, plus a
counter, so that ids only grow. Fields may be added at the end, with a default: the version before
this one reads them (docs/decisions/0013-store-format.md). Holds no behaviour. Must not know files.
"""

from enum import Enum
from typing import TypeAlias

import msgspec

BOOT_SHIFT = 40  # a mid is boot << BOOT_SHIFT | counter


class Rewrite(Enum):
    """What a batch is in the writing again of all that lives, by which old files become free."""

    NONE = 0
    BEGIN = 1
    END = 2
    WHOLE = 3  # all that lives fits into one batch


class Wish(Enum):
    """Of the disk: whether all that lives is to be written again."""

    NONE = 0
    IF_WORTH = 1  # the log is long: if about half of it is over
    NOW = 2  # it is very long, or in too many files


class Row(msgspec.Struct, frozen=True, array_like=True, tag="row"):
    """Keep `value` under (kind, key), or with None keep nothing there. The last one counts."""

    kind: str
    key: str
    value: bytes | None


class Target(msgspec.Struct, frozen=True, array_like=True):
    """A persistent session that gets every message of an Enqueued.

    `packet_ids` has one for each message, when they were sent at once; else they wait in the queue.
    `identifiers` are the subscription identifiers that go with them, `shared` is the shared
    subscription that chose the session, or empty.
    """

    session: int
    qos: int
    retain: bool = False
    identifiers: tuple[int, ...] = ()
    packet_ids: list[int] | None = None
    shared: str = ""


class Enqueued(msgspec.Struct, frozen=True, array_like=True, tag="enqueued"):
    """Messages `first`, `first` + 1, ... for the targets. `properties` in MQTT 5.0 form, or empty."""

    first: int
    field: bytes  # the topic in wire form
    payloads: list[bytes]
    qos: int
    retain: bool
    publisher: str
    properties: bytes
    expires_ms: int | None
    targets: list[Target]


class Sent(msgspec.Struct, frozen=True, array_like=True, tag="sent"):
    """The session's message left its queue under this packet id."""

    session: int
    mid: int
    packet_id: int


class Received(msgspec.Struct, frozen=True, array_like=True, tag="received"):
    """PUBREC came: from here on only PUBREL may be sent under the packet id."""

    session: int
    mid: int


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """The session needs these messages no longer: `ranges` are (first mid, last mid)."""

    session: int
    ranges: list[tuple[int, int]]


class Stored(msgspec.Struct, frozen=True, array_like=True, tag="stored"):
    """A QoS 2 message that a client handed over, not yet released. Session 0: it has no number."""

    session: int
    packet_id: int
    mid: int
    field: bytes
    payload: bytes
    retain: bool
    publisher: str
    properties: bytes
    expires_ms: int | None


class Released(msgspec.Struct, frozen=True, array_like=True, tag="released"):
    """PUBREL came, or the session ended: the stored message went its way (or had expired)."""

    mid: int


Record: TypeAlias = Row | Enqueued | Sent | Received | Done | Stored | Released
