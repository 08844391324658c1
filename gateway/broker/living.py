"""What lives on disk, both ways: a broker made again from it, and all of it once more for the journal.

Records are read in the order in which they were written; what speaks of a session that is over is
ignored. A session's messages stand in the order of their ids, which is the order in which it got them.
Must not know files, or when a batch is written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from typing import Any

import msgspec

from gateway.broker.backlog import Delivery, Waiting
from gateway.broker.connecting import expire_at, new_session, release
from gateway.broker.keeping import (
    AGES,
    GIVEN,
    NOTHING_OWED,
    PEOPLE,
    REGISTRY,
    RETAINED,
    SESSION,
    STREAM,
    SUBSCRIPTION,
    UNREADY,
    WILL,
    AgesRow,
    GivenRow,
    MessageRow,
    SessionRow,
    StreamRow,
    SubscriptionRow,
    keep_session,
    message_of,
    properties_of,
    read,
    subscription_of,
    will_of,
)
from gateway.broker.passage import Passage
from gateway.broker.records import (
    Done,
    Enqueued,
    Received,
    Record,
    Released,
    Sent,
    Stored,
    Target,
)
from gateway.broker.replay import replay_again
from gateway.broker.rewriting import Living
from gateway.broker.session import Session
from gateway.broker.sharing import left
from gateway.broker.state import BrokerState
from gateway.broker.subscribing import route_to
from gateway.broker.wills import delay_will, leave_will
from gateway.errors import ProtocolError
from gateway.ids import Stamp
from gateway.limits import RETURN_S
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription
from gateway.table import Row

_NO_WORDS = Message("", b"\0\0", b"", 2)  # only PUBREL is left of it

Rows = Mapping[tuple[str, str], bytes]


@dataclass(slots=True)
class Written:
    """One message of one session, as records say. `packet_id` 0: it was not sent yet."""

    message: Message
    qos: int
    retain: bool
    packet_id: int = 0
    received: bool = False


@dataclass(slots=True)
class _Reading:
    """What the records said so far: messages by session number and mid."""

    broker: BrokerState
    sessions: dict[int, Session]
    waiting: dict[int, dict[int, Written]] = field(default_factory=dict)
    stored: dict[int, tuple[int, int, Message]] = field(default_factory=dict)
    unshown: list[tuple[Session, Subscription]] = field(default_factory=list)
    unready: dict[int, None] = field(default_factory=dict)  # sessions that had not come whole


def restore(broker: BrokerState, rows: Rows, batches: Iterable[list[Record]]) -> None:
    """Makes sessions, their messages, retained messages and wills again, before the first client.

    A row that cannot be read is named in the log and passed over.
    """
    sessions: dict[int, Session] = {}
    reading = _Reading(broker, sessions)
    for kind in _READERS:
        for (row_kind, key), value in rows.items():
            if row_kind == kind:
                try:
                    _READERS[kind](reading, key, value)
                except (msgspec.DecodeError, ProtocolError, ValueError, KeyError) as error:
                    broker.note("error", f"a {kind} on disk cannot be read ({key}): {error}")
    balance = broker.journal.balance
    for records in batches:
        balance.count(records)
        for record in records:
            _APPLY[type(record)](reading, record)
    for session in sessions.values():
        left(broker, session)
    for session, subscription in reading.unshown:
        waiting = reading.waiting.get(session.number, {})
        known = [each.message.topic for each in waiting.values() if each.retain]
        replay_again(broker, session, subscription, known)
    balance.alive = sum(map(len, reading.waiting.values())) + len(reading.stored)
    for number, messages in reading.waiting.items():
        for mid in sorted(messages):
            fill(sessions[number], messages[mid])
    for mid in sorted(reading.stored):
        number, packet_id, message = reading.stored[mid]
        if number in sessions:
            fill_unreleased(sessions[number], packet_id, message)
        elif number in reading.unready:
            broker.journal.released(mid, None)
        else:  # its session ended with the boot before
            release(broker, message)


def living(broker: BrokerState) -> Iterator[Living]:
    """Every message that a session on disk still needs, as it is now; about in order, oldest first.

    Only what stands where is noted here, and looked at when its turn comes: a queue may hold a million
    messages, and clients wait meanwhile.
    """
    sessions = broker.kept()
    lines = [stored_of(session) for session in sessions if session.unreleased]
    unkept = [each for each in broker.sessions.values() if each.unreleased and not each.number]
    lines += [stored_of(session) for session in unkept]
    for session in sessions:
        if session.inflight or session.backlog.has_line:
            lines.append(sent_by(session))
            line = [*session.backlog.line, *(session.backlog.behind or ())]
            lines.append(waiting_for(session.number, line))
    return _joined(merge(*lines, key=_by_mid))


def _by_mid(item: Living) -> int:
    return item.mid


def stored_of(session: Session) -> Iterator[Living]:
    """What its client handed over and has not released. A message that is released gets a new mid:
    these are made at once."""
    return iter(
        [
            Living(message.mid, message, stored=(session.number, packet_id))
            for packet_id, message in session.unreleased.items()
            if message.mid
        ]
    )


def sent_by(session: Session) -> Iterator[Living]:
    """What was sent to its client and is not done, as it is now."""
    sent, received_mids = list(session.inflight.items()), dict(session.received_mids)
    return _sent_by(session.number, received_mids, sent)


def _sent_by(
    number: int, received_mids: dict[int, int], sent: list[tuple[int, Delivery | None]]
) -> Iterator[Living]:
    for packet_id, delivery in sent:
        if delivery is not None:
            yield _living(number, *delivery, packet_id)
        elif packet_id in received_mids:
            target = Target(number, 2, packet_ids=[packet_id])
            yield Living(received_mids[packet_id], _NO_WORDS, [target], received_by=(number,))


def waiting_for(number: int, line: Iterable[Waiting]) -> Iterator[Living]:
    """What waits for the client of the session with this number."""
    for waiting in line:
        yield _living(number, *waiting)


def _living(number: int, message: Message, qos: int, retain: bool, packet_id: int = 0) -> Living:
    identifiers = message.properties.subscription_identifiers
    ids = [packet_id] if packet_id else None
    target = Target(number, qos, retain, identifiers, ids, message.shared)
    # what this session adds is the target's
    return Living(message.mid, message.copy_for(()) if identifiers else message, [target])


def _joined(items: Iterable[Living]) -> Iterator[Living]:
    """One message of several sessions is one; where they do not meet, it is written once for each."""
    last: Living | None = None
    for item in items:
        if last is not None and last.mid == item.mid and item.stored is None:
            if last.message is _NO_WORDS:
                last.message = item.message
            last.targets += item.targets
            last.received_by += item.received_by
            continue
        if last is not None:
            yield last
        last = item
    if last is not None:
        yield last


def _session(reading: _Reading, key: str, value: bytes) -> None:
    row, broker = read(value, SessionRow), reading.broker
    if row.owed[1] == UNREADY:
        reading.unready[int(key)] = None
        broker.journal.put(SESSION, key, None)
        return
    session = new_session(broker, row.client_id, row.expiry_s, row.user)
    session.number, session.on_disk = int(key), True
    session.epoch, session.line, session.halves = row.epoch, row.line, row.halves
    session.had = row.had
    if row.owed != NOTHING_OWED:
        session.passage = Passage(own=True, owed=row.owed, copy=row.copy)
    reading.sessions[session.number] = session
    since = broker.journal.monotonic_s(row.away_ms)
    if since is not None:
        broker.written_away.add(row.client_id)
    broker.away[row.client_id] = broker.now if since is None else since
    expire_at(broker, session, broker.away[row.client_id] + row.expiry_s)
    if row.will is not None:
        leave_will(broker, session, will_of(row.will), RETURN_S)
        broker.restored_wills.add(row.client_id)
        keep_session(
            broker.journal, session, None, row.away_ms
        )  # the will has a row of its own now


def _subscription(reading: _Reading, key: str, value: bytes) -> None:
    number, topic_filter = key.split(" ", 1)
    if int(number) in reading.unready:
        reading.broker.journal.put(SUBSCRIPTION, key, None)
        return
    row = read(value, SubscriptionRow)
    session = reading.sessions[int(number)]
    subscription = subscription_of(topic_filter, row)
    route_to(reading.broker, session, subscription)
    if row.unshown:
        reading.unshown.append((session, subscription))


def _retained(reading: _Reading, key: str, value: bytes) -> None:
    row, broker = read(value, MessageRow), reading.broker
    message = None if row.payload is None else message_of(broker.journal, row)
    broker.retained.put(key, message, Stamp(*row.stamp), bounded=False)


def _will(reading: _Reading, key: str, value: bytes) -> None:
    row, broker = read(value, MessageRow), reading.broker
    due = broker.journal.monotonic_s(row.due_ms) or broker.now
    broker.restored_wills.add(key)
    delay_will(broker, key, message_of(broker.journal, row), max(due, broker.now + RETURN_S))


def _person(reading: _Reading, key: str, value: bytes) -> None:
    reading.broker.people.table.put(key, read(value, Row))


def _registered(reading: _Reading, key: str, value: bytes) -> None:
    if reading.broker.registry is not None:
        reading.broker.registry.table.put(key, read(value, Row))


def _given(reading: _Reading, key: str, value: bytes) -> None:
    reading.broker.given[key] = read(value, GivenRow)


def _stream(reading: _Reading, key: str, value: bytes) -> None:
    reading.broker.streams.restore(key, read(value, StreamRow))


def _ages(reading: _Reading, key: str, value: bytes) -> None:
    reading.broker.ages.restore(read(value, AgesRow).marks, reading.broker.now)


_READERS = {  # sessions first: subscriptions speak of them
    SESSION: _session,
    SUBSCRIPTION: _subscription,
    RETAINED: _retained,
    WILL: _will,
    PEOPLE: _person,
    REGISTRY: _registered,
    STREAM: _stream,
    GIVEN: _given,
    AGES: _ages,
}


def _enqueued(reading: _Reading, record: Enqueued) -> None:
    properties = properties_of(record.properties)
    expires_at = reading.broker.journal.monotonic_s(record.expires_ms)
    topic = record.field[2:].decode()
    for index, payload in enumerate(record.payloads):
        message = Message(
            topic,
            record.field,
            payload,
            record.qos,
            record.retain,
            properties,
            record.publisher,
            expires_at,
            mid=record.first + index,
        )
        for target in record.targets:
            if target.session in reading.sessions:
                packet_id = target.packet_ids[index] if target.packet_ids is not None else 0
                copy = message
                if target.identifiers or target.shared:
                    copy = message.copy_for(target.identifiers, target.shared)
                waiting = Written(copy, target.qos, target.retain, max(packet_id, 0))
                reading.waiting.setdefault(target.session, {})[message.mid] = waiting


def _sent(reading: _Reading, record: Sent) -> None:
    waiting = reading.waiting.get(record.session, {}).get(record.mid)
    if waiting is not None:
        waiting.packet_id = record.packet_id


def _received(reading: _Reading, record: Received) -> None:
    waiting = reading.waiting.get(record.session, {}).get(record.mid)
    if waiting is not None:
        waiting.received = True


def _done(reading: _Reading, record: Done) -> None:
    messages = reading.waiting.get(record.session)
    for first, last in record.ranges if messages else ():
        for mid in range(first, last + 1):
            messages.pop(mid, None)  # type: ignore[union-attr]


def _stored(reading: _Reading, record: Stored) -> None:
    message = Message(
        record.field[2:].decode(),
        record.field,
        record.payload,
        2,
        record.retain,
        properties_of(record.properties),
        record.publisher,
        reading.broker.journal.monotonic_s(record.expires_ms),
        mid=record.mid,
    )
    reading.stored[record.mid] = (record.session, record.packet_id, message)


def _released(reading: _Reading, record: Released) -> None:
    reading.stored.pop(record.mid, None)


_APPLY: dict[type, Callable[[_Reading, Any], None]] = {
    Enqueued: _enqueued,
    Sent: _sent,
    Received: _received,
    Done: _done,
    Stored: _stored,
    Released: _released,
}


def read_records(
    broker: BrokerState, session: Session, number: int, records: Iterable[Record]
) -> tuple[dict[int, Written], list[tuple[int, Message]]]:
    """What records say of one session that is called `number` there: its messages, and what its client
    has handed over and not released, with packet ids. Raises ProtocolError, UnicodeDecodeError."""
    reading = _Reading(broker, {number: session})
    for record in records:
        _APPLY[type(record)](reading, record)
    stored = [(packet_id, message) for _, packet_id, message in reading.stored.values()]
    return reading.waiting.get(number, {}), stored


def fill(
    session: Session, written: Written, put: Callable[[Message, int, bool], None] | None = None
) -> None:
    """The next message of the session: what was sent is in flight, anything else waits, where `put`
    puts it, or before what is held back."""
    message, packet_id = written.message, written.packet_id
    if not packet_id:
        put = put or session.backlog.precede
        put(message, written.qos, written.retain)
        session.room.hold(message)
    elif written.received:
        session.sending()[packet_id] = None
        session.room.free(-1)
        session.remember(packet_id, message.mid)
    else:
        session.sending()[packet_id] = (message, written.qos, written.retain)
        session.large |= message.is_large()
        session.room.hold(message)


def fill_unreleased(session: Session, packet_id: int, message: Message) -> None:
    """The client handed this over under this packet id, and has not released it."""
    session.storing()[packet_id] = message
    session.unreleased_bytes += message.bytes_held()
    session.room.hold(message)
