"""Numbers in their order, from publishers to subscribers, at QoS 1 and 2; each remembers what happened.

What a run may find is `counting.py`'s; what the clients do over broken connections is `peer.py`'s.
"""

from random import Random

from gateway.mqtt.packets import (
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Version,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from tests.numbered.peer import FAITHFUL, V311, Address, Habits, Peer

PACKET_IDS = 60_000
FAILURE = 0x80  # from here on a reason says that the message was not taken
EXPIRY_S = 36_000  # longer than any run
EXPIRY_LEFT_S_MIN = 30_000  # of the same, on its way to a subscriber


class Publisher(Peer):
    """Publishes 1, 2, 3, ... to its topic, at most `window` unanswered.

    `acknowledged` are the numbers whose PUBACK or PUBCOMP came. A number is used until then. It stops
    at `number_max`, which others raise. With `expiring` its messages expire, but not while a run lasts.
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        qos: int,
        below: str = "t",
        version: Version = V311,
        roams: Random | None = None,
        window: int = 20,
        expiring: bool = False,
        habits: Habits = FAITHFUL,
    ) -> None:
        super().__init__(address, client_id, version, roams, habits)
        self.qos = qos
        self.window = window
        self.topic = f"{below}/{qos}/{client_id}"
        self.number = 0
        self.acknowledged: list[int] = []
        self.properties = NO_PROPERTIES
        if expiring:
            self.properties = Properties(message_expiry_interval_s=EXPIRY_S)
        self.number_max = 0
        self._ready = False
        self._open: dict[int, int] = {}  # packet id: number, without an answer
        self._received: dict[int, int] = {}  # the same, PUBREC came
        self._refused: set[int] = set()  # packet ids of what was not taken

    def begin(self, present: bool) -> None:
        if not present:  # the broker has forgotten what it said PUBREC for: begin again
            self._open = dict(sorted((self._received | self._open).items(), key=lambda e: e[1]))
            self._received = {}
        releases = [PubRel(packet_id) for packet_id in self._received]
        again = [
            self.message(*each, dup=each[0] not in self._refused) for each in self._open.items()
        ]
        self._refused.clear()
        self.say(*releases, *again)
        self._ready = True

    def talk(self, packet: Packet) -> None:
        match packet:
            case PubAck() | PubRec() if packet.reason >= FAILURE:
                self._take_back(packet)
            case PubAck() if self.qos == 1:
                self._answered(self._open.pop(packet.packet_id, None))
            case PubRec() if self.qos == 2:
                if packet.packet_id in self._open:
                    self._received[packet.packet_id] = self._open.pop(packet.packet_id)
                self.say(PubRel(packet.packet_id))
            case PubComp() if self.qos == 2:
                self._answered(self._received.pop(packet.packet_id, None))
            case _:
                raise AssertionError(f"unexpected {packet}")

    def idle(self) -> None:
        fresh = []
        room = min(self.number_max - self.number, self.window - self._unanswered())
        for _ in range(room if self._ready else 0):
            self.number += 1
            packet_id = self.number % PACKET_IDS + 1
            self._open[packet_id] = self.number
            fresh.append(self.message(packet_id, self.number))
        if fresh:
            self.say(*fresh)

    def message(self, packet_id: int, number: int, dup: bool = False) -> Publish:
        """What is sent for a number, every time the same."""
        payload = b"%d" % number
        return Publish(self.topic, payload, self.qos, False, dup, packet_id, self.properties)

    def is_answered(self) -> bool:
        """Whether every message has its last answer."""
        return not self._unanswered()

    def _take_back(self, packet: PubAck | PubRec) -> None:
        """It was not taken here: it goes to the next gateway, as a new one."""
        assert self._habits.others, packet
        self.refused += 1
        self._refused.add(packet.packet_id)
        raise ConnectionRefusedError(f"{packet}")

    def _answered(self, number: int | None) -> None:
        if number is not None:
            self.acknowledged.append(number)

    def _unanswered(self) -> int:
        return len(self._open) + len(self._received)

    def _serve(self) -> None:
        self._ready = False
        super()._serve()


class Subscriber(Peer):
    """Takes everything under its filter; `came` is, by topic, every number in the order of its delivery.

    A QoS 2 message counts when its packet id is new: the client's half of exactly once.
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        qos: int,
        topic_filter: str = "t/#",
        version: Version = V311,
        roams: Random | None = None,
        habits: Habits = FAITHFUL,
    ) -> None:
        super().__init__(address, client_id, version, roams, habits)
        self.qos = qos
        self.topic_filter = topic_filter
        self.came: dict[str, list[int]] = {}
        self.subscribed = False
        self._held: set[int] = set()

    def begin(self, present: bool) -> None:
        if not present:
            self._held.clear()
            self.say(Subscribe(1, (Subscription(self.topic_filter, self.qos),)))

    def talk(self, packet: Packet) -> None:
        match packet:
            case SubAck():
                assert packet.reasons[0] < FAILURE, packet
                self.subscribed = True
            case Publish():
                self._count(packet)
                if packet.qos == 1:
                    self.say(PubAck(packet.packet_id))
                elif packet.qos == 2:
                    self._held.add(packet.packet_id)
                    self.say(PubRec(packet.packet_id))
            case PubRel():
                self._held.discard(packet.packet_id)
                self.say(PubComp(packet.packet_id))
            case _:
                raise AssertionError(f"unexpected {packet}")

    def follow(self, earlier: "Subscriber") -> None:
        """Goes on with the session that an earlier one left."""
        self.came, self._held = earlier.came, earlier._held
        self.connections = 1  # its session must be there

    def _count(self, packet: Publish) -> None:
        left_s = packet.properties.message_expiry_interval_s
        assert left_s is None or EXPIRY_LEFT_S_MIN < left_s <= EXPIRY_S, packet
        if packet.qos < 2 or packet.packet_id not in self._held:
            self.came.setdefault(packet.topic, []).append(int(packet.payload))
