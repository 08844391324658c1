"""Retained messages for new subscriptions, as fast as the client takes them and no faster.

A replay walks through the store under the subscription's filter. It sends while the client reads, its
window is open and nothing else waits, TURN_BYTES a turn of the loop; so a wildcard over a large store
fills neither outbox nor queue, and costs one pointer for each topic. What is published meanwhile is
delivered at once; what is retained under that topic comes before it, or not at all if it is the same
message. A client that comes back to its session finds the rest. The disk knows of a kept session's
subscription that it is not done: after a restart it begins anew, without what waits for the client
already. Must not know connections, or how SUBSCRIBE is answered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.broker.delivery import deliver_to
from gateway.broker.keeping import keep_subscription
from gateway.broker.retained import Walk
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.broker.target import Target
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription
from gateway.mqtt.tree import TopicTree
from gateway.timers import NO_TIMER

TURN_BYTES = 65_536  # of one session in a turn: others are served in between
FULL_S = 1.0  # until it is looked whether messages may be sent again, when too many wait everywhere
OVERTAKEN_MAX = 10_000  # topics of one walk; beyond that one may be shown once more


@dataclass(slots=True, eq=False)
class _Walk:
    """One subscription's way through the store, as it was when the store's last entry was `serial`."""

    subscription: Subscription
    target: Target
    topics: Walk
    serial: int
    overtaken: set[str] = field(default_factory=set)  # topics not met yet, and no more to be shown
    met: bool = False  # any topic, so that the disk was told that it is not done


class Replay:
    """The walks of one session, one after the other. `Session.replay` while there are any."""

    def __init__(self, broker: BrokerState, session: Session) -> None:
        self._broker = broker
        self._session = session
        self._walks: dict[str, _Walk] = {}
        self._tree: TopicTree[_Walk] = TopicTree()
        self._timer = NO_TIMER  # set while it rests until the next turn

    def add(self, subscription: Subscription, known: Iterable[str] = ()) -> None:
        """A new subscription; one with an equal filter begins anew. `known` topics are left out."""
        topic_filter = subscription.topic_filter
        retained = self._broker.retained
        target = Target(self._session, subscription)
        topics = retained.walk(topic_filter)
        walk = _Walk(subscription, target, topics, retained.serial, set(known))
        if topic_filter in self._walks:
            self._forget(self._walks[topic_filter])
        self._session.room.free(-len(walk.overtaken))
        self._walks[topic_filter] = walk
        self._tree.add(topic_filter, None, walk)

    def advance(self, now: float) -> None:
        """Goes on as far as the client takes it; called whenever that may have changed."""
        if self._timer != NO_TIMER:
            return
        budget = TURN_BYTES
        while self._walks:
            walk = next(iter(self._walks.values()))
            if not self._session.is_ready(walk.target.qos):
                if self._session.outbox is not None and self._session.room.is_full():
                    self._timer = self._broker.timers.set(now + FULL_S, self._due)
                return
            if budget <= 0:
                self._timer = self._broker.timers.set(now, self._due)
                return
            topic = next(walk.topics, None) if self._is_wanted(walk) else None
            if topic is None:
                self._end(walk)
                continue
            entry = self._broker.retained.get(topic)
            assert entry is not None and entry.message is not None, "a tombstone in the tree"
            walk.met = True
            budget -= entry.message.bytes_held()
            if topic not in walk.overtaken:
                self._show(walk, entry.message)
        self._session.replay = None
        self._broker.routes.cache.clear()

    def overtake(self, topic: str) -> None:
        """A message of this topic is about to be delivered."""
        outbox = self._session.outbox
        for walk in self._tree.match(topic):
            entry = self._broker.retained.get(topic)
            if entry is None or entry.message is None or not self._is_wanted(walk):
                continue
            if topic in walk.overtaken or walk.topics.is_past(topic):
                continue
            lost = outbox is None or outbox.congested
            if lost and not min(walk.target.qos, entry.message.qos):
                continue  # neither reaches the client: what is retained still may, later
            self._remember(walk, topic)
            if entry.serial <= walk.serial:
                self._show(walk, entry.message)

    def rest(self) -> None:
        """The client is gone, perhaps for days: as little as possible is kept for it."""
        for walk in self._walks.values():
            walk.topics.rest()

    def give_room(self) -> None:
        """The session is over."""
        for walk in self._walks.values():
            self._forget(walk)

    def _remember(self, walk: _Walk, topic: str) -> None:
        """The topic is dealt with, in a place of the room; without room it may be shown once more."""
        room = self._session.room
        if len(walk.overtaken) >= OVERTAKEN_MAX or room.left() < 0:
            self._forget(walk)
        walk.overtaken.add(topic)
        room.free(-1)

    def _forget(self, walk: _Walk) -> None:
        self._session.room.free(len(walk.overtaken))
        walk.overtaken.clear()

    def _show(self, walk: _Walk, message: Message) -> None:
        session, broker = self._session, self._broker
        if message.expired(broker.now):
            return
        if session.rights is not None and not session.rights.may_read(message.topic):
            return
        if walk.target.no_local and message.publisher == session.client_id:
            return  # [MQTT-3.8.3-3]
        # [MQTT-3.3.1-8 of 3.1.1] [MQTT-3.8.4-8]
        deliver_to(broker, walk.target, message, True)

    def _is_wanted(self, walk: _Walk) -> bool:
        """Whether the subscription is still there, and the same."""
        topic_filter = walk.subscription.topic_filter
        return self._session.subscriptions.get(topic_filter) is walk.subscription

    def _end(self, walk: _Walk) -> None:
        topic_filter = walk.subscription.topic_filter
        self._forget(walk)
        del self._walks[topic_filter]
        self._tree.remove(topic_filter, None)
        if walk.met and self._session.number and self._is_wanted(walk):
            keep_subscription(self._broker.journal, self._session, walk.subscription, None)

    def _due(self, now: float) -> None:
        self._timer = NO_TIMER
        if self._session.replay is self:
            self._broker.at(now)
            self.advance(now)


def replay(broker: BrokerState, session: Session, subscription: Subscription) -> None:
    """Shows what is retained under a subscription that was just answered.

    What the gateway itself has to say there (`$SYS`) is short, and comes at once.
    """
    _begin(broker, session, subscription)
    assert session.replay is not None
    session.replay.advance(broker.now)
    target = Target(session, subscription)
    for message in broker.present(subscription.topic_filter):
        if session.rights is None or session.rights.may_read(message.topic):
            deliver_to(broker, target, message, True)


def replay_again(
    broker: BrokerState, session: Session, subscription: Subscription, known: Iterable[str]
) -> None:
    """After a restart: not all was shown. What waits for the client already is under `known` topics."""
    _begin(broker, session, subscription, known)


def _begin(
    broker: BrokerState, session: Session, subscription: Subscription, known: Iterable[str] = ()
) -> None:
    if session.replay is None:
        session.replay = Replay(broker, session)
        broker.routes.cache.clear()
    assert isinstance(session.replay, Replay)
    session.replay.add(subscription, known)
