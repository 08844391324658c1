"""A broker with a disk, as far as the broker knows: batches that a test commits, and power cuts.

What is committed goes through the encoding of the real store and back. A power cut loses what was not.
"""

from collections import deque
from random import Random

import msgspec

from gateway.broker.broker import Broker
from gateway.broker.elsewhere import Nowhere
from gateway.broker.journal import Batch, Journal
from gateway.broker.records import Record, Rewrite, Row, Wish
from gateway.clock import MeshClock
from gateway.config import MqttSection
from gateway.mqtt.packets import ConnAck, SubAck, Subscribe, Subscription
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket
from tests.broker.world import Client, World

WEEK_S = 604_800
LOST_MAX = 6  # batches that a card may lose

_RECORDS = msgspec.msgpack.Decoder(list[Record])


class Card:
    """A disk in memory: what was written to it is there after any crash, and nothing else."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self.rows: dict[tuple[str, str], bytes] = {}
        self.number = 0  # of the last batch
        self.sound = True  # nothing of it is missing
        self._begin = 0
        self._before: deque[tuple[dict[tuple[str, str], bytes], list[bytes], int]] = deque(
            maxlen=LOST_MAX
        )

    def lose(self, batches: int) -> None:
        """The last of what was written is not there after all."""
        for _ in range(min(batches, len(self._before))):
            self.rows, self.log, self.number = self._before.pop()

    def write(self, batch: Batch) -> None:
        """All of the batch is on disk; what it makes superfluous is not any more."""
        self._before.append((dict(self.rows), list(self.log), self.number))
        self.number = batch.number
        self.log.append(msgspec.msgpack.encode(batch.records))
        if batch.rewrite in (Rewrite.BEGIN, Rewrite.WHOLE):
            self._begin = len(self.log) - 1
        if batch.rewrite in (Rewrite.END, Rewrite.WHOLE):
            del self.log[: self._begin]
        for record in batch.records:
            if isinstance(record, Row):
                if record.value is None:
                    self.rows.pop((record.kind, record.key), None)
                else:
                    self.rows[record.kind, record.key] = record.value

    def restore(self, broker: Broker, now: float) -> None:
        """Fills a broker that has just begun with what is on the disk."""
        batches = [
            [record for record in _RECORDS.decode(data) if not isinstance(record, Row)]
            for data in self.log
        ]
        broker.restore(self.rows, batches, now)


class KeptWorld(World):
    """One broker over several boots, and its disk."""

    def __init__(self, settings: MqttSection | None = None) -> None:
        self._settings = settings or MqttSection()
        self.card = Card()
        self.boot = 0
        self.saved_ms = 0
        self.disk_may_fail = True
        self.failures = 0
        self._taken: Batch | None = None
        super().__init__(settings)
        self._start()

    def _start(self) -> None:
        self.boot += 1
        clock = MeshClock("g", self.saved_ms, self.now)
        self.clock = clock
        journal = Journal(self.boot, clock)
        self.broker = Broker(self._settings, Nowhere(clock), Random(self.boot), journal)
        self.card.restore(self.broker, self.now)
        journal.on_disk = self.card.number
        self.broker.wake(self.now)

    def take(self) -> Batch | None:
        """The disk begins to write what is due."""
        if self._taken is None:
            self._taken = self.broker.journal.take(self.now)
        return self._taken

    def sync(self, wish: Wish = Wish.NONE, refusing: str = "") -> list[Record]:
        """What is due now is on disk, and the broker knows; returns it. `refusing`: no room for more."""
        batch = self.take()
        if batch is None:
            return []
        self._taken = None
        self.card.write(batch)
        self.broker.committed(0.001, wish, self.now, refusing)
        return batch.records

    def records(self) -> list[Record]:
        """All that is on disk, but rows."""
        return [
            r for data in self.card.log for r in _RECORDS.decode(data) if not isinstance(r, Row)
        ]

    def refuse(self, why: str) -> None:
        """The disk has no room for new messages, and says so in its answer to something else."""
        self.broker.state.at(self.now)
        self.broker.journal.put("test", "refused", b"", Ticket(lambda: None))
        self.now += 1
        self.sync(refusing=why)

    def settle(self) -> None:
        """The disk is idle, and has all that somebody waits for."""
        for _ in range(100):
            self.now += 0.03
            if not self.sync():
                return
        raise AssertionError("the journal never comes to rest")

    def fail(self, why: str = "the disk is full") -> None:
        """What is due now cannot be written."""
        batch = self.take()
        assert batch is not None, "nothing is due"
        self._taken = None
        self.failures += 1
        self.broker.commit_failed(why, self.now)

    def power_cut(self) -> None:
        """All that is not on disk is gone; the box starts again."""
        self._taken = None
        self.saved_ms = self.clock.read(self.now)
        self._start()


def persistent(world: KeptWorld, client_id: str, clean: bool = False) -> Client:
    """A client with a session that the disk keeps; it has its CONNACK."""
    client = world.client(client_id)
    client.connect(clean, session_expiry_interval_s=WEEK_S)
    world.settle()
    answers = client.take()
    assert isinstance(answers[0], ConnAck)
    assert answers[0].reason is Reason.SUCCESS
    client.connack = answers[0]
    client.box = answers[1:]
    return client


def subscribed(world: KeptWorld, client: Client, topic_filter: str, qos: int) -> None:
    client.send(Subscribe(client.packet_id(), (Subscription(topic_filter, qos),)))
    world.settle()
    assert isinstance(client.take()[-1], SubAck)


def away(world: KeptWorld, qos: int = 1) -> None:
    """A persistent subscriber to everything that has gone."""
    client = persistent(world, "s")
    subscribed(world, client, "#", qos)
    client.lose()
