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

from gateway.broker.session import Session
from gateway.broker.target import Target
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription

AWAY_S = 5.0  # a client that lost its network is back by then, or is long gone


class Group:
    """The members of one shared subscription; `name` is its whole filter, "$share/Name/Filter"."""

    __slots__ = ("_members", "_next", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._members: dict[Session, Target] = {}
        self._next = 0  # whose turn it is

    def __len__(self) -> int:
        return len(self._members)

    def join(self, session: Session, subscription: Subscription) -> None:
        """A session shares the subscription; what it had granted before is replaced."""
        self._members[session] = Target(session, subscription, self.name)

    def leave(self, session: Session) -> None:
        """The session gets no more of it."""
        del self._members[session]

    def sessions(self) -> Iterator[Session]:
        """Its members, in the order in which they joined."""
        return iter(self._members)

    def is_durable(self) -> bool:
        """Whether a message of QoS 1 or 2 may go to a session that the disk keeps."""
        return any(target.qos and target.session.number for target in self._members.values())

    def choose(
        self, message: Message, but: Session | None = None, here: bool = False
    ) -> Target | None:
        """The member that gets the message; None: nobody can.

        `but` is a member that had it and gives it up. `here`: only a connected one will do.
        """
        members = [each for each in self._members.values() if each.session is not but]
        for turn in range(len(members)):
            at = (self._next + turn) % len(members)
            target = members[at]
            ready = target.session.is_ready(min(target.qos, message.qos))
            if ready and _may_read(target.session, message.topic):
                self._next = at + 1
                return target
        # [MQTT-4.8.2-3]: each at its own QoS; at QoS 0 nothing is kept for it
        waiting = [
            each
            for each in members
            if min(each.qos, message.qos)
            and each.session.backlog.takes(message, min(each.qos, message.qos))
            and (each.session.outbox is not None or not here)
            and _may_read(each.session, message.topic)
        ]
        return min(waiting, key=_load, default=None)


def _may_read(session: Session, topic: str) -> bool:
    return session.rights is None or session.rights.may_read(topic)


def _load(target: Target) -> tuple[bool, int]:
    session = target.session
    return session.outbox is None, session.waiting()
