"""The rows that a broker keeps on disk: what each kind means, and how it is written and read.

    session        by number        client id, expiry, since when away, will
    subscription   "number filter"  what the filter grants
    retained       by topic         message and stamp; without a payload, the tombstone
    will           by client id     a will whose delay runs
    people         by key           a row of the table of users and rules (`gateway/table.py`)
    registry       by client id     a row of the table of all sessions of the mesh (`registry.py`)
    given          by client id     where a session of a copy here went (`shades.py`)
    ages           one              for how long what waits for other gateways has waited (`ages.py`)

Values are MessagePack arrays: fields are added at the end, with a default, so that the version before
reads them. Must not know files, or when rows reach the disk.
"""

from typing import TypeVar

import msgspec

from gateway.broker.journal import Journal
from gateway.broker.session import Session
from gateway.durability import Durability
from gateway.ids import Stamp
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import Subscription, Will
from gateway.mqtt.properties import (
    NO_PROPERTIES,
    Carrier,
    Properties,
    decode_properties,
    encode_properties,
)
from gateway.table import Row
from gateway.tickets import Ticket

SESSION, SUBSCRIPTION, RETAINED, WILL = "session", "subscription", "retained", "will"
PEOPLE, STREAM = "people", "stream"
REGISTRY, GIVEN, AGES = "registry", "given", "ages"


class WillRow(msgspec.Struct, frozen=True, array_like=True):
    """The will of a connected client, as it stood in CONNECT."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: bytes


class SessionRow(msgspec.Struct, frozen=True, array_like=True):
    """`away_ms` is since when its client is away, in mesh time; None: it is here, or just left.

    `epoch`, `line`, `halves`, `owed`, `had` and `copy` as in `registry.py` and `passage.py`.
    """

    client_id: str
    expiry_s: float
    away_ms: int | None = None
    will: WillRow | None = None
    user: str = ""
    epoch: int = 0
    line: int = 0
    owed: tuple[str, int] = ("", 0)
    halves: int = 0
    had: tuple[tuple[str, int, bool], ...] = ()
    copy: str = ""


class SubscriptionRow(msgspec.Struct, frozen=True, array_like=True):
    """Section 3.8.3.1. `unshown`: what is retained under it was not all shown when this was written."""

    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int
    identifier: int = 0
    unshown: bool = False


class MessageRow(msgspec.Struct, frozen=True, array_like=True):
    """A retained message (`payload` None: deleted), or a delayed will, which has no stamp but a time.
    `will`: it was sent for a client whose gateway was dead (`Message.will`)."""

    topic: str
    payload: bytes | None
    qos: int
    retain: bool
    publisher: str
    properties: bytes
    expires_ms: int | None
    stamp: tuple[int, int, str] = (0, 0, "")
    due_ms: int = 0
    will: tuple[int, int, str] | None = None


class StreamRow(msgspec.Struct, frozen=True, array_like=True):
    """Up to where the stream of another gateway, as it started then, is on disk here."""

    start: str
    number: int


class GivenRow(msgspec.Struct, frozen=True, array_like=True):
    """The session that was the owner's since `born` went to that gateway; `lost` as in a claim."""

    owner: str
    gateway: str
    born: tuple[int, int, str]
    lost: bool = False


class AgesRow(msgspec.Struct, frozen=True, array_like=True):
    """All messages below each number were older than so many seconds when this was written."""

    marks: list[tuple[int, int]]


NOTHING_OWED = ("", 0)
UNREADY = (
    -1
)  # of `owed`: not all is here that was sent to the client, and the session is still there

T = TypeVar("T")
_encode = msgspec.msgpack.encode


def read(value: bytes, shape: type[T]) -> T:
    """A row's value. Raises msgspec.DecodeError or msgspec.ValidationError for what is none."""
    return msgspec.msgpack.decode(value, type=shape)


def keep_session(
    journal: Journal,
    session: Session,
    will: Will | None,
    away_ms: int | None,
    wait: Ticket | None = None,
) -> None:
    """The session as it is now."""
    value = session_value(session, will, away_ms)
    journal.put(SESSION, str(session.number), value, wait)


def session_value(session: Session, will: Will | None, away_ms: int | None) -> bytes:
    """Its row. `away_ms` is since when its client is away, as far as the disk is to know."""
    row = None
    if will is not None:
        properties = encode_properties(will.properties)
        row = WillRow(will.topic, will.payload, will.qos, will.retain, properties)
    passage, owed, copy = session.passage, NOTHING_OWED, ""
    if passage is not None:
        owed, copy = passage.owed, passage.copy
    about = (session.user, session.epoch, session.line, owed, session.halves, session.had, copy)
    return _encode(SessionRow(session.client_id, session.expiry_s, away_ms, row, *about))


def forget_session(journal: Journal, session: Session, wait: Ticket | None = None) -> None:
    """The session is over, its subscriptions have been taken away."""
    journal.put(SESSION, str(session.number), None, wait)
    journal.balance.alive -= session.waiting()


def keep_subscription(
    journal: Journal,
    session: Session,
    subscription: Subscription,
    wait: Ticket | None,
    unshown: bool = False,
) -> None:
    """One subscription, new or replaced, or with what is retained under it shown."""
    key = f"{session.number} {subscription.topic_filter}"
    journal.put(SUBSCRIPTION, key, subscription_value(subscription, unshown), wait)


def subscription_value(subscription: Subscription, unshown: bool) -> bytes:
    """Its row."""
    return _encode(subscription_row(subscription, unshown))


def forget_subscription(
    journal: Journal, session: Session, topic_filter: str, wait: Ticket | None
) -> None:
    """The subscription ended."""
    journal.put(SUBSCRIPTION, f"{session.number} {topic_filter}", None, wait)


def keep_given(
    journal: Journal, client_id: str, given: GivenRow | None, wait: Ticket | None
) -> None:
    """Where a session of a copy went, or with None that this is over."""
    journal.put(GIVEN, client_id, None if given is None else _encode(given), wait)


def keep_ages(journal: Journal, marks: list[tuple[int, int]] | None) -> None:
    """How old messages are, or with None that none waits."""
    journal.put(AGES, "", None if marks is None else _encode(AgesRow(marks)))


def keep_retained(
    journal: Journal,
    topic: str,
    message: Message | None,
    stamp: Stamp,
    wait: Ticket | None,
    level: Durability | None = None,
) -> None:
    """The topic's last message, or with None that it was deleted."""
    if not journal.keeping:
        return
    plain = (stamp.time_ms, stamp.counter, stamp.gateway)
    if message is None:
        row = MessageRow(topic, None, 0, True, "", b"", None, plain)
    else:
        row = message_row(journal, message, plain, 0)
    journal.put(RETAINED, topic, _encode(row), wait, level)


def forget_retained(journal: Journal, topic: str) -> None:
    """The topic's tombstone was given up."""
    journal.put(RETAINED, topic, None)


def keep_will(journal: Journal, client_id: str, message: Message, due: float) -> None:
    """A will that waits until `due`, in monotonic seconds."""
    if journal.keeping:
        journal.put(WILL, client_id, will_value(journal, message, due))


def will_value(journal: Journal, message: Message, due: float) -> bytes:
    """The row of a will that waits until `due`."""
    return _encode(message_row(journal, message, (0, 0, ""), journal.mesh_ms(due) or 0))


def forget_will(journal: Journal, client_id: str) -> None:
    """The will was sent, or is not to be."""
    journal.put(WILL, client_id, None)


def keep_row(journal: Journal, key: str, row: Row | None, kind: str = PEOPLE) -> None:
    """A row of a table that all gateways have, users and rules if nothing else is said; None: none."""
    journal.put(kind, key, None if row is None else _encode(row))


def subscription_of(topic_filter: str, row: SubscriptionRow) -> Subscription:
    """The subscription that a row describes."""
    options = (row.no_local, row.retain_as_published, row.retain_handling, row.identifier)
    return Subscription(topic_filter, row.qos, *options)


def subscription_row(subscription: Subscription, unshown: bool) -> SubscriptionRow:
    """What a subscription grants, as a row."""
    return SubscriptionRow(
        subscription.qos,
        subscription.no_local,
        subscription.retain_as_published,
        subscription.retain_handling,
        subscription.identifier,
        unshown,
    )


def keep_stream(journal: Journal, gateway: str, row: StreamRow) -> None:
    """How far it is; in the batch of what it counts."""
    journal.put(STREAM, gateway, stream_value(row))


def stream_value(row: StreamRow) -> bytes:
    """The row of how far the stream of another gateway is."""
    return _encode(row)


def message_of(journal: Journal, row: MessageRow) -> Message:
    """The message of a row that has one. Raises ProtocolError for properties that are none."""
    return Message(
        row.topic,
        topic_field(row.topic),
        row.payload or b"",
        row.qos,
        row.retain,
        properties_of(row.properties),
        row.publisher,
        journal.monotonic_s(row.expires_ms),
        will=None if row.will is None else Stamp(*row.will),
    )


def will_of(row: WillRow) -> Will:
    """The will as CONNECT stated it. Raises ProtocolError for properties that are none."""
    properties = NO_PROPERTIES
    if row.properties != b"\0":
        properties = decode_properties(row.properties, 0, len(row.properties), Carrier.WILL)[0]
    return Will(row.topic, row.payload, row.qos, row.retain, properties)


def properties_of(data: bytes) -> Properties:
    """The properties of a PUBLISH in wire form; nothing stands for none."""
    if not data:
        return NO_PROPERTIES
    return decode_properties(data, 0, len(data), Carrier.PUBLISH)[0]


def message_row(
    journal: Journal, message: Message, stamp: tuple[int, int, str], due_ms: int
) -> MessageRow:
    """The message as a row; `stamp` of a retained one, `due_ms` in mesh time of a will."""
    return MessageRow(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        message.publisher,
        message.properties_field(),
        journal.mesh_ms(message.expires_at),
        stamp,
        due_ms,
        None if message.will is None else (message.will[0], message.will[1], message.will[2]),
    )
