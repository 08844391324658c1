"""What a session has of shared subscriptions and cannot use: to another member (`shared.py`).

A session that ended gives all up; one whose client is away does so after AWAY_S, and only to members
that are connected, for it may be back. Must not know connections.
"""

from collections.abc import Callable

from gateway.broker.delivery import deliver_to, is_elsewhere, pass_on
from gateway.broker.session import Session
from gateway.broker.shared import AWAY_S
from gateway.broker.state import BrokerState
from gateway.broker.target import Target
from gateway.mqtt.message import Message
from gateway.mqtt.topics import split_share
from gateway.tickets import Ticket
from gateway.timers import NO_TIMER


def left(broker: BrokerState, session: Session) -> None:
    """The client of a session that stays is gone."""
    broker.timers.drop(broker.silent.pop(session, NO_TIMER))  # it never came, as far as CONNACK
    _tell(broker, session)
    if _names(session):
        due = broker.now + AWAY_S
        broker.silent[session] = broker.timers.set(due, lambda now: _is_away(broker, session, now))


def came(broker: BrokerState, session: Session) -> None:
    """The session can take messages: its client is here."""
    broker.timers.drop(broker.silent.pop(session, NO_TIMER))
    _tell(broker, session)
    for name in _names(session):
        joined(broker, name)


def joined(broker: BrokerState, name: str) -> None:
    """A session that can take messages shares this subscription, here or elsewhere."""
    group = broker.routes.group(name)
    if group is None:
        return
    for member in list(group.sessions()):
        if broker.silent.get(member) == NO_TIMER:
            _hand_over(broker, member, over=False)


def ended(broker: BrokerState, session: Session) -> None:
    """The session is over, and in no group any more."""
    broker.timers.drop(broker.silent.pop(session, NO_TIMER))
    _hand_over(broker, session, over=True)


def _is_away(broker: BrokerState, session: Session, now: float) -> None:
    broker.at(now)
    broker.silent[session] = NO_TIMER
    _hand_over(broker, session, over=False)


def _hand_over(broker: BrokerState, session: Session, over: bool) -> None:
    """Gives what the session cannot use to other members; if it is not over, to connected ones only."""
    vitals = broker.vitals
    given: set[Message] = set()
    later: list[Message] = []
    full: set[str] = set()  # groups that take no more
    for message, sent in _waiting(session):
        name = message.shared
        if message.expired(broker.now):
            if not sent:
                vitals.dropped_expired += 1
                given.add(message)
            continue
        target = None if name in full else _member_here(broker, message, session, over)
        if target is not None:
            if session.number and not target.session.number and min(message.qos, target.qos) == 2:
                later.append(message)
            else:
                retain = message.retain and target.retain_as_published
                deliver_to(broker, target, message, retain, _waits_for(broker, message))
        elif name not in full and is_elsewhere(broker, message, name, over):
            if session.number and message.qos == 2:
                later.append(message)
            else:
                pass_on(broker, message, name, over, _waits_for(broker, message))
        else:
            full.add(name)
            if broker.routes.group(name) is not None:
                vitals.dropped_shared += over  # else as if it had not been shared: all are gone
            continue
        given.add(message)
        vitals.shared_again += sent
    if not over:
        session.take_back(given)
    if later:
        _give_later(broker, later)


def _member_here(
    broker: BrokerState, message: Message, but: Session | None, away: bool
) -> Target | None:
    """A member here, `but` not this one, that gets it: a connected one, or, if `away` will do and nobody
    is connected at other gateways either, one that is away."""
    group = broker.routes.group(message.shared)
    if group is None:
        return None
    target = group.choose(message, but, here=True)
    if target is None and away and not is_elsewhere(broker, message, message.shared, False):
        target = group.choose(message, but)
    return target


def _waits_for(broker: BrokerState, message: Message) -> Callable[[], Ticket] | None:
    """Who waits for the disk because of this message, waits for it at its new place."""
    ticket = broker.journal.ticket_of(message.mid)
    return None if ticket is None else lambda: ticket


def _give_later(broker: BrokerState, messages: list[Message]) -> None:
    """Gives these to members when the disk knows that they are no longer the session's that had them.

    Else a crash gives them back to it, after a session that a crash ends has had them at QoS 2.
    """

    def give(why: str = "") -> None:
        for message in messages:
            target = _member_here(broker, message, None, True)
            if target is None:
                pass_on(broker, message, message.shared, True)
            else:
                deliver_to(broker, target, message, message.retain and target.retain_as_published)

    ticket = Ticket(give, give)
    ticket.hold()
    broker.journal.wait(ticket)
    ticket.release()


def _waiting(session: Session) -> list[tuple[Message, bool]]:
    """What it has of shared subscriptions and another may get, oldest first; whether it was sent.

    [MQTT-4.8.2-4]: not what was sent at QoS 2.
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


def _tell(broker: BrokerState, session: Session) -> None:
    for name in _names(session):
        broker.elsewhere.group_changed(name)


def _names(session: Session) -> list[str]:
    return [name for name in session.subscriptions if split_share(name)[0]]
