"""One MQTT session: what a client id keeps from one connection to the next.

Its subscriptions, what was sent and is not yet acknowledged (inflight), what waits (the queue), and
the QoS 2 messages taken in but not yet released. Everything is bounded. Must not know sockets, other
sessions or how messages are routed.
"""

from collections import deque

from gateway.broker.access import Rights
from gateway.broker.outbox import Outbox
from gateway.broker.vitals import Vitals
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription

PACKET_ID_MAX = 65_535
_DUP = 0x08

Delivery = tuple[Message, int, bool]  # message, QoS, retain flag
Redelivery = tuple[Message, int, bool, int]  # and the packet id that it was sent under


class Session:
    """`outbox` is None while no client is connected. `number` names a session that the disk keeps; 0: it
    ends with its connection, and nothing of it is kept.

    `inflight` maps a packet id to what was sent under it, in the order of sending; None stands for a
    QoS 2 message that the client has received (PUBREC) and not yet completed (PUBCOMP).
    """

    __slots__ = (
        "_next_id",
        "client_id",
        "expiry_s",
        "inflight",
        "number",
        "outbox",
        "queue",
        "queue_bytes",
        "queue_bytes_max",
        "queue_messages_max",
        "rights",
        "subscriptions",
        "unreleased",
        "unreleased_bytes",
        "user",
        "vitals",
        "window",
    )

    def __init__(
        self, client_id: str, vitals: Vitals, queue_messages_max: int, queue_bytes_max: int
    ) -> None:
        self.client_id = client_id
        self.vitals = vitals
        self.queue_messages_max = queue_messages_max
        self.queue_bytes_max = queue_bytes_max
        self.number = 0
        self.user = ""  # whose it is; empty: of whoever gave no name
        self.rights: Rights | None = None  # None: no rule is for its user
        self.outbox: Outbox | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.inflight: dict[int, Delivery | None] = {}
        self.queue: deque[Delivery | Redelivery] = deque()
        self.queue_bytes = 0
        self.unreleased: dict[int, Message] = {}
        self.unreleased_bytes = 0
        self.window = 0
        self.expiry_s = 0.0
        self._next_id = 1

    def attach(self, outbox: Outbox, window: int, now: float) -> None:
        """A client is here: sends again what it has not acknowledged, then what waits.

        [MQTT-4.4.0-1]: original packet ids, DUP set on PUBLISH, in the original order. A window that
        is smaller than before holds for these too [MQTT-3.3.4-9]: the rest goes before the queue.
        """
        self.outbox = outbox
        self.window = window
        sent = [each for each in self.inflight.items() if each[1] is not None]
        for packet_id, delivery in reversed(sent[window:]):
            assert delivery is not None
            del self.inflight[packet_id]
            self.queue.appendleft((*delivery, packet_id))
            self.queue_bytes += delivery[0].bytes_held()
        for packet_id, delivery in list(self.inflight.items()):
            if delivery is None:
                outbox.send(b"\x62\x02", packet_id.to_bytes(2, "big"))
            else:
                self._send_again(outbox, packet_id, delivery, now)
        self.send_waiting(now)

    def detach(self) -> None:
        """The client is gone; what was sent stays unacknowledged."""
        self.outbox = None

    def deliver(self, message: Message, qos: int, retain: bool, now: float) -> None:
        """Sends the message or keeps it until it may be sent; a full queue refuses it, counted."""
        outbox = self.outbox
        if qos == 0:
            if outbox is not None:
                self._send_at_most_once(outbox, message, retain, now)
        elif outbox is None or self.queue or outbox.congested or len(self.inflight) >= self.window:
            self._enqueue(message, qos, retain)
        else:
            self._send_acknowledged(outbox, (message, qos, retain), now)

    def deliver_run(self, messages: list[Message], qos: int, now: float) -> None:
        """Does what `deliver` does for messages of one topic, none of them retained."""
        outbox = self.outbox
        easy = outbox is not None and not outbox.congested and not outbox.packet_bytes_max
        room = self.window - len(self.inflight)
        if outbox is None or not easy or (qos and (self.queue or room < len(messages))):
            for message in messages:
                self.deliver(message, qos, False, now)
            return
        self.vitals.messages_out += len(messages)
        if not outbox.pieces:
            outbox.touched.append(outbox)
        pieces, dialect = outbox.pieces, outbox.dialect
        if qos == 0:
            for message in messages:
                pieces += message.parts(dialect, 0, False, now)
            return
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

    def acknowledged(self, packet_id: int, now: float) -> bool:
        """PUBACK or PUBCOMP came (or a PUBREC that refuses): the id is free, the next may go."""
        if packet_id not in self.inflight:
            return False
        del self.inflight[packet_id]
        if self.queue:
            self.send_waiting(now)
        return True

    def received(self, packet_id: int) -> bool:
        """PUBREC came: only PUBREL may follow under this id [MQTT-4.3.3-4]."""
        if packet_id not in self.inflight:
            return False
        self.inflight[packet_id] = None
        return True

    def send_waiting(self, now: float) -> None:
        """Moves what waits into the window, as far as it is open."""
        outbox = self.outbox
        while self.queue and outbox is not None and not outbox.congested:
            if len(self.inflight) >= self.window:
                return
            delivery = self.queue.popleft()
            self.queue_bytes -= delivery[0].bytes_held()
            if len(delivery) == 4:
                self._send_again(outbox, delivery[3], delivery[:3], now)
            elif delivery[0].expired(now):
                self.vitals.dropped_expired += 1
            else:
                self._send_acknowledged(outbox, delivery, now)

    def waiting(self) -> int:
        """Messages that the client has not acknowledged, sent or not."""
        return len(self.queue) + len(self.inflight)

    def _enqueue(self, message: Message, qos: int, retain: bool) -> None:
        size = message.bytes_held()
        full = len(self.queue) >= self.queue_messages_max
        if full or self.queue_bytes + size > self.queue_bytes_max:
            self.vitals.dropped_queue_full += 1
            return
        self.queue.append((message, qos, retain))
        self.queue_bytes += size

    def _send_at_most_once(
        self, outbox: Outbox, message: Message, retain: bool, now: float
    ) -> None:
        if outbox.congested:
            self.vitals.dropped_congested += 1
            return
        head, tail = message.parts(outbox.dialect, 0, retain, now)
        if self._fits(outbox, len(head) + len(tail)):
            self.vitals.messages_out += 1
            outbox.send(head, tail)

    def _send_acknowledged(self, outbox: Outbox, delivery: Delivery, now: float) -> None:
        packet_id = self._next_id
        while packet_id in self.inflight:
            packet_id = packet_id % PACKET_ID_MAX + 1
        self._next_id = packet_id % PACKET_ID_MAX + 1
        if self._write(outbox, packet_id, delivery, now):
            self.inflight[packet_id] = delivery
            self.vitals.messages_out += 1

    def _send_again(self, outbox: Outbox, packet_id: int, delivery: Delivery, now: float) -> None:
        if self._write(outbox, packet_id, delivery, now, dup=True):
            self.inflight[packet_id] = delivery
        else:
            self.inflight.pop(packet_id, None)

    def _write(
        self, outbox: Outbox, packet_id: int, delivery: Delivery, now: float, dup: bool = False
    ) -> bool:
        message, qos, retain = delivery
        head, tail = message.parts(outbox.dialect, qos, retain, now)
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
