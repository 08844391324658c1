"""Where a topic's messages go: the subscriptions of all sessions, and a cache of answers.

A subscription is found through a tree of filters; the answer is cached by topic as it stands on the
wire and dropped when a subscription changes. Must not know connections or what a message says.
"""

from collections.abc import Callable, Sequence

from gateway.broker.elsewhere import Outlet
from gateway.broker.outbox import Outbox
from gateway.broker.session import Session
from gateway.mqtt.packets import Subscription
from gateway.mqtt.topics import check_topic_name
from gateway.mqtt.tree import TopicTree

ROUTES_MAX = 50_000  # topics; about 500 bytes each. A full cache starts afresh
CACHED_BYTES_MAX = 512  # of a topic; real ones have under 200, and 50,000 of 65 kB would be 6 GB


class Target:
    """One session that gets a topic, with what its subscriptions grant."""

    __slots__ = ("no_local", "qos", "retain_as_published", "session")

    def __init__(self, session: Session, subscription: Subscription) -> None:
        self.session = session
        self.qos = subscription.qos
        self.no_local = subscription.no_local
        self.retain_as_published = subscription.retain_as_published

    def widen(self, subscription: Subscription) -> None:
        """Another filter of the same session matches: one copy, at the highest QoS (3.3.4)."""
        # [MQTT-3.3.4-2]
        self.qos = max(self.qos, subscription.qos)
        self.no_local = self.no_local and subscription.no_local
        self.retain_as_published |= subscription.retain_as_published


class Route:
    """`live` holds, per dialect, the outboxes for a plain QoS 0 message, or is None.

    Plain: not retained, no properties, QoS 0. None: some target needs a closer look. `durable`: a
    message of QoS 1 or 2 must reach the disk, for some target is a session that is kept there.
    """

    __slots__ = ("durable", "elsewhere", "field", "live", "targets", "topic")

    def __init__(
        self, topic: str, field: bytes, targets: Sequence[Target], elsewhere: Sequence[Outlet]
    ) -> None:
        self.topic = topic
        self.field = field
        self.targets = targets
        self.elsewhere = elsewhere
        self.durable = any(target.qos and target.session.number for target in targets)
        self.live: tuple[list[Outbox], list[Outbox]] | None = _live(targets, elsewhere)


def _live(
    targets: Sequence[Target], elsewhere: Sequence[Outlet]
) -> tuple[list[Outbox], list[Outbox]] | None:
    boxes: tuple[list[Outbox], list[Outbox]] = ([], [])
    for target in targets:
        outbox = target.session.outbox
        if target.no_local or (outbox and (outbox.congested or outbox.packet_bytes_max)):
            return None
        if outbox is not None:
            boxes[outbox.dialect].append(outbox)
    return None if elsewhere else boxes


class Routes:
    """All subscriptions of a gateway's sessions."""

    def __init__(self, interested: Callable[[str], Sequence[Outlet]]) -> None:
        self._tree: TopicTree[tuple[Session, Subscription]] = TopicTree()
        self._holders: dict[str, int] = {}
        self._interested = interested
        self.cache: dict[bytes, Route] = {}

    def filters(self) -> list[str]:
        """Every filter that some session here subscribes to."""
        return list(self._holders)

    def add(self, session: Session, subscription: Subscription) -> bool:
        """Subscribes, replacing an equal filter; True if the filter is new to this gateway."""
        topic_filter = subscription.topic_filter
        new = topic_filter not in session.subscriptions
        session.subscriptions[topic_filter] = subscription
        self._tree.add(topic_filter, session, (session, subscription))
        self.cache.clear()
        if new:
            self._holders[topic_filter] = self._holders.get(topic_filter, 0) + 1
        return new and self._holders[topic_filter] == 1

    def remove(self, session: Session, topic_filter: str) -> bool:
        """Unsubscribes; True if no session here has the filter any more."""
        del session.subscriptions[topic_filter]
        # [MQTT-3.10.4-2] [MQTT-3.10.4-3]
        self._tree.remove(topic_filter, session)
        self.cache.clear()
        self._holders[topic_filter] -= 1
        if self._holders[topic_filter]:
            return False
        del self._holders[topic_filter]
        return True

    def find(self, field: bytes) -> Route:
        """The route of a topic in its wire form; raises ProtocolError for what is no topic name.

        What the caller gives comes from the codec, so it is well-formed UTF-8.
        """
        route = self.cache.get(field)
        if route is None:
            topic = field[2:].decode()
            check_topic_name(topic)
            route = self._build(topic, field)
            if len(field) > CACHED_BYTES_MAX or topic.startswith("$SYS"):
                return route  # to what is the broker's own there is no short road
            if len(self.cache) >= ROUTES_MAX:
                self.cache.clear()
            self.cache[field] = route
        return route

    def _build(self, topic: str, field: bytes) -> Route:
        targets: dict[Session, Target] = {}
        # [MQTT-3.3.2-3] [MQTT-4.5.0-1]
        for session, subscription in self._tree.match(topic):
            if session.rights is not None and not session.rights.may_read(topic):
                continue
            if session in targets:
                targets[session].widen(subscription)
            else:
                targets[session] = Target(session, subscription)
        return Route(topic, field, list(targets.values()), self._interested(topic))
