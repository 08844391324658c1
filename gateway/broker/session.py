"""One MQTT session: what a client id keeps from one connection to the next.

Its subscriptions, what was sent and is not yet acknowledged (inflight), what waits (the queue), and
the QoS 2 messages taken in but not yet released. Everything is bounded. A session that the disk keeps
tells the journal what becomes of its messages, and sends a QoS 2 message only when its packet id is on
disk: a client that has answered PUBREC must never get the message under another one. Must not know
sockets, other sessions or how messages are routed.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, Protocol

from gateway.broker.access import Rights
from gateway.broker.journal import Journal
from gateway.broker.outbox import Outbox
from gateway.broker.vitals import Vitals
from gateway.mqtt.message import Message, run_bytes_held
from gateway.mqtt.packets import Subscription
from gateway.tickets import Ticket

PACKET_ID_MAX = 65_535
_DUP = 0x08

_NOTHING: Any = ()  # a queue in which nothing waits

REFUSE_NEW, DROP_OLDEST, DROP_QOS0_FIRST = "refuse-new", "drop-oldest", "drop-qos0-first"
QOS0_DROPPED_AT_ONCE = 64  # looking for them costs a walk through the queue

REFUSED = -1  # what became of a message: neither sent nor kept
WAITS = 0  # it is in the queue; from 1 on: it was sent under this packet id

Delivery = tuple[Message, int, bool]  # message, QoS, retain flag
Redelivery = tuple[Message, int, bool, int]  # and the packet id that it was sent under


class Replaying(Protocol):
    """Retained messages on their way to new subscriptions of a session (`replay.py`)."""

    def advance(self, now: float) -> None:
        """The client may be able to take more."""

    def overtake(self, topic: str) -> None:
        """A message of this topic is about to be delivered: what is retained there comes first."""


class Session:
    """`outbox` is None while no client is connected. `number` names a session that the disk keeps; 0: it
    ends with its connection, and nothing of it is kept.

    `inflight` maps a packet id to what was sent under it, in the order of sending; None stands for a
    QoS 2 message that the client has received (PUBREC) and not yet completed (PUBCOMP). `received_mids`
    are the ids of such messages on disk. `unsent` are packet ids whose message was not written to the
    client: True if it may be, False while the packet id is on its way to the disk. `on_disk`: the disk
    has the session, if it is to keep it. `queue_full` says which message a full queue loses; messages
    of QoS 0 stand in it only with DROP_QOS0_FIRST, while the client is away or does not read.
    """

    __slots__ = (
        "_next_id",
        "client_id",
        "expiry_s",
        "inflight",
        "journal",
        "number",
        "on_disk",
        "outbox",
        "queue",
        "queue_bytes",
        "queue_bytes_max",
        "queue_full",
        "queue_messages_max",
        "queued_qos0",
        "received_mids",
        "replay",
        "rights",
        "subscriptions",
        "unreleased",
        "unreleased_bytes",
        "unsent",
        "user",
        "vitals",
        "window",
    )

    def __init__(
        self,
        client_id: str,
        vitals: Vitals,
        journal: Journal,
        queue_messages_max: int,
        queue_bytes_max: int,
        queue_full: str = REFUSE_NEW,
    ) -> None:
        self.client_id = client_id
        self.vitals = vitals
        self.journal = journal
        self.queue_messages_max = queue_messages_max
        self.queue_bytes_max = queue_bytes_max
        self.queue_full = queue_full
        self.number = 0
        self.on_disk = False
        self.user = ""  # whose it is; empty: of whoever gave no name
        self.rights: Rights | None = None  # None: no rule is for its user
        self.outbox: Outbox | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.inflight: dict[int, Delivery | None] = {}
        self.received_mids: dict[int, int] = {}
        self.unsent: dict[int, bool] = {}
        self.queue: deque[Delivery | Redelivery] = _NOTHING  # `line` has one to append to
        self.queue_bytes = 0
        self.queued_qos0 = 0
        self.replay: Replaying | None = None
        self.unreleased: dict[int, Message] = {}
        self.unreleased_bytes = 0
        self.window = 0
        self.expiry_s = 0.0
        self._next_id = 1

    def attach(self, outbox: Outbox, window: int, now: float) -> None:
        """A client is here: sends again what it has not acknowledged, then what waits.

        [MQTT-4.4.0-1]: original packet ids, DUP set on PUBLISH, in the original order. A window that
        is smaller than before holds for these too [MQTT-3.3.4-9], also for those whose packet id is on
        its way to the disk: the rest goes before the queue.
        """
        self.outbox = outbox
        self.window = window
        sent = [(*each, key) for key, each in self.inflight.items() if each is not None]
        for redelivery in reversed(sent[window:]):
            del self.inflight[redelivery[3]]
            self.line().appendleft(redelivery)
            self.queue_bytes += redelivery[0].bytes_held()
        for packet_id, delivery in list(self.inflight.items()):
            # [MQTT-4.3.3-5] [MQTT-4.3.3-6]
            if delivery is None:
                outbox.send(b"\x62\x02", packet_id.to_bytes(2, "big"))
            # [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-7]
            elif self.unsent.get(packet_id, True):
                self._send_again(outbox, packet_id, delivery, now)
        self.send_waiting(now)

    def detach(self) -> None:
        """The client is gone; what was sent stays unacknowledged."""
        self.outbox = None

    def deliver(self, message: Message, qos: int, retain: bool, now: float) -> int:
        """Sends the message or keeps it until it may be sent; a full queue refuses it, counted.

        Returns the packet id that it was sent under, WAITS or REFUSED (which QoS 0 always is).
        """
        outbox = self.outbox
        if qos == 0:
            if self.queue_full == DROP_QOS0_FIRST and (outbox is None or outbox.congested):
                self._enqueue(message, 0, retain)
            elif outbox is not None:
                self._send_at_most_once(outbox, message, retain, now)
            return REFUSED
        # [MQTT-3.3.4-10] [MQTT-4.9.0-2] [MQTT-4.9.0-3] [MQTT-4.6.0-5] [MQTT-4.6.0-6]
        if outbox is None or self.queue or outbox.congested or len(self.inflight) >= self.window:
            return self._enqueue(message, qos, retain)
        return self._send_acknowledged(outbox, (message, qos, retain), now)

    def deliver_run(self, messages: list[Message], qos: int, now: float) -> list[int]:
        """Does what `deliver` does for messages of one topic, none of them retained.

        Returns what became of each if the disk keeps the session, else perhaps nothing.
        """
        outbox = self.outbox
        room = self.window - len(self.inflight)
        if outbox is None and qos and self.number:
            return self._enqueue_run(messages, qos)
        if outbox is None or outbox.congested or outbox.packet_bytes_max or outbox.aliases:
            return [self.deliver(message, qos, False, now) for message in messages]
        if qos and (self.queue or room < len(messages)):
            return [self.deliver(message, qos, False, now) for message in messages]
        if qos == 2 and self.number:
            return [self.deliver(message, qos, False, now) for message in messages]
        self.vitals.messages_out += len(messages)
        if not outbox.pieces:
            outbox.touched.append(outbox)
        pieces, dialect = outbox.pieces, outbox.dialect
        if qos == 0:
            for message in messages:
                pieces += message.parts(dialect, 0, False, now)
            return []
        inflight, packet_id, key = self.inflight, self._next_id, dialect << 3 | qos << 1
        for message in messages:
            while packet_id in inflight:
                packet_id = packet_id % PACKET_ID_MAX + 1
            inflight[packet_id] = (message, qos, False)
            if message.key == key:
                head, tail = message.encoded
            else:
                head, tail = message.parts(dialect, qos, False, now)
            pieces += (head, packet_id.to_bytes(2, "big"), tail)
            packet_id = packet_id % PACKET_ID_MAX + 1
        self._next_id = packet_id
        return list(islice(reversed(inflight), len(messages)))[::-1] if self.number else []

    def acknowledged(self, packet_ids: Sequence[int], now: float) -> None:
        """PUBACK or PUBCOMP came (or a PUBREC that refuses): the ids are free, the next may go."""
        inflight, mids = self.inflight, []
        for packet_id in packet_ids:
            if packet_id in inflight:
                delivery = inflight.pop(packet_id)
                if delivery is not None:
                    mids.append(delivery[0].mid)
                elif packet_id in self.received_mids:
                    mids.append(self.received_mids.pop(packet_id))
        for packet_id in packet_ids if self.unsent else ():
            self.unsent.pop(packet_id, None)
        if mids and self.number:
            self.journal.done(self.number, mids)
        if self.queue or self.replay is not None:
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
            self.unsent.pop(packet_id, None)
            self.received_mids[packet_id] = delivery[0].mid
            self.journal.received(self.number, delivery[0].mid, ticket())
        elif self.number:
            self.journal.wait(ticket())
        return True

    def committed(self, packet_id: int, now: float) -> None:
        """The packet id is on disk: its message may leave, if it is still wanted. 0: the session is."""
        if packet_id == 0:
            self.on_disk = True
        if self.unsent.get(packet_id) is not False:
            return
        self.unsent[packet_id] = True
        delivery = self.inflight.get(packet_id)
        if self.outbox is not None and delivery is not None:
            self._send_again(self.outbox, packet_id, delivery, now)

    def send_waiting(self, now: float) -> None:
        """Moves what waits into the window, as far as it is open; then what is retained."""
        outbox = self.outbox
        if self.queued_qos0 and outbox is not None and not outbox.congested:
            self._send_queued_qos0(outbox, now)
        while self.queue and outbox is not None and not outbox.congested:
            if len(self.inflight) >= self.window:
                return
            delivery = self.queue.popleft()
            self.queue_bytes -= delivery[0].bytes_held()
            if len(delivery) == 4:
                if self.unsent.get(delivery[3], True):
                    self._send_again(outbox, delivery[3], delivery[:3], now)
                else:
                    self.inflight[delivery[3]] = delivery[:3]  # `committed` sends it
            elif delivery[0].expired(now):
                self.vitals.dropped_expired += 1
                self._give_up(delivery[0])
            else:
                self._send_from_queue(outbox, delivery, now)
        if self.replay is not None:
            self.replay.advance(now)

    def is_ready(self, qos: int) -> bool:
        """Whether a message of this QoS would be sent at once."""
        outbox = self.outbox
        if outbox is None or outbox.congested:
            return False
        return not qos or (not self.queue and len(self.inflight) < self.window)

    def has_room(self, message: Message) -> bool:
        """Whether the queue can take the message as well."""
        full = len(self.queue) >= self.queue_messages_max
        return not full and self.queue_bytes + message.bytes_held() <= self.queue_bytes_max

    def keeps_qos0(self) -> bool:
        """Whether messages of QoS 0 wait, too, while the client is away."""
        return self.queue_full == DROP_QOS0_FIRST

    def take_back(self, given: set[Message]) -> None:
        """Its client is away, and other sessions have got these messages in its place."""
        for packet_id, delivery in list(self.inflight.items()):
            if delivery is not None and delivery[0] in given:
                del self.inflight[packet_id]
                self.unsent.pop(packet_id, None)
                self._give_up(delivery[0])
        waiting, self.queue = self.queue, _NOTHING
        for each in waiting:
            if each[0] in given:
                if len(each) == 4:
                    self.unsent.pop(each[3], None)
                self.queue_bytes -= each[0].bytes_held()
                self._give_up(each[0])
            else:
                self.line().append(each)

    def line(self) -> deque[Delivery | Redelivery]:
        """The queue, to append to: an empty one costs 700 bytes, and most sessions never have one."""
        if self.queue is _NOTHING:
            self.queue = deque()
        return self.queue

    def waiting(self) -> int:
        """Messages that the client has not acknowledged, sent or not."""
        return len(self.queue) + len(self.inflight)

    def _enqueue(self, message: Message, qos: int, retain: bool) -> int:
        if not (self.has_room(message) or self._make_room(message, qos)):
            self.vitals.dropped_queue_full += 1
            return REFUSED
        self.line().append((message, qos, retain))
        self.queue_bytes += message.bytes_held()
        self.queued_qos0 += not qos
        return WAITS

    def _make_room(self, message: Message, qos: int) -> bool:
        """Drops older messages for this one, as `queue_full` says; whether there is room now."""
        if message.bytes_held() > self.queue_bytes_max:
            return False
        while not self.has_room(message):
            if self.queue_full == DROP_OLDEST:
                lost = list(islice(self._unsent_in_queue(), 1))
            elif self.queue_full == DROP_QOS0_FIRST and qos and self.queued_qos0:
                plain = (at for at in self._unsent_in_queue() if not self.queue[at][1])
                lost = list(islice(plain, QOS0_DROPPED_AT_ONCE))
            else:
                return False
            if not lost:
                return False
            for at in reversed(lost):
                self._drop_waiting(at)
        return True

    def _unsent_in_queue(self) -> Iterator[int]:
        """Where messages stand that were never sent: the others may have reached the client."""
        return (at for at, waiting in enumerate(self.queue) if len(waiting) == 3)

    def _drop_waiting(self, at: int) -> None:
        message, qos = self.queue[at][:2]
        del self.queue[at]
        self.queue_bytes -= message.bytes_held()
        self.queued_qos0 -= not qos
        self.vitals.dropped_queue_full += 1
        self._give_up(message)

    def _send_queued_qos0(self, outbox: Outbox, now: float) -> None:
        """What waited at QoS 0 leaves, past what waits for the window: there is no order between."""
        queue, self.queue, self.queued_qos0 = self.queue, deque(), 0
        for waiting in queue:
            if waiting[1]:
                self.queue.append(waiting)
                continue
            self.queue_bytes -= waiting[0].bytes_held()
            if waiting[0].expired(now):
                self.vitals.dropped_expired += 1
            else:
                self._send_at_most_once(outbox, waiting[0], waiting[2], now)

    def _enqueue_run(self, messages: list[Message], qos: int) -> list[int]:
        """Nobody is connected: the messages wait, in one step if there is room for all."""
        size = run_bytes_held(messages)
        full = len(self.queue) + len(messages) > self.queue_messages_max
        if full or self.queue_bytes + size > self.queue_bytes_max:
            return [self._enqueue(message, qos, False) for message in messages]
        self.line().extend(zip(messages, repeat(qos), repeat(False), strict=False))
        self.queue_bytes += size
        return [WAITS] * len(messages)

    def _send_from_queue(self, outbox: Outbox, delivery: Delivery, now: float) -> None:
        packet_id = self._send_acknowledged(outbox, delivery, now)
        if not self.number:
            return
        if packet_id == REFUSED:
            self._give_up(delivery[0])
            return
        self.journal.sent(self.number, delivery[0].mid, packet_id)
        if delivery[1] == 2:
            self.journal.await_commit(self, packet_id)

    def _give_up(self, message: Message) -> None:
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
            outbox.send(head, tail)

    def _send_acknowledged(self, outbox: Outbox, delivery: Delivery, now: float) -> int:
        """Sends under a new packet id; a QoS 2 message of a kept session once that is on disk."""
        # [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2]
        packet_id = self._next_id
        while packet_id in self.inflight:
            packet_id = packet_id % PACKET_ID_MAX + 1
        self._next_id = packet_id % PACKET_ID_MAX + 1
        if self.number and delivery[1] == 2:
            self.unsent[packet_id] = False
        elif not self._write(outbox, packet_id, delivery, now):
            return REFUSED
        self.inflight[packet_id] = delivery
        self.vitals.messages_out += 1
        return packet_id

    def _send_again(self, outbox: Outbox, packet_id: int, delivery: Delivery, now: float) -> None:
        """Sends what has a packet id; with DUP unless it is the first time [MQTT-3.3.1-1]."""
        dup = not (self.unsent and self.unsent.pop(packet_id, False))
        if self._write(outbox, packet_id, delivery, now, dup):
            self.inflight[packet_id] = delivery
        else:
            self.inflight.pop(packet_id, None)
            self._give_up(delivery[0])

    def _write(
        self, outbox: Outbox, packet_id: int, delivery: Delivery, now: float, dup: bool = False
    ) -> bool:
        message, qos, retain = delivery
        head, tail = outbox.parts(message, qos, retain, now)
        # [MQTT-3.1.2-24]
        if outbox.packet_bytes_max and not self._fits(outbox, len(head) + 2 + len(tail)):
            return False
        if dup:
            head = bytes((head[0] | _DUP,)) + head[1:]
        outbox.send(head, packet_id.to_bytes(2, "big"), tail)
        return True

    def _fits(self, outbox: Outbox, size: int) -> bool:
        """[MQTT-3.1.2-25]: a packet larger than the client takes is dropped as if sent."""
        if outbox.packet_bytes_max and size > outbox.packet_bytes_max:
            self.vitals.dropped_too_large += 1
            return False
        return True
