"""Shared subscriptions, section 4.8.2: of the sessions that share one, each message goes to one.

    a member that is connected and has room     in turn
    else one that can keep it                   the least loaded; a connected one before one that is away
    else                                        nobody: the message is counted as dropped

What a member had not been sent, and what it was sent at QoS 1 and has not acknowledged, goes to others
when its session ends, or when it was away for AWAY_S and another one is here. QoS 2 that was begun stays
with it [MQTT-4.8.2-4], and what it refused is over [MQTT-4.8.2-6]. A group is of this gateway: sessions
elsewhere are another one. Must not know connections, or how routes are found.
"""

from collections.abc import Iterator

from gateway.broker.passage import HERE
from gateway.broker.session import Session
from gateway.broker.target import Target
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription

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
