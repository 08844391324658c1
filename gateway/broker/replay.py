"""Retained messages for new subscriptions, as fast as the client takes them and no faster.

A replay walks through the store under the subscription's filter. It sends while the client reads, its
window is open and nothing else waits, a slice in a turn of the loop; so a wildcard over a large store
fills neither outbox nor backlog, and stops nobody. What is published meanwhile is delivered at once;
what is retained under that topic comes before it, or not at all if it is the same message. A client that
comes back to its session finds the rest. The disk knows of a kept session's subscription that it is not
done: after a restart it begins anew, without what waits for the client already. Must not know
connections, or how SUBSCRIBE is answered.
"""

from collections.abc import Iterable, Iterator
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

LEVEL_BYTES = 32  # looking at one level of a topic takes as long as sending so much
FULL_S = 1.0  # until it is looked whether messages may be sent again, when too many wait everywhere
OVERTAKEN_MAX = 10_000  # topics of one walk; beyond that one may be shown once more


@dataclass(slots=True, eq=False)
class _Walk:
    """One subscription's way through the store, as it was when the store's last entry was `serial`."""

    topic_filter: str
    target: Target
    topics: Walk
    serial: int
    kept: bool  # the disk knows that it is not done
    overtaken: set[str] = field(default_factory=set)  # topics not met yet, and no more to be shown


class Replay:
    """The walks of one session, one after the other. `Session.replay` while there are any.

    One whose SUBACK has not left yet is `_held`.
    """

    def __init__(self, broker: BrokerState, session: Session) -> None:
        self._broker = broker
        self._session = session
        self._held: dict[str, _Walk] = {}
        self._walks: dict[str, _Walk] = {}
        self._tree: TopicTree[_Walk] = TopicTree()
        self._rests = False  # until a later turn

    def add(self, subscription: Subscription, known: Iterable[str] = ()) -> None:
        """A new subscription, which is not answered yet; one with an equal filter begins anew.

        `known` topics are left out.
        """
        topic_filter = subscription.topic_filter
        session, retained = self._session, self._broker.retained
        topics = retained.walk(topic_filter)
        target, kept = Target(session, subscription), bool(session.number)
        walk = _Walk(topic_filter, target, topics, retained.serial, kept, set(known))
        session.room.free(-len(walk.overtaken))
        self._drop(topic_filter)
        self._held[topic_filter] = walk
        self._tree.add(topic_filter, None, walk)

    def replaced(self, subscription: Subscription) -> None:
        """The subscription is another one now, under which nothing retained is asked for anew."""
        walk = self._find(subscription.topic_filter)
        if walk is not None:
            walk.target = Target(self._session, subscription)

    def is_unshown(self, topic_filter: str) -> bool:
        """Whether the disk is to know that not all is shown under the subscription."""
        walk = self._find(topic_filter)
        return walk is not None and walk.kept

    def begin(self, topic_filter: str) -> None:
        """The subscription was answered; `advance` is to follow."""
        if topic_filter in self._held:
            self._walks[topic_filter] = self._held.pop(topic_filter)

    def rest(self) -> None:
        """The client is gone, perhaps for days: as little as possible is kept for it.

        What it was not told is not to be waited for.
        """
        self._walks |= self._held
        self._held.clear()
        for walk in self._walks.values():
            walk.topics.rest()

    def end(self, topic_filter: str) -> None:
        """The subscription is over, or all of it is shown."""
        self._drop(topic_filter)
        if not (self._walks or self._held):
            self._session.replay = None
            self._broker.routes.cache.clear()

    def give_room(self) -> None:
        """The session is over."""
        for walk in self.walks():
            self._forget(walk)

    def walks(self) -> Iterator[_Walk]:
        """All of them; each topic that one remembers is a place in the room."""
        yield from self._walks.values()
        yield from self._held.values()

    def advance(self, now: float) -> None:
        """Goes on as far as the client takes it; called whenever that may have changed."""
        if self._rests:
            return
        slices = self._broker.slices
        budget = left = slices.budget()
        while self._walks:
            walk = next(iter(self._walks.values()))
            if not self._session.is_ready(walk.target.qos):
                if self._session.outbox is not None and self._session.room.is_full():
                    self._rests = True
                    self._broker.timers.set(now + FULL_S, self._due)
                break
            if left <= 0:
                self._rests = True
                slices.wait(self._due, now)
                break
            left -= self._step(walk)
        if left < budget:
            slices.spent(budget - left, now)

    def _step(self, walk: _Walk) -> int:
        """Goes on to the next topic, or some way towards it; returns what that was worth, in bytes."""
        before = walk.topics.looked
        topic = next(walk.topics, None)
        cost = (walk.topics.looked - before) * LEVEL_BYTES
        if topic is None:
            self._is_done(walk)
        elif topic:
            entry = self._broker.retained.get(topic)
            assert entry is not None and entry.message is not None, "a tombstone in the tree"
            cost += entry.message.bytes_held()
            if topic not in walk.overtaken:
                self._show(walk, entry.message)
        return cost

    def overtake(self, topic: str) -> None:
        """A message of this topic is about to be delivered."""
        outbox, backlog = self._session.outbox, self._session.backlog
        for walk in self._tree.match(topic):
            entry = self._broker.retained.get(topic)
            if entry is None or entry.message is None:
                continue
            if topic in walk.overtaken or walk.topics.is_past(topic):
                continue
            lost = outbox is None or outbox.congested
            if lost and not backlog.keeps_plain and not min(walk.target.qos, entry.message.qos):
                continue  # neither reaches the client: what is retained still may, later
            self._remember(walk, topic)
            if entry.serial <= walk.serial:
                self._show(walk, entry.message)

    def _is_done(self, walk: _Walk) -> None:
        subscription = self._session.subscriptions[walk.topic_filter]
        if walk.kept:
            keep_subscription(self._broker.journal, self._session, subscription, None)
        self.end(walk.topic_filter)

    def _find(self, topic_filter: str) -> _Walk | None:
        return self._walks.get(topic_filter) or self._held.get(topic_filter)

    def _drop(self, topic_filter: str) -> None:
        walk = self._walks.pop(topic_filter, None) or self._held.pop(topic_filter, None)
        if walk is not None:
            self._forget(walk)
            self._tree.remove(topic_filter, None)

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
        if walk.target.picky and message.publisher == session.client_id:
            return  # [MQTT-3.8.3-3]
        # [MQTT-3.3.1-8 of 3.1.1] [MQTT-3.8.4-8]
        deliver_to(broker, walk.target, message, True)

    def _due(self, now: float) -> None:
        self._rests = False
        if self._session.replay is self:
            self._broker.at(now)
            self.advance(now)


def prepare(
    broker: BrokerState, session: Session, subscription: Subscription, known: Iterable[str] = ()
) -> None:
    """What is retained under a new subscription is to be shown once it is answered."""
    topic_filter = subscription.topic_filter
    if next(broker.retained.walk(topic_filter), None) is None:
        if session.replay is not None:
            session.replay.end(topic_filter)
        return
    if session.replay is None:
        session.replay = Replay(broker, session)
        broker.routes.cache.clear()
    assert isinstance(session.replay, Replay)
    session.replay.add(subscription, known)


def replay_again(
    broker: BrokerState, session: Session, subscription: Subscription, known: Iterable[str]
) -> None:
    """After a restart: not all was shown. What waits for the client already is under `known` topics."""
    prepare(broker, session, subscription, known)
    if session.replay is not None:
        session.replay.rest()


def begin(broker: BrokerState, session: Session, topic_filters: Iterable[str]) -> None:
    """These subscriptions were answered: what is retained follows, if they have not ended meanwhile.

    What the gateway itself has to say there (`$SYS`) is short, and comes at once.
    """
    for topic_filter in topic_filters:
        if session.replay is not None:
            session.replay.begin(topic_filter)
        subscription = session.subscriptions.get(topic_filter)
        if subscription is not None:
            _say_own(broker, session, subscription)
    if session.replay is not None:
        session.replay.advance(broker.now)


def _say_own(broker: BrokerState, session: Session, subscription: Subscription) -> None:
    target = Target(session, subscription)
    for message in broker.present(subscription.topic_filter):
        if session.rights is None or session.rights.may_read(message.topic):
            deliver_to(broker, target, message, True)
