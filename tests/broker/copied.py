"""The second copy of a broker's disk, as far as the broker knows: it takes batches and slices, late.

`queue` is what is on its way. `restored` is the broker that a disk makes, as plain values to compare.
"""

from collections import deque
from random import Random
from typing import Any

import msgspec

from gateway.broker.broker import Broker
from gateway.broker.elsewhere import Nowhere
from gateway.broker.journal import Batch, Journal
from gateway.broker.keeping import RETAINED
from gateway.broker.records import Record, Rewrite
from gateway.broker.session import Session
from gateway.clock import MeshClock
from gateway.config import MqttSection
from gateway.mqtt.message import Message
from tests.broker.kept import Card

_RECORDS = msgspec.msgpack.Decoder(list[Record])


class CopyCard(Card):
    """A disk that is written by what another gateway sends."""

    def take_in(self, payload: bytes, part: Rewrite = Rewrite.NONE) -> None:
        """A batch or a slice is on it."""
        self.write(Batch(_RECORDS.decode(payload), part, [], [], 0))

    def batches(self) -> list[list[Record]]:
        """What is on it."""
        return [_RECORDS.decode(data) for data in self.log]


class SecondDisk:
    """Fulfils the broker's `Copier`. `waited_for`: answers wait for it."""

    def __init__(self) -> None:
        self.card = CopyCard()
        self.broker: Broker | None = None
        self.takes_batches = True
        self.waited_for = True
        self.queue: deque[tuple[int, bytes, Rewrite, bool]] = deque()  # the last: a slice
        self.number = 0
        self.whole = True  # an empty copy of an empty store
        self.slices = False  # are to come
        self.made = self.refreshed = self.owed = 0

    def takes(self) -> bool:
        return self.takes_batches

    def ship(self, number: int, payload: bytes, now: float) -> None:
        self.queue.append((number, payload, Rewrite.NONE, False))

    def owes(self, number: int, now: float) -> bool:
        self.owed += self.waited_for and self.whole and self.number < number
        return self.waited_for and self.whole and self.number < number

    def of(self, broker: Broker) -> None:
        """A start of the owner: what was on its way is gone, and it goes on from the same batch only."""
        self.queue.clear()
        self.broker, self.slices = broker, False
        broker.journal.copier = self
        if not (self.whole and self.number == broker.journal.on_disk):
            self.begin(anew=True)

    def begin(self, anew: bool) -> None:
        """A new copy, or all that lives once more into the one that is there."""
        assert self.broker is not None
        if anew:
            self.made += 1
            self.card, self.whole = CopyCard(), False
            self.queue.clear()
            self.number = self.broker.journal.begun()
            self.broker.journal.copied(self.broker.journal.on_disk)
        else:
            self.refreshed += 1
        self.broker.begin_copy(anew)
        self.slices = True

    def slice(self) -> None:
        """The next slice is on its way, or will be."""
        assert self.broker is not None
        if self.slices:
            self.broker.journal.copy_slice()

    def ship_slice(self, payload: bytes, part: int, now: float) -> None:
        self.queue.append((0, payload, Rewrite(part), True))
        self.slices = Rewrite(part) not in (Rewrite.END, Rewrite.WHOLE)

    def keep(self) -> None:
        """The first that is on its way is on the disk, and the owner hears of it."""
        assert self.broker is not None
        if not self.queue:
            return
        number, payload, part, is_slice = self.queue.popleft()
        self.card.take_in(payload, part if self.whole else Rewrite.NONE)
        if is_slice:
            self.whole |= part in (Rewrite.END, Rewrite.WHOLE)
        else:
            self.number = number
            self.broker.journal.copied(number)


def restored(card: Card, retained: Card, saved_ms: int, now: float) -> dict[str, Any]:
    """The broker that starts from this disk: its sessions and wills.

    What is `retained` comes from another one: it is on all gateways, and not in a copy made anew.
    """
    clock = MeshClock("g", saved_ms, now)
    broker = Broker(MqttSection(), Nowhere(clock), Random(1), Journal(9_999, clock))
    everywhere = {name: row for name, row in retained.rows.items() if name[0] == RETAINED}
    card.rows = {name: row for name, row in card.rows.items() if name[0] != RETAINED} | everywhere
    card.restore(broker, now)
    state = broker.state
    found: dict[str, Any] = {name: _session(session) for name, session in state.sessions.items()}
    away = {name: round(at, 1) for name, at in state.away.items()}
    wills = {name: (_message(each[1]), round(each[2], 1)) for name, each in state.wills.items()}
    streams = state.streams.rows()
    common = {"written": state.written_away, "streams": streams}
    return {"sessions": found, "away": away, "wills": wills, **common}


def _session(session: Session) -> dict[str, Any]:
    return {
        "is": (session.number, session.expiry_s, session.user),
        "subscriptions": session.subscriptions,
        "unshown": sorted(
            name
            for name in session.subscriptions
            if session.replay is not None and session.replay.is_unshown(name)
        ),
        "inflight": {
            packet_id: delivery and (_message(delivery[0]), *delivery[1:])
            for packet_id, delivery in session.inflight.items()
        },
        "received": dict(session.received_mids),
        "waiting": [(_message(each[0]), *each[1:]) for each in session.backlog],
        "unreleased": {
            packet_id: _message(message) for packet_id, message in session.unreleased.items()
        },
    }


def _message(message: Message) -> tuple[Any, ...]:
    key = (message.mid, message.topic, message.payload, message.qos, message.retain)
    return (*key, message.publisher, message.properties, message.shared)
