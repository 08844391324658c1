"""Shared subscriptions, section 4.8.2: of the sessions that share one, each message goes to one.

    a member that is connected and has room     in turn
    else one that can keep it                   the least loaded; a connected one before one that is away
    else                                        nobody: the message is counted as dropped

What a member had not been sent, and what it was sent at QoS 1 and has not acknowledged, goes to others
when its session ends, or when it was away for AWAY_S and another one is here. QoS 2 that was begun stays
with it [MQTT-4.8.2-4], and what it refused is over [MQTT-4.8.2-6]. A group is of this gateway. Where
others have members, too, the gateway that takes a message chooses first which one it goes to: each
member counts alike there, connected ones before those that are away. Must not know connections, or how
routes are found.
"""

from collections.abc import Iterator, Sequence

from gateway.broker.elsewhere import Far, Outlet
from gateway.broker.passage import HERE
from gateway.broker.session import Session
from gateway.broker.target import Target
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription

MOVES_MAX = 3  # of a message, from one gateway to another that has a member: then it is dropped
AWAY_S = 5.0  # a client that lost its network is back by then, or is long gone


class Group:
    """The members of one shared subscription; `name` is its whole filter, "$share/Name/Filter"."""

    __slots__ = ("_members", "_next", "_ring", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._members: dict[Session, Target] = {}
        self._ring: list[Target] = []  # the same, in turn
        self._next = 0  # whose turn it is

    def __len__(self) -> int:
        return len(self._members)

    def join(self, session: Session, subscription: Subscription) -> None:
        """A session shares the subscription; what it had granted before is replaced."""
        self._members[session] = Target(session, subscription, self.name)
        self._ring = list(self._members.values())

    def leave(self, session: Session) -> None:
        """The session gets no more of it."""
        del self._members[session]
        self._ring = list(self._members.values())

    def sessions(self) -> Iterator[Session]:
        """Its members, in the order in which they joined."""
        return iter(self._members)

    def counts(self) -> tuple[int, int]:
        """How many members are connected, and how many are away."""
        here = sum(target.session.outbox is not None for target in self._ring)
        return here, len(self._ring) - here

    def is_here(self) -> bool:
        """Whether a member is connected."""
        return any(target.session.outbox is not None for target in self._ring)

    def is_durable(self) -> bool:
        """Whether a message of QoS 1 or 2 may go to a session that the disk keeps."""
        return any(target.qos and target.session.number for target in self._ring)

    def choose(
        self,
        message: Message,
        but: Session | None = None,
        here: bool = False,
        origin: str = HERE,
    ) -> Target | None:
        """The member that gets the message, which a client of the gateway `origin` published; None:
        nobody can.

        `but` is a member that had it and gives it up. `here`: only a connected one will do.
        """
        ring, count = self._ring, len(self._ring)
        waiting: list[tuple[bool, int, int]] = []
        for turn in range(self._next, self._next + count):
            at = turn % count
            target, session = ring[at], ring[at].session
            qos = min(target.qos, message.qos)  # [MQTT-4.8.2-3]
            if session is but or not _may_read(session, message.topic):
                continue
            if session.passage is not None and origin in session.passage.barred:
                continue
            if session.is_ready(qos):
                self._next = at + 1
                return target
            away = session.outbox is None
            # at QoS 0 nothing is kept for it
            if qos and not (away and here) and session.backlog.takes(message, qos):
                waiting.append((away, session.waiting(), turn))
        if not waiting:
            return None
        at = min(waiting)[2] % count
        self._next = at + 1
        return ring[at]


def _may_read(session: Session, topic: str) -> bool:
    return session.rights is None or session.rights.may_read(topic)


class Share:
    """A shared subscription of the whole mesh, as a route has it: the group here, if there is one, and
    the members elsewhere."""

    __slots__ = ("_counts", "far", "group", "name")

    def __init__(self, name: str, group: Group | None, far: Sequence[Far]) -> None:
        self.name = name
        self.group = group
        self.far = far
        self._counts = (0, 0) if group is None or not far else group.counts()

    def is_durable(self) -> bool:
        """Whether a message of QoS 1 or 2 may go to a session here that the disk keeps."""
        return self.group is not None and self.group.is_durable()

    def place(self, turn: int) -> Outlet | None:
        """Which gateway this message goes to; None: it stays here."""
        return _chosen(turn, self._counts, self.far, True)


def elsewhere(far: Sequence[Far], turn: int, away: bool) -> Outlet | None:
    """Another gateway with a connected member, or, if `away` will do, with one that is away."""
    return _chosen(turn, (0, 0), far, away)


def _chosen(turn: int, own: tuple[int, int], far: Sequence[Far], away: bool) -> Outlet | None:
    """Where the member is whose turn it is, of all that can be reached; None: here, or nowhere."""
    reachable = [each for each in far if each[0].reachable()]
    at = _whose(turn, own[0], [here for _, here, _ in reachable])
    if at is None and away:
        at = _whose(turn, own[1], [gone for _, _, gone in reachable])
    return reachable[at - 1][0] if at else None


def _whose(turn: int, own: int, others: Sequence[int]) -> int | None:
    """Where the member is whose turn it is, of all in a row: 0 here, else the number of the gateway;
    None: there is no member."""
    counts = [own, *others]
    total = sum(counts)
    if not total:
        return None
    at = turn % total
    for place, count in enumerate(counts):
        if at < count:
            return place
        at -= count
    raise AssertionError("the turn is beyond the last member")
