"""How two gateways make their retained messages the same after a link came up.

Each sends a digest of its buckets; for the buckets that differ each lists topics and stamps; each then
sends what it has newer. What is equal costs 256 numbers. Deletions are entries like others. Must not
know links or who else is in the mesh.
"""

from collections.abc import Callable, Iterator

from gateway.errors import LinkError
from gateway.ids import NEVER, Stamp
from gateway.limits import BATCH_BYTES_MAX, TOPIC_BYTES_MAX, TOPICS_IN_FRAME_MAX
from gateway.mesh.frames import Compare, Digest, Entry, Kept, Retained
from gateway.mesh.local import Compared, RetainedEntry, RetainedStore
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.properties import (
    NO_PROPERTIES,
    Carrier,
    Properties,
    decode_properties,
)

LISTING_BYTES_MAX = 8_388_608  # of topics in one frame: a topic may have 64 kB
ENTRY_OVERHEAD_BYTES = 64  # of the envelope of one retained message, near enough


def differences(store: Compared, theirs: Digest) -> list[Compare]:
    """What to list to the other side, given its digest; nothing if the stores are equal.

    A bucket that is too long for one frame is in two: more is sent back than is missing, no less.
    """
    ours = store.digest()
    differing = [
        number for number, digest in enumerate(ours) if digest != _at(theirs.buckets, number)
    ]
    frames: list[Compare] = []
    buckets: list[int] = []
    topics: list[tuple[str, tuple[int, int, str]]] = []
    size = 0
    for number in differing:
        buckets.append(number)
        for topic, entry in store.bucket(number):
            topics.append((topic, _plain(entry.stamp)))
            size += len(topic)
            if size > LISTING_BYTES_MAX:
                frames.append(Compare(buckets, topics, False, theirs.table))
                buckets, topics, size = [number], [], 0
        if len(topics) >= TOPICS_IN_FRAME_MAX:
            frames.append(Compare(buckets, topics, False, theirs.table))
            buckets, topics, size = [], [], 0
    if differing:
        frames.append(Compare(buckets, topics, True, theirs.table))
    return frames


def check_buckets(store: Compared, theirs: Compare) -> None:
    """Raises LinkError for a bucket that does not exist."""
    count = len(store.digest())
    if not all(0 <= number < count for number in theirs.buckets):
        raise LinkError("malformed", "a bucket that does not exist")


def newer_here(
    store: RetainedStore, theirs: Compare, now: Callable[[], float]
) -> Iterator[Retained]:
    """What this side has newer than the list says, or the list does not have at all, as it is when each
    frame is made; the buckets exist."""
    stamps = {topic: Stamp(*stamp) for topic, stamp in theirs.topics}
    kept: list[Kept] = []
    size = 0
    for number in theirs.buckets:
        for topic, entry in list(store.bucket(number)):  # it may change before the rest is sent
            if entry.stamp > stamps.get(topic, NEVER):
                kept.append(_kept(topic, entry, now()))
                size += _size(kept[-1])
            if size > BATCH_BYTES_MAX:
                yield Retained(kept, last=False)
                kept, size = [], 0
    if kept or theirs.last:
        yield Retained(kept, last=theirs.last)


def entry_of(
    message: Message, stamp: Stamp | None, now: float, group: str = "", moves: int = 0
) -> Entry:
    """A message as it goes over a link; `group` is the shared subscription that it is for."""
    return Entry(
        message.topic_field,
        message.payload,
        message.qos,
        message.publisher,
        None if stamp is None else (stamp.time_ms, stamp.counter),
        message.properties_field(),
        _left_ms(message, now),
        False,
        None if message.will is None else _plain(message.will),
        group,
        moves,
        message.level,
        message.taken,
    )


def message_of(entry: Entry, now: float) -> Message:
    """A message as it came over a link.

    Raises LinkError, ProtocolError or UnicodeDecodeError for what is none.
    """
    if int.from_bytes(entry.field[:2], "big") != len(entry.field) - 2 or not 0 <= entry.qos <= 2:
        raise LinkError("malformed", "a message that is not MQTT's")
    return Message(
        entry.field[2:].decode(),
        entry.field,
        entry.payload,
        entry.qos,
        entry.stamp is not None,
        _properties(entry.properties) if entry.properties else NO_PROPERTIES,
        entry.publisher,
        None if entry.expires_ms is None else now + entry.expires_ms / 1000,
        will=None if entry.will is None else Stamp(*entry.will),
        moves=entry.moves,
        level=entry.level,
        taken=entry.taken,
    )


def kept_message(kept: Kept, now: float) -> tuple[Message, Stamp]:
    """A retained message as another gateway keeps it; an empty payload for one that was deleted.

    Raises LinkError or ProtocolError for what is none.
    """
    if not 0 <= kept.qos <= 2 or len(kept.topic.encode()) > TOPIC_BYTES_MAX:
        raise LinkError("malformed", "a retained message that is not MQTT's")
    message = Message(
        kept.topic,
        topic_field(kept.topic),
        kept.payload or b"",
        kept.qos,
        True,
        _properties(kept.properties),
        kept.publisher,
        None if kept.expires_ms is None else now + kept.expires_ms / 1000,
        will=None if kept.will is None else Stamp(*kept.will),
    )
    return message, Stamp(*kept.stamp)


def _size(kept: Kept) -> int:
    text = len(kept.topic) + len(kept.publisher) + len(kept.properties)
    return len(kept.payload or b"") + text + ENTRY_OVERHEAD_BYTES


def _kept(topic: str, entry: RetainedEntry, now: float) -> Kept:
    message, stamp = entry.message, entry.stamp
    if message is None:
        return Kept(topic, _plain(stamp), None)
    return Kept(
        topic,
        _plain(stamp),
        message.payload,
        message.qos,
        message.publisher,
        message.properties_field(),
        _left_ms(message, now),
        None if message.will is None else _plain(message.will),
    )


def _plain(stamp: Stamp) -> tuple[int, int, str]:
    return stamp.time_ms, stamp.counter, stamp.gateway


def _left_ms(message: Message, now: float) -> int | None:
    return None if message.expires_at is None else max(0, int((message.expires_at - now) * 1000))


def _properties(data: bytes) -> Properties:
    if not data:
        return NO_PROPERTIES
    return decode_properties(data, 0, len(data), Carrier.PUBLISH)[0]


def _at(numbers: list[int], index: int) -> int:
    return numbers[index] if index < len(numbers) else 0
