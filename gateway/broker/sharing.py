"""What a session has of shared subscriptions and cannot use: to another member (`shared.py`).

A session that ended gives all up; one whose client is away does so after AWAY_S, and only to members
that are connected, for it may be back. Must not know connections.
"""

from gateway.broker.delivery import deliver_to
from gateway.broker.session import Session
from gateway.broker.shared import AWAY_S
from gateway.broker.state import BrokerState
from gateway.mqtt.message import Message
from gateway.mqtt.topics import split_share
from gateway.timers import NO_TIMER


def left(broker: BrokerState, session: Session) -> None:
    """The client of a session that stays is gone."""
    broker.timers.drop(broker.silent.pop(session, NO_TIMER))  # it never came, as far as CONNACK
    if _names(session):
        due = broker.now + AWAY_S
        broker.silent[session] = broker.timers.set(due, lambda now: _is_away(broker, session, now))


def came(broker: BrokerState, session: Session) -> None:
    """The session can take messages: its client is here."""
    broker.timers.drop(broker.silent.pop(session, NO_TIMER))
    for name in _names(session):
        joined(broker, name)


def joined(broker: BrokerState, name: str) -> None:
    """A session that can take messages shares this subscription."""
    group = broker.routes.group(name)
    assert group is not None, "a group without its members"
    for member in list(group.sessions()):
        if broker.silent.get(member) == NO_TIMER:
            _pass_on(broker, member)


def ended(broker: BrokerState, session: Session) -> None:
    """The session is over, and in no group any more."""
    broker.timers.drop(broker.silent.pop(session, NO_TIMER))
    for message, sent in _waiting(session):
        if not _give(broker, message, session, sent, here=False):
            broker.vitals.dropped_shared += 1


def _is_away(broker: BrokerState, session: Session, now: float) -> None:
    broker.at(now)
    broker.silent[session] = NO_TIMER
    _pass_on(broker, session)


def _pass_on(broker: BrokerState, session: Session) -> None:
    given = {
        message
        for message, sent in _waiting(session)
        if _give(broker, message, session, sent, here=True)
    }
    if given:
        session.take_back(given)


def _waiting(session: Session) -> list[tuple[Message, bool]]:
    """What it has of shared subscriptions and another may get, oldest first; whether it was sent.

    QoS 2 that was sent stays [MQTT-4.8.2-4], [MQTT-4.8.2-5].
    """
    found: list[tuple[Message, bool]] = []
    for packet_id, delivery in session.inflight.items():
        if delivery is not None and delivery[0].shared:
            sent = packet_id not in session.unsent
            if not sent or delivery[1] == 1:
                found.append((delivery[0], sent))
    for waiting in session.backlog.line:
        if waiting[0].shared and (len(waiting) == 3 or waiting[1] == 1):
            found.append((waiting[0], len(waiting) == 4))
    return found


def _give(broker: BrokerState, message: Message, session: Session, sent: bool, here: bool) -> bool:
    """Whether another member could be given the message, or it has expired."""
    if message.expired(broker.now):
        return True
    group = broker.routes.group(message.shared)
    target = None if group is None else group.choose(message, session, here)
    if target is None:
        return False
    broker.vitals.shared_again += sent
    deliver_to(broker, target, message, message.retain and target.retain_as_published)
    return True


def _names(session: Session) -> list[str]:
    return [name for name in session.subscriptions if split_share(name)[0]]
