"""One MQTT session: what a client id keeps from one connection to the next.

Its subscriptions, what was sent and is not yet acknowledged (inflight), what waits (`backlog.py`), and
the QoS 2 messages taken in but not yet released. Everything is bounded. A session that the disk keeps
tells the journal what becomes of its messages, and sends a QoS 2 message only when its packet id is on
disk: a client that has answered PUBREC must never get the message under another one. Must not know
sockets, other sessions or how messages are routed.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from gateway.broker.access import Rights
from gateway.broker.backlog import Backlog, Bounds, Delivery
from gateway.broker.journal import Journal
from gateway.broker.nothing import NOTHING
from gateway.broker.outbox import Outbox
from gateway.broker.passage import Had, Passage
from gateway.broker.room import Room
from gateway.broker.vitals import Vitals
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription
from gateway.tickets import Ticket

# Halves of the packet ids to the client, first and last: a gateway that knows nothing of what the one
# before it sent goes on with the other half, and uses no id that the client may still hold.
PACKET_IDS = ((1, 32_767), (32_768, 65_535))
WINDOW_MAX = 32_000  # fewer than there are ids
_DUP = 0x08

# What is sent and not acknowledged is bounded in number; of payloads larger than this in bytes, too.
LARGE_BYTES = 4_096
LARGE_IN_WINDOW_BYTES_MAX = 4_194_304

_TOO_LARGE = "it is larger than its client takes"

REFUSED = -1  # what became of a message: neither sent nor kept
WAITS = 0  # it is in the backlog; from 1 on: it was sent under this packet id


class Replaying(Protocol):
    """Retained messages on their way to new subscriptions of a session (`replay.py`)."""

    def replaced(self, subscription: Subscription) -> None:
        """The subscription is another one now, under which nothing retained is asked for anew."""

    def is_unshown(self, topic_filter: str) -> bool:
        """Whether the disk is to know that not all is shown under the subscription."""

    def begin(self, topic_filter: str) -> None:
        """The subscription was answered; `advance` is to follow."""

    def advance(self, now: float) -> None:
        """The client may be able to take more."""

    def end(self, topic_filter: str) -> None:
        """The subscription is over."""

    def rest(self) -> None:
        """The client is gone."""

    def give_room(self) -> None:
        """The session is over."""

    def overtake(self, topic: str) -> None:
        """A message of this topic is about to be delivered: what is retained there comes first."""


class Session:
    """`outbox` is None while no client is connected. `number` names a session that the disk keeps; 0: it
    ends with its connection, and nothing of it is kept.

    `inflight` maps a packet id to what was sent under it, in the order of sending; None stands for a
    QoS 2 message that the client has received (PUBREC) and not yet completed (PUBCOMP). `received_mids`
    are the ids of such messages on disk. `unsent` are packet ids whose message, or PUBREL, was not
    written to the client that is here now: a message may be if True, and is on its way to the disk if
    False; a PUBREL is on its way to the disk, and owed to this client if True. `large`: `inflight`
    may have a large message, of which the room is to hear when it goes. `on_disk`: the disk has the
    session, if it is to keep it. `epoch`, `line` and `halves` as in `registry.py`; `passage` is None
    while the session does not move; `had` as there.
    """

    __slots__ = (
        "_last_id",
        "backlog",
        "client_id",
        "epoch",
        "expiry_s",
        "had",
        "halves",
        "inflight",
        "journal",
        "large",
        "line",
        "number",
        "on_disk",
        "outbox",
        "passage",
        "received_mids",
        "replay",
        "rights",
        "room",
        "subscriptions",
        "unreleased",
        "unreleased_bytes",
        "unsent",
        "user",
        "vitals",
        "window",
    )

    def __init__(
        self, client_id: str, vitals: Vitals, journal: Journal, bounds: Bounds, room: Room
    ) -> None:
        self.client_id = client_id
        self.vitals = vitals
        self.journal = journal
        self.room = room
        self.backlog = Backlog(bounds, room)
        self.number = 0
        self.on_disk = False
        self.user = ""  # whose it is; empty: of whoever gave no name
        self.rights: Rights | None = None  # None: no rule is for its user
        self.outbox: Outbox | None = None
        self.subscriptions: dict[str, Subscription] = NOTHING
        self.inflight: dict[int, Delivery | None] = NOTHING
        self.received_mids: dict[int, int] = NOTHING
        self.large = False
        self.unsent: dict[int, bool] = NOTHING
        self.replay: Replaying | None = None
        self.unreleased: dict[int, Message] = NOTHING
        self.unreleased_bytes = 0
        self.window = 0
        self.expiry_s = 0.0
        self.epoch = 0
        self.line = 0
        self.halves = 0
        self.had: Had = ()
        self.passage: Passage | None = None
        self._last_id = 0

    def attach(self, outbox: Outbox, window: int, now: float) -> None:
        """A client is here: sends again what it has not acknowledged, then what waits.

        [MQTT-4.4.0-1]: original packet ids, DUP set on PUBLISH, in the original order. A window that
        is smaller than before holds for these too [MQTT-3.3.4-9]: the rest goes back to the backlog.
        """
        self.outbox = outbox
        self.window = window = min(window, WINDOW_MAX)
        sent = [each for each in self.inflight.items() if each[1] is not None]
        too_many = [(*delivery, packet_id) for packet_id, delivery in sent[window:] if delivery]
        for waiting in too_many:
            del self.inflight[waiting[3]]
        self.backlog.put_back(too_many)
        for packet_id, delivery in list(self.inflight.items()):
            if delivery is None:
                self._release(outbox, packet_id)
            else:  # [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-7]
                self._send_again(outbox, packet_id, delivery, now)
        self.send_waiting(now)

    def send_again(self, packet_id: int, now: float) -> None:
        """What is under this packet id, which another gateway has sent before, to the client here."""
        assert self.outbox is not None, "its client is away"
        delivery = self.inflight[packet_id]
        if delivery is None:
            self._release(self.outbox, packet_id)
        else:
            self._send_again(self.outbox, packet_id, delivery, now)

    def detach(self) -> None:
        """The client is gone; what was sent stays unacknowledged."""
        self.outbox = None
        if self.rights is not None:
            self.rights.forget()
        if self.replay is not None:
            self.replay.rest()

    def deliver(self, message: Message, qos: int, retain: bool, now: float) -> int:
        """Sends the message or keeps it until it may be sent; a full queue refuses it, counted.

        Returns the packet id that it was sent under, WAITS or REFUSED (which QoS 0 always is).
        """
        outbox = self.outbox
        if qos == 0:
            if self.backlog.keeps_plain and (outbox is None or outbox.congested):
                self._enqueue(message, 0, retain)
            elif outbox is not None:
                self._send_at_most_once(outbox, message, retain, now)
            return REFUSED
        # [MQTT-3.3.4-10] [MQTT-4.9.0-2] [MQTT-4.9.0-3] [MQTT-4.6.0-5] [MQTT-4.6.0-6]
        if outbox is None or outbox.congested or not self._window_takes(message):
            return self._enqueue(message, qos, retain)
        if self.backlog.has_line or not self.room.takes(len(self.inflight), message):
            return self._enqueue(message, qos, retain)
        packet_id = self._send_acknowledged(outbox, (message, qos, retain), now)
        if packet_id != REFUSED:
            self.room.hold(message)
        return packet_id

    def deliver_run(self, messages: list[Message], qos: int, now: float) -> list[int]:
        """Does what `deliver` does for messages of one topic and length, none of them retained.

        Returns what became of each if the disk keeps the session, else perhaps nothing.
        """
        outbox = self.outbox
        unacknowledged = len(self.inflight)
        room = self.window - unacknowledged
        if outbox is None and qos and self.number:
            return self._enqueue_run(messages, qos)
        if outbox is None or outbox.congested or outbox.packet_bytes_max or outbox.aliases:
            return [self.deliver(message, qos, False, now) for message in messages]
        if qos and (self.backlog.has_line or room < len(messages)):
            return [self.deliver(message, qos, False, now) for message in messages]
        too_large = len(messages[0].payload) >= LARGE_BYTES
        if qos and (too_large or not self.room.takes(unacknowledged + len(messages))):
            return [self.deliver(message, qos, False, now) for message in messages]
        if qos == 2 and self.number:
            return [self.deliver(message, qos, False, now) for message in messages]
        self.vitals.messages_out += len(messages)
        if not outbox.pieces:
            outbox.touched.append(outbox)
        pieces, dialect = outbox.pieces, outbox.dialect
        if qos == 0:
            # those of another gateway may differ in length
            self.vitals.payload_bytes_out += sum([len(message.payload) for message in messages])
            for message in messages:
                pieces += message.parts(dialect, 0, False, now)
            return []
        self.vitals.payload_bytes_out += len(messages) * len(messages[0].payload)
        inflight, packet_id, key = self.sending(), self._last_id, dialect << 3 | qos << 1
        first, last = PACKET_IDS[self.halves & 1]
        if self.room.hold_run(messages):
            self.large = True
        for message in messages:
            packet_id = packet_id + 1 if first <= packet_id < last else first
            while packet_id in inflight:
                packet_id = packet_id + 1 if packet_id < last else first
            inflight[packet_id] = (message, qos, False)
            if message.key == key:
                head, tail = message.encoded
            else:
                head, tail = message.parts(dialect, qos, False, now)
            pieces += (head, packet_id.to_bytes(2, "big"), tail)
        self._last_id = packet_id
        return list(islice(reversed(inflight), len(messages)))[::-1] if self.number else []

    def acknowledged(self, packet_ids: Sequence[int], now: float) -> None:
        """PUBACK or PUBCOMP came (or a PUBREC that refuses): the ids are free, the next may go."""
        inflight, mids, freed = self.inflight, [], []
        for packet_id in packet_ids:
            if packet_id not in inflight:
                continue
            delivery = inflight.pop(packet_id)
            if self.unsent:
                self.unsent.pop(packet_id, None)
            if delivery is not None:
                freed.append(delivery[0])
                mids.append(delivery[0].mid)
            else:
                self.room.free(1)
                if packet_id in self.received_mids:
                    mids.append(self.received_mids.pop(packet_id))
        self.room.let_go_run(freed)
        if mids and self.number:
            self.journal.done(self.number, mids)
        if self.backlog.line or self.replay is not None:
            self.send_waiting(now)

    def received(self, packet_id: int, ticket: Callable[[], Ticket]) -> bool:
        """PUBREC came: only PUBREL may follow under this id [MQTT-4.3.3-4].

        PUBREL waits for the ticket: a client that has seen it may use its memory of the id for the
        next message, so that the old one must not be sent again, whatever happens here.
        """
        if packet_id not in self.inflight:
            return False
        delivery = self.inflight[packet_id]
        self.inflight[packet_id] = None
        if delivery is not None and self.number:
            self.remember(packet_id, delivery[0].mid)
            self.journal.received(self.number, delivery[0].mid, ticket())
            self._not_sent(packet_id)
            self.journal.await_commit(self, packet_id)
        elif self.number:
            self.journal.wait(ticket())
        if delivery is not None:
            self.room.empty(delivery[0])
        return True

    def committed(self, packet_id: int, now: float) -> None:
        """The packet id is on disk, or its PUBREC: what follows may leave, if it is still wanted.

        0: the session is on disk.
        """
        if packet_id == 0:
            self.on_disk = True
        if packet_id not in self.unsent:
            return
        outbox, delivery = self.outbox, self.inflight.get(packet_id)
        if delivery is not None:
            self.unsent[packet_id] = True
            if outbox is not None:
                self._send_again(outbox, packet_id, delivery, now)
                if (
                    packet_id not in self.inflight
                ):  # it was too large for the client: the next may go
                    self.send_waiting(now)
        elif packet_id not in self.inflight:
            self.unsent[packet_id] = True  # it is in the backlog
        elif self.unsent.pop(packet_id) and outbox is not None:
            self._release(outbox, packet_id)

    def send_waiting(self, now: float) -> None:
        """Moves what waits into the window, as far as it is open; then what is retained."""
        outbox, backlog = self.outbox, self.backlog
        if outbox is not None and backlog.has_plain and not outbox.congested:
            self._send_plain(outbox, now)
        while backlog.line and outbox is not None and not outbox.congested:
            if not self._window_takes(backlog.line[0][0]):
                return
            waiting = backlog.pop()
            if len(waiting) == 4:
                self._send_again(outbox, waiting[3], waiting[:3], now)
            elif waiting[0].expired(now):
                self.vitals.dropped_expired += 1
                self._give_up(waiting[0])
                if outbox.tap is not None:
                    why = "it expired while it waited"
                    outbox.tap.lost(self.client_id, waiting[0], waiting[1], why, now)
            else:
                self._send_from_backlog(outbox, waiting, now)
        if self.replay is not None:
            self.replay.advance(now)

    def is_ready(self, qos: int) -> bool:
        """Whether a message of this QoS would be sent at once."""
        outbox = self.outbox
        if outbox is None or outbox.congested or (qos and not self.room.takes(len(self.inflight))):
            return False
        return not qos or (not self.backlog.has_line and len(self.inflight) < self.window)

    def take_back(self, given: set[Message]) -> None:
        """Its client is away, and these messages are not for it any more."""
        for packet_id, delivery in list(self.inflight.items()):
            if delivery is not None and delivery[0] in given:
                del self.inflight[packet_id]
                self.unsent.pop(packet_id, None)
                self._give_up(delivery[0])
        for message in self.backlog.remove(given):
            self._give_up(message)

    def give_room(self) -> None:
        """The session is over: nothing of what it has is needed here."""
        if self.replay is not None:
            self.replay.give_room()
        self.room.free(len(self.inflight))
        for delivery in self.inflight.values():
            if delivery is not None:
                self.room.empty(delivery[0])
        for waiting in self.backlog:
            self.room.let_go(waiting[0])
        for message in self.unreleased.values():
            self.room.let_go(message)

    def sending(self) -> dict[int, Delivery | None]:
        """`inflight`, to put something in."""
        if self.inflight is NOTHING:
            self.inflight = {}
        return self.inflight

    def storing(self) -> dict[int, Message]:
        """`unreleased`, to put something in."""
        if self.unreleased is NOTHING:
            self.unreleased = {}
        return self.unreleased

    def remember(self, packet_id: int, mid: int) -> None:
        """The client has received what is on disk under this id, and has not completed it."""
        if self.received_mids is NOTHING:
            self.received_mids = {}
        self.received_mids[packet_id] = mid

    def waiting(self) -> int:
        """Messages that the client has not acknowledged, sent or not."""
        return len(self.backlog) + len(self.inflight)

    def _enqueue(self, message: Message, qos: int, retain: bool) -> int:
        if not (qos or self.room.has_for_qos0()):
            self.vitals.dropped_room_full += 1
            return REFUSED
        taken, lost = self.backlog.offer(message, qos, retain)
        for each in lost:
            self.vitals.dropped_queue_full += 1
            self._give_up(each)
        if not taken and qos and self._is_only_late(message) and self.backlog.is_within(1, 0):
            self.backlog.push(message, qos, retain)
            taken = True
        if taken:
            self.room.hold(message)
            return WAITS
        if self.backlog.is_within(1, message.bytes_held()):
            self.vitals.dropped_room_full += 1
        else:
            self.vitals.dropped_queue_full += 1
        return REFUSED

    def _is_only_late(self, message: Message) -> bool:
        """Whether a client that is here, and takes what it gets, is behind for a moment: with nothing
        waiting it gets a place of those that no queue may grow into."""
        here = self.outbox is not None and not self.backlog.line
        return here and self.room.takes(len(self.inflight), message)

    def _window_takes(self, message: Message) -> bool:
        """Whether the message may be sent, as far as what is not acknowledged goes."""
        if len(self.inflight) >= self.window:
            return False
        if len(message.payload) < LARGE_BYTES or not self.inflight:
            return True
        sent = sum([len(each[0].payload) for each in self.inflight.values() if each is not None])
        return sent + len(message.payload) <= LARGE_IN_WINDOW_BYTES_MAX

    def _enqueue_run(self, messages: list[Message], qos: int) -> list[int]:
        """Nobody is connected: the messages wait, in one step if there is room for all."""
        if not self.backlog.offer_run(messages, qos):
            return [self._enqueue(message, qos, False) for message in messages]
        self.room.hold_run(messages)
        return [WAITS] * len(messages)

    def _send_plain(self, outbox: Outbox, now: float) -> None:
        """What waited at QoS 0 leaves, past what waits for the window."""
        while self.backlog.has_plain:
            message, _, retain = self.backlog.pop_plain()
            self.room.let_go(message)
            if message.expired(now):
                self.vitals.dropped_expired += 1
            else:
                self._send_at_most_once(outbox, message, retain, now)

    def _send_from_backlog(self, outbox: Outbox, delivery: Delivery, now: float) -> None:
        packet_id = self._send_acknowledged(outbox, delivery, now)
        if packet_id == REFUSED:
            self._give_up(delivery[0])
            return
        if not self.number:
            return
        self.journal.sent(self.number, delivery[0].mid, packet_id)
        if delivery[1] == 2:
            self.journal.await_commit(self, packet_id)

    def _give_up(self, message: Message) -> None:
        self.room.let_go(message)
        if self.number and message.mid:
            self.journal.done(self.number, [message.mid])

    def _send_at_most_once(
        self, outbox: Outbox, message: Message, retain: bool, now: float
    ) -> None:
        if outbox.congested:
            self.vitals.dropped_congested += 1
            return
        # [MQTT-4.3.1-1]
        head, tail = outbox.parts(message, 0, retain, now)
        if self._fits(outbox, len(head) + len(tail)):
            self.vitals.messages_out += 1
            self.vitals.payload_bytes_out += len(message.payload)
            outbox.send(head, tail)
            if outbox.tap is not None:
                outbox.tap.sent(self.client_id, message, 0, retain, now)
        elif outbox.tap is not None:
            outbox.tap.lost(self.client_id, message, 0, _TOO_LARGE, now)

    def _send_acknowledged(self, outbox: Outbox, delivery: Delivery, now: float) -> int:
        """Sends under a new packet id; a QoS 2 message of a kept session once that is on disk."""
        # [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2]
        first, last = PACKET_IDS[self.halves & 1]
        packet_id = self._last_id + 1 if first <= self._last_id < last else first
        while packet_id in self.inflight:
            packet_id = packet_id + 1 if packet_id < last else first
        self._last_id = packet_id
        if self.number and delivery[1] == 2:
            self._not_sent(packet_id)
        elif not self._write(outbox, packet_id, delivery, now):
            return REFUSED
        self.sending()[packet_id] = delivery
        self.large |= delivery[0].is_large()
        self.vitals.messages_out += 1
        self.vitals.payload_bytes_out += len(delivery[0].payload)
        return packet_id

    def _not_sent(self, packet_id: int) -> None:
        """It waits for the disk."""
        if self.unsent is NOTHING:
            self.unsent = {}
        self.unsent[packet_id] = False

    def _release(self, outbox: Outbox, packet_id: int) -> None:
        """PUBREL to a client that was here before [MQTT-4.3.3-5] [MQTT-4.3.3-6]."""
        if packet_id in self.unsent:
            self.unsent[packet_id] = True  # for this connection, too, when PUBREC is on disk
        else:
            self.vitals.others_out += 1
            outbox.send(b"\x62\x02", packet_id.to_bytes(2, "big"))

    def _send_again(self, outbox: Outbox, packet_id: int, delivery: Delivery, now: float) -> None:
        """Sends what has a packet id; with DUP unless it is the first time [MQTT-3.3.1-1].

        What the disk has to know first stays in flight, unsent.
        """
        on_its_way = self.unsent.get(packet_id) is False
        dup = not self.unsent.get(packet_id, False)
        if on_its_way or self._write(outbox, packet_id, delivery, now, dup):
            self.sending()[packet_id] = delivery
            self.large |= delivery[0].is_large()
        else:
            self.inflight.pop(packet_id, None)
            self._give_up(delivery[0])
        if not on_its_way:
            self.unsent.pop(packet_id, None)

    def _write(
        self, outbox: Outbox, packet_id: int, delivery: Delivery, now: float, dup: bool = False
    ) -> bool:
        message, qos, retain = delivery
        head, tail = outbox.parts(message, qos, retain, now)
        # [MQTT-3.1.2-24]
        if outbox.packet_bytes_max and not self._fits(outbox, len(head) + 2 + len(tail)):
            if outbox.tap is not None:
                outbox.tap.lost(self.client_id, message, qos, _TOO_LARGE, now)
            return False
        if dup:
            head = bytes((head[0] | _DUP,)) + head[1:]
            self.vitals.others_out += 1
            self.vitals.payload_bytes_out += len(message.payload)
        outbox.send(head, packet_id.to_bytes(2, "big"), tail)
        if outbox.tap is not None:
            outbox.tap.sent(self.client_id, message, qos, retain, now, packet_id, dup)
        return True

    def _fits(self, outbox: Outbox, size: int) -> bool:
        """[MQTT-3.1.2-25]: a packet larger than the client takes is dropped as if sent."""
        if outbox.packet_bytes_max and size > outbox.packet_bytes_max:
            self.vitals.dropped_too_large += 1
            return False
        return True
