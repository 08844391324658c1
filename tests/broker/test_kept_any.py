"""Any order of what clients, the disk and the plug do: what was acknowledged is there, QoS 2 once.

A seed is a whole story; a failure names it, and `story(seed)` tells it again.
"""

from random import Random

import pytest

from gateway.broker import rewriting
from gateway.broker.records import Wish
from gateway.mqtt.packets import (
    ConnAck,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
)
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld
from tests.broker.world import Client

SEEDS = 1_000
STEPS = 120
WEEK_S = 604_800


class Party:
    """One client over many connections, with the half of every exchange that is its own."""

    def __init__(self, world: KeptWorld, name: str, random: Random) -> None:
        self.world = world
        self.name = name
        self.random = random
        self.client: Client | None = None
        self.ready = False
        self.todo: list[Packet] = []  # came, and not answered yet
        self.sessions = 0

    def connect(self) -> None:
        if self.client is not None and not self.client.closed:
            return
        self.ready, self.todo = False, []
        self.client = self.world.client(self.name)
        window = self.random.choice([1, 3, 20])
        self.client.connect(False, session_expiry_interval_s=WEEK_S, receive_maximum=window)

    def lose(self) -> None:
        if self.client is not None and not self.client.closed:
            self.client.lose()
        self.client, self.ready, self.todo = None, False, []

    def listen(self, count: int = 1000) -> None:
        """Reads what came, and answers some of it."""
        if self.client is None:
            return
        self.todo += self.client.take()
        while self.todo and count:
            packet = self.todo.pop(0)
            count -= 1
            if isinstance(packet, Disconnect) or (isinstance(packet, ConnAck) and packet.reason):
                assert packet.reason is Reason.QUOTA_EXCEEDED  # the disk failed: it comes again
            elif isinstance(packet, ConnAck):
                self.ready = True
                self.sessions += not packet.session_present
                self.begin(packet.session_present)
            else:
                self.hear(packet)
        if self.client.closed:
            self.lose()

    def say(self, *packets: Packet) -> None:
        assert self.client is not None
        if not self.client.closed:
            self.client.send(*packets)

    def begin(self, present: bool) -> None:
        raise NotImplementedError

    def hear(self, packet: Packet) -> None:
        raise NotImplementedError


class Publisher(Party):
    """Publishes numbers at QoS 1 and 2, each on a topic of its own."""

    def __init__(self, world: KeptWorld, name: str, random: Random) -> None:
        super().__init__(world, name, random)
        self.number = 0
        self.open: dict[int, tuple[int, int]] = {}  # packet id: QoS, number
        self.received: dict[int, tuple[int, int]] = {}
        self.acknowledged: dict[int, list[int]] = {1: [], 2: []}

    def begin(self, present: bool) -> None:
        assert present or self.sessions == 1, "the session is gone"
        for packet_id in self.received:
            self.say(PubRel(packet_id))
        for packet_id, (qos, number) in self.open.items():
            self.say(self._packet(packet_id, qos, number, dup=True))

    def publish(self) -> None:
        if not self.ready or len(self.open) + len(self.received) > 20:
            return
        self.number += 1
        qos, packet_id = self.random.choice([1, 2]), self.number % 60_000 + 1
        self.open[packet_id] = (qos, self.number)
        self.say(self._packet(packet_id, qos, self.number))

    def hear(self, packet: Packet) -> None:
        match packet:
            case PubAck(reason=Reason.SUCCESS):
                qos, number = self.open.pop(packet.packet_id)
                assert qos == 1
                self.acknowledged[1].append(number)
            case PubRec(reason=Reason.SUCCESS):
                if packet.packet_id in self.open:
                    self.received[packet.packet_id] = self.open.pop(packet.packet_id)
                self.say(PubRel(packet.packet_id))
            case PubAck() | PubRec():  # the disk took it not: it is tried again, as a new message
                self.open.pop(packet.packet_id)
            case PubComp():
                if packet.packet_id in self.received:
                    qos, number = self.received.pop(packet.packet_id)
                    self.acknowledged[2].append(number)
            case _:
                raise AssertionError(f"unexpected {packet}")

    def _packet(self, packet_id: int, qos: int, number: int, dup: bool = False) -> Publish:
        return Publish(f"{self.name}/{qos}", b"%d" % number, qos, dup=dup, packet_id=packet_id)


class Subscriber(Party):
    """`came` is, by topic, every number in the order of its delivery."""

    def __init__(self, world: KeptWorld, name: str, random: Random, filters: list[str]) -> None:
        super().__init__(world, name, random)
        self.filters = filters
        self.subscribed = False
        self.came: dict[str, list[int]] = {}
        self.held: set[int] = set()

    def begin(self, present: bool) -> None:
        assert present or not self.subscribed, "the session is gone"
        if not self.subscribed:
            lines = tuple(Subscription(each, 2) for each in self.filters)
            self.say(Subscribe(65_000, lines))

    def hear(self, packet: Packet) -> None:
        match packet:
            case SubAck():
                self.subscribed = True
            case Publish():
                if packet.qos < 2 or packet.packet_id not in self.held:
                    self.came.setdefault(packet.topic, []).append(int(packet.payload))
                if packet.qos == 1:
                    self.say(PubAck(packet.packet_id))
                else:
                    self.held.add(packet.packet_id)
                    self.say(PubRec(packet.packet_id))
            case PubRel():
                self.held.discard(packet.packet_id)
                self.say(PubComp(packet.packet_id))
            case _:
                raise AssertionError(f"unexpected {packet}")


def story(seed: int) -> None:
    """Everything at random, then all faults end, and everybody gets what is due."""
    random = Random(seed)
    world = KeptWorld()
    world.disk_may_fail = bool(seed % 2)
    publishers = [Publisher(world, name, random) for name in ("p", "q")]
    subscribers = [
        Subscriber(world, "s", random, ["#"]),
        Subscriber(world, "u", random, ["+/1", "+/2", "p/#"]),
        Subscriber(world, "away", random, ["#"]),
    ]
    parties: list[Party] = [*publishers, *subscribers]
    for subscriber in subscribers:
        subscriber.connect()
        world.settle()
        subscriber.listen()
        world.settle()
        subscriber.listen()
        assert subscriber.subscribed
    subscribers[2].lose()
    for _ in range(STEPS):
        _step(world, random, publishers, parties)
    _end(world, parties)
    for publisher in publishers:
        for qos in (1, 2):
            for subscriber in subscribers:
                came = subscriber.came.get(f"{publisher.name}/{qos}", [])
                who = f"seed {seed}: {publisher.name}/{qos} at {subscriber.name}: {came}"
                missing = set(publisher.acknowledged[qos]) - set(came)
                assert not missing, f"{who} has not {sorted(missing)}"
                first = list(dict.fromkeys(came))
                if not world.failures:  # else what was refused is tried again behind its successors
                    assert first == sorted(first), f"{who} is out of order"
                if qos == 2:
                    assert first == came, f"{who} came twice"


def _step(
    world: KeptWorld, random: Random, publishers: list[Publisher], parties: list[Party]
) -> None:
    awake = parties[:-1]
    dice = random.random()
    if dice < 0.4:
        for _ in range(random.choice([1, 1, 5])):
            random.choice(publishers).publish()
    elif dice < 0.65:
        random.choice(awake).listen(random.choice([1, 3, 1000]))
    elif dice < 0.72:
        world.take()
    elif dice < 0.84:
        world.sync(wish=Wish.NOW if random.random() < 0.4 else Wish.NONE)
    elif dice < 0.86:
        if world.disk_may_fail and world.take() is not None:
            world.fail()
    elif dice < 0.92:
        world.pass_s(random.choice([0.001, 0.03, 1.0, 11.0]))
    elif dice < 0.95:
        random.choice(awake).lose()
    elif dice < 0.99:
        random.choice(awake).connect()
    else:
        world.power_cut()
        for party in parties:
            party.client, party.ready, party.todo = None, False, []


def _end(world: KeptWorld, parties: list[Party]) -> None:
    for _ in range(400):
        world.now += 1.1
        for party in parties:
            party.connect()
            party.listen()
        world.sync()
        publishers = [each for each in parties if isinstance(each, Publisher)]
        answered = all(each.ready and not (each.open or each.received) for each in publishers)
        if answered and world.broker.waiting() == 0:
            break
    else:
        raise AssertionError(f"stuck: {world.broker.waiting()} messages wait")
    assert all(party.client is None or party.client.connection.reading for party in parties)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [2, rewriting.SLICE_MESSAGES_MAX])
def test_any_story_ends_well(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`at_once` messages are written again in a batch: many batches, or one."""
    monkeypatch.setattr(rewriting, "SLICE_MESSAGES_MAX", at_once)
    for seed in range(int(at_once == 2), SEEDS, 2):
        story(seed)
