"""Where a topic's messages go: the subscriptions of all sessions, and a cache of answers.

A subscription is found through a tree of filters; the answer is cached by topic as it stands on the
wire and dropped when a subscription changes. Must not know connections or what a message says.
"""

from collections.abc import Callable, Iterable, Sequence

from gateway.broker.elsewhere import Elsewhere, Outlet
from gateway.broker.levels import Levels
from gateway.broker.nothing import NOTHING
from gateway.broker.outbox import Outbox
from gateway.broker.session import Session
from gateway.broker.shared import Group, Share
from gateway.broker.target import Target
from gateway.durability import Durability
from gateway.limits import LEVEL_BYTES
from gateway.mqtt.packets import Subscription
from gateway.mqtt.topics import check_topic_name, split_share
from gateway.mqtt.tree import TopicTree

SUBSCRIPTION_BYTES = 350  # beside its levels and its name
ROUTES_MAX = 50_000  # topics; about 500 bytes each. A full cache starts afresh
ROUTED_MAX = 100_000  # subscribers on them, 150 bytes each: 50,000 times 10,000 would fit nowhere
_HIDDEN = b"\0"  # behind a field it makes a key that is none: the short roads do not find the route
TURNS_MAX = 10_000  # groups; then all begin again with the first member
CACHED_BYTES_MAX = 512  # of a topic; real ones have under 200, and 50,000 of 65 kB would be 6 GB


class Route:
    """`live` holds, per dialect, the outboxes for a plain QoS 0 message, or is None; `special` are the
    targets that need a closer look even then, so that they cost the others nothing.

    Plain: not retained, no properties, QoS 0. None: it goes elsewhere, too, or nobody is plain.
    `absent` are those of `elsewhere` that are sessions whose gateway is dead.
    `shared` are groups of the mesh of which one member gets each message. `durable`: a message of QoS 1
    or 2 must reach the disk, for some target is a session that is kept there. `level`: what the answer
    to a client here waits for.
    """

    __slots__ = (
        *("absent", "durable", "elsewhere", "field", "level"),
        *("live", "shared", "special", "targets"),
        "topic",
    )

    def __init__(
        self,
        topic: str,
        field: bytes,
        targets: Sequence[Target],
        elsewhere: Sequence[Outlet],
        shared: Sequence[Share] = (),
        level: Durability = Durability.MESH,
        absent: Sequence[Outlet] = (),
    ) -> None:
        self.topic = topic
        self.level = level
        self.field = field
        self.targets = targets
        self.elsewhere = [*elsewhere, *absent] if absent else elsewhere
        self.absent = absent
        self.shared = shared
        self.durable = any(target.qos and target.session.number for target in targets) or any(
            share.is_durable() for share in shared
        )
        self.durable |= bool(absent)
        self.special: list[Target] = []
        boxes: tuple[list[Outbox], list[Outbox]] = ([], [])
        for target in targets:
            outbox = target.session.outbox
            if not target.is_plain():
                self.special.append(target)
            elif outbox is not None:
                boxes[outbox.dialect].append(outbox)
        plain = len(targets) > len(self.special) or not (self.special or shared)
        self.live = boxes if plain and not elsewhere else None

    def only(self, kept: bool) -> "Route":
        """Of the sessions here those that the disk keeps, or the others; of no group."""
        targets = [target for target in self.targets if bool(target.session.number) is kept]
        return Route(self.topic, self.field, targets, ())

    def promised(self, every_one: bool) -> "Route":
        """Of the sessions here those to which a message of QoS 1 or 2 is delivered whatever happens, for
        they are kept and asked for that, or the others; of no group."""
        targets = [
            target
            for target in self.targets
            if bool(target.session.number and target.qos) is every_one
        ]
        return Route(self.topic, self.field, targets, ())

    def is_wanted(self) -> bool:
        """Whether anybody gets the topic."""
        return bool(self.targets or self.elsewhere or self.shared)


Filed = tuple[Session, Subscription] | Group  # what stands in the tree


class Routes:
    """All subscriptions of a gateway's sessions."""

    def __init__(self, elsewhere: Elsewhere, levels: Levels | None = None) -> None:
        self._levels = levels or Levels()
        self._tree: TopicTree[Filed] = TopicTree()
        self._groups: dict[str, Group] = {}
        self._turns: dict[str, int] = {}  # of groups with members elsewhere
        self._holders: dict[str, int] = {}
        self._elsewhere = elsewhere
        self._names_bytes = 0
        self._routed = 0  # since the cache was empty
        self.absent: Callable[[str], Sequence[Outlet]] = lambda topic: ()
        self.traced: Callable[[str], bool] | None = None  # topics that no short road may find
        self.cache: dict[bytes, Route] = {}

    def filters(self) -> list[str]:
        """Every filter that some session here subscribes to for itself."""
        return list(self._holders)

    def bytes_held(self) -> int:
        """What all subscriptions cost in memory, near enough."""
        return self._tree.nodes * LEVEL_BYTES + self._names_bytes

    def group(self, name: str) -> Group | None:
        """The group of a shared subscription, if a session here shares it."""
        return self._groups.get(name)

    def groups(self) -> Iterable[Group]:
        """The groups that have members here."""
        return self._groups.values()

    def turn(self, name: str) -> int:
        """A number that is one more each time, for a group with members elsewhere."""
        if len(self._turns) >= TURNS_MAX:
            self._turns.clear()
        turn = self._turns[name] = self._turns.get(name, -1) + 1
        return turn

    def shared(self) -> int:
        """Shared subscriptions of all sessions."""
        return sum(len(group) for group in self._groups.values())

    def add(self, session: Session, subscription: Subscription) -> bool:
        """Subscribes, replacing an equal filter; True if the filter is new to this gateway, and not that
        of a shared subscription."""
        name = subscription.topic_filter
        share, topic_filter = split_share(name)
        new = name not in session.subscriptions
        if session.subscriptions is NOTHING:
            session.subscriptions = {}
        session.subscriptions[name] = subscription
        if share:
            if name not in self._groups:
                group = self._groups[name] = Group(name)
                self._tree.add(topic_filter, group, group)
            self._groups[name].join(session, subscription)
        else:
            self._tree.add(topic_filter, session, (session, subscription))
        self.cache.clear()
        if new:
            self._names_bytes += SUBSCRIPTION_BYTES + len(name)
            if not share:
                self._holders[topic_filter] = self._holders.get(topic_filter, 0) + 1
        return new and not share and self._holders[topic_filter] == 1

    def remove(self, session: Session, name: str) -> bool:
        """Unsubscribes; True if no session here has the filter any more, which is not a shared one."""
        del session.subscriptions[name]
        self._names_bytes -= SUBSCRIPTION_BYTES + len(name)
        share, topic_filter = split_share(name)
        # [MQTT-3.10.4-2] [MQTT-3.10.4-3]
        if not share:
            self._tree.remove(topic_filter, session)
        else:
            group = self._groups[name]
            group.leave(session)
            if not len(group):
                del self._groups[name]
                self._tree.remove(topic_filter, group)
        self.cache.clear()
        if share:
            return False
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
        if route is None and self.traced is not None:
            route = self.cache.get(field + _HIDDEN)
        if route is None:
            topic = field[2:].decode()
            check_topic_name(topic)
            route = self._build(topic, field)
            if len(field) > CACHED_BYTES_MAX or topic.startswith(("$SYS", "$share/")):
                return route  # no client may publish there (`reserved`): there is no short road
            if len(self.cache) >= ROUTES_MAX or self._routed >= ROUTED_MAX:
                self.cache.clear()
            if not self.cache:
                self._routed = 0
            self._routed += len(route.targets)
            traced = self.traced is not None and self.traced(topic)
            self.cache[field + _HIDDEN if traced else field] = route
        return route

    def _build(self, topic: str, field: bytes) -> Route:
        targets: dict[Session, Target] = {}
        groups: dict[str, Group] = {}
        # [MQTT-3.3.2-3] [MQTT-4.5.0-1]
        for filed in self._tree.match(topic):
            if isinstance(filed, Group):
                groups[filed.name] = filed
                continue
            session, subscription = filed
            if session.rights is not None and not session.rights.may_read(topic):
                continue
            if session in targets:
                targets[session].widen(subscription)
            else:
                targets[session] = Target(session, subscription)
        far = self._elsewhere.shared(topic)
        names = [*groups, *(name for name in far if name not in groups)]
        shares = [Share(name, groups.get(name), far.get(name, ())) for name in names]
        interested = self._elsewhere.interested(topic)
        level, absent = self._levels.of(topic), self.absent(topic)
        return Route(topic, field, list(targets.values()), interested, shares, level, absent)
