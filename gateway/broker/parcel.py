"""One session in pieces: packed at one broker, unpacked at another under numbers of its own.

    label      in the first piece: the session's row, its subscriptions, a will whose delay runs, how
               much waits
    records    as on disk (`records.py`), but that the session is called 1. First what its client
               handed over and has not released, then what was sent to it, then what waits, in order

What was sent keeps its packet id. What comes to the queue while it is packed follows in a later piece.
Whoever unpacks writes to the journal in the same step, so that a piece is kept as a whole or not at all.
Works on any broker, one without clients too. Must not know how pieces travel.
"""

from collections.abc import Iterator
from enum import Enum
from itertools import chain, groupby, takewhile

import msgspec
from msgspec.structs import replace

from gateway.broker.backlog import Waiting
from gateway.broker.connecting import new_session
from gateway.broker.journal import Journal
from gateway.broker.keeping import (
    NOTHING_OWED,
    MessageRow,
    SessionRow,
    SubscriptionRow,
    keep_session,
    keep_subscription,
    keep_will,
    message_of,
    message_row,
    subscription_of,
    subscription_row,
)
from gateway.broker.living import (
    Written,
    fill,
    fill_unreleased,
    read_records,
    sent_by,
    stored_of,
    waiting_for,
)
from gateway.broker.passage import Passage, without_had
from gateway.broker.records import Enqueued, Record, Rewrite, Target
from gateway.broker.replay import replay_again
from gateway.broker.rewriting import Living, Rewriting
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.broker.subscribing import route_to, subscribe
from gateway.broker.wills import delay_will
from gateway.mqtt.packets import Subscription
from gateway.mqtt.properties import Properties
from gateway.tickets import Ticket

HEAD = 1  # less than any message's number: all but the queue is here, and nothing of that
NUMBER = 1  # the session's, in a parcel
NUMBERS_SPARE = 4_096  # for what comes to the queue after the label was written


class Label(msgspec.Struct, frozen=True, array_like=True):
    """`waiting` is how many messages there are. `subscriptions` are (filter, what it grants)."""

    session: SessionRow
    subscriptions: list[tuple[str, SubscriptionRow]]
    waiting: int
    will: MessageRow | None = None


_encode = msgspec.msgpack.Encoder().encode
_records = msgspec.msgpack.Decoder(list[Record]).decode
_label = msgspec.msgpack.Decoder(Label).decode


class Packer:
    """A session of this broker on its way out; nobody serves it any more. `ready`: all that was sent to
    its client is packed. `mid` is the last message of its queue that is. `packed` is how many messages
    are in the last piece."""

    def __init__(
        self, broker: BrokerState, session: Session, behind: int = 0, whole: bool = False
    ) -> None:
        """`behind` that message number, if it is not 0, only the queue is wanted; with `whole` also
        what was sent, and is newer."""
        self._broker, self._session = broker, session
        self._journal = broker.journal
        self.mid = behind
        self.ready = bool(behind) and not whole
        self.packed = 0
        sent: Iterator[Living] = iter(())
        if not self.ready:
            again = [each for each in session.backlog.line if len(each) == 4]
            sent = chain(sent_by(session), waiting_for(session.number, again))
        if behind:
            sent = (item for item in sent if item.mid > behind)
        else:
            sent = chain(stored_of(session), sent)
        self._sent = Rewriting(_renamed(sent))
        self._line: Rewriting | None = None

    def label(self) -> bytes:
        """For the first piece."""
        broker, session = self._broker, self._session
        replay = session.replay
        subscriptions = [
            (name, subscription_row(each, replay is not None and replay.is_unshown(name)))
            for name, each in session.subscriptions.items()
        ]
        waiting = session.waiting() + len(session.unreleased)
        about = (
            session.user,
            session.epoch,
            session.line,
            NOTHING_OWED,
            session.halves,
            session.had,
        )
        away_ms = self._journal.mesh_ms(broker.away.get(session.client_id))
        row = SessionRow(session.client_id, session.expiry_s, away_ms, None, *about)
        return _encode(Label(row, subscriptions, waiting, _will(broker, session.client_id)))

    def piece(self) -> bytes:
        """The next records, encoded; what is not sent yet comes when all else is packed."""
        records: list[Record] = []
        if not self.ready:
            self.ready = _is_end(self._sent.slice(records, self._journal.mesh_ms))
        if self.ready:  # at the seam a piece is two slices long
            self._pack_line(records)
        self.packed = sum(len(each.payloads) for each in records if isinstance(each, Enqueued))
        return _encode(records)

    def nothing(self) -> bytes:
        """A piece with nothing in it: a sign that more is to come."""
        self.packed = 0
        return _encode([])

    def is_done(self) -> bool:
        """Whether all is packed, as of now."""
        return self.ready and self._line is None and not self._rest()

    def _pack_line(self, records: list[Record]) -> None:
        if self._line is None:
            rest = self._rest()
            if not rest:
                return
            self.mid = rest[-1][0].mid
            self._line = Rewriting(_renamed(waiting_for(self._session.number, rest)))
        if _is_end(self._line.slice(records, self._journal.mesh_ms)):
            self._line = None

    def _rest(self) -> list[Waiting]:
        """What came to the queue since it was looked at; the newest stand at its end."""
        newest = reversed(self._session.backlog.line)
        rest = list(takewhile(lambda each: each[0].mid > self.mid, newest))
        return [each for each in reversed(rest) if len(each) == 3]


def read_label(data: bytes, journal: Journal) -> Label:
    """Raises msgspec.DecodeError or ProtocolError for what is no label."""
    label = _label(data)
    if label.will is not None:
        message_of(journal, label.will)
    return label


class Place(Enum):
    """Where what comes stands, if something is held back (`backlog.py`)."""

    BEFORE = "before all that"
    NUMBERED = "by the numbers that were set aside for it"
    BEHIND = "behind all that"


class Unpacker:
    """A session of another broker on its way in.

    With a label it is made here: `begin`, then `add` for each piece, `route` when the label is on disk,
    and `end`. A session that is here already only gets what waits for it elsewhere: `add`; `numbers` are
    the first that was set aside for that, and the first that was not.
    """

    def __init__(
        self,
        broker: BrokerState,
        session: Session | None = None,
        place: Place = Place.BEFORE,
        numbers: tuple[int, int] = (0, 0),
    ) -> None:
        self.mid = HEAD if session is None else 0  # of the last of the queue there that is here
        self._broker = broker
        self._session = session
        self._whole = session is None  # what was sent to the client is taken as that
        self._next, self._end = numbers  # for what stands before all that comes meanwhile
        self._place = place
        self._subscriptions: list[tuple[Subscription, bool]] = []
        self._shown: set[str] = set()  # topics of retained messages that wait

    @property
    def session(self) -> Session:
        """The session, once it is here."""
        assert self._session is not None, "no label came"
        return self._session

    def begin(self, label: Label, passage: Passage, ticket: Ticket) -> Session:
        """The label came. The ticket is held until the session is on disk, as for `add`."""
        broker, journal = self._broker, self._broker.journal
        row = label.session
        self._subscriptions = [
            (subscription_of(*each), each[1].unshown) for each in label.subscriptions
        ]
        will = None if label.will is None else message_of(journal, label.will)
        session = new_session(broker, row.client_id, row.expiry_s, row.user)
        self._session = session
        session.number, session.epoch, session.line = journal.number(), row.epoch + 1, row.line
        session.halves, session.passage = row.halves, passage
        if broker.registry is not None:
            session.had = without_had(row.had, broker.registry.gateway)
        count = label.waiting + NUMBERS_SPARE
        self._next = journal.numbers(count)
        self._end = self._next + count
        session.backlog.hold_back()
        keep_session(journal, session, None, None, ticket)
        for subscription, unshown in self._subscriptions:
            keep_subscription(journal, session, subscription, ticket, unshown)
        journal.await_commit(session, 0)
        if label.will is not None and will is not None:
            due = max(journal.monotonic_s(label.will.due_ms) or 0.0, broker.now)
            delay_will(broker, row.client_id, will, due)
            keep_will(journal, row.client_id, will, due)
        return session

    def widen(self, label: Label, ticket: Ticket) -> None:
        """The session is here, and was there as well, on the other side of a cut: what its client
        subscribed to there counts, too."""
        session = self.session
        for name, row in label.subscriptions:
            if name not in session.subscriptions:
                subscribe(self._broker, session, subscription_of(name, row), ticket)

    def add(self, data: bytes, ticket: Ticket) -> None:
        """A piece came; the ticket is held until the disk has it, or the client has acknowledged it.

        Raises msgspec.DecodeError, ProtocolError or UnicodeDecodeError for what is none.
        """
        broker, session = self._broker, self.session
        messages, stored = read_records(broker, session, NUMBER, _records(data))
        came: list[Written] = []
        for mid, written in messages.items():
            if not written.packet_id:
                self.mid = max(self.mid, mid)
            elif written.packet_id in session.inflight:
                if written.received:
                    continue
                written.packet_id = 0  # the client has another one of this name
            written.message.mid = self._number()
            if written.retain:
                self._shown.add(written.message.topic)
            came.append(written)
        for _, alike in groupby(enumerate(came), _form):
            self._enqueue([written for _, written in alike], ticket)
        if self._whole:
            for packet_id, message in stored:
                broker.journal.stored(session.number, packet_id, message, ticket)
                fill_unreleased(session, packet_id, message)
        session.send_waiting(broker.now)

    def route(self) -> None:
        """Has messages find the session."""
        broker, session = self._broker, self.session
        for subscription, _ in self._subscriptions:
            route_to(broker, session, subscription)
        for subscription, unshown in self._subscriptions:
            if unshown:
                replay_again(broker, session, subscription, self._shown)

    def _number(self) -> int:
        """For the next message: in the order in which they stand in the queue."""
        if self._next == self._end:
            return self._broker.journal.number()
        self._next += 1
        return self._next - 1

    def _enqueue(self, alike: list[Written], ticket: Ticket) -> None:
        """Takes messages that one record describes."""
        session, first = self.session, alike[0]
        ids = [each.packet_id for each in alike] if first.packet_id else None
        identifiers = first.message.properties.subscription_identifiers
        about = (first.qos, first.retain, identifiers, ids, first.message.shared)
        messages = [each.message for each in alike]
        targets = [Target(session.number, *about)]
        self._broker.journal.enqueue(messages, targets, False, ticket)
        put = {
            Place.BEFORE: session.backlog.precede,
            Place.NUMBERED: session.backlog.insert,
            Place.BEHIND: session.backlog.push,
        }[self._place]
        for written in alike:
            fill(session, written, put)
            if written.received:
                self._broker.journal.received(session.number, written.message.mid, ticket)
            if written.packet_id and session.outbox is not None:
                session.send_again(written.packet_id, self._broker.now)


Form = tuple[int, bytes, int, bool, Properties, str, float | None, str, bool, int, bool]


def _form(place: tuple[int, Written]) -> Form:
    """What messages of one record have in common; they are numbered in a row."""
    at, written = place
    message = written.message
    about = (message.qos, message.retain, message.properties, message.publisher, message.expires_at)
    granted = (message.shared, bool(written.packet_id), written.qos, written.retain)
    return message.mid - at, message.topic_field, *about, *granted


def _renamed(items: Iterator[Living]) -> Iterator[Living]:
    """The session is called `NUMBER` where they go."""
    for item in items:
        item.targets = [replace(target, session=NUMBER) for target in item.targets]
        item.received_by = (NUMBER,) * len(item.received_by)
        if item.stored is not None:
            item.stored = (NUMBER, item.stored[1])
        yield item


def _is_end(rewrite: Rewrite) -> bool:
    return rewrite in (Rewrite.END, Rewrite.WHOLE)


def _will(broker: BrokerState, client_id: str) -> MessageRow | None:
    """The will that waits for its delay, but for that of a client which this gateway sent away."""
    waiting = broker.wills.get(client_id)
    if waiting is None or client_id in broker.sent_away:
        return None
    _, message, due = waiting
    return message_row(broker.journal, message, (0, 0, ""), broker.journal.mesh_ms(due) or 0)
