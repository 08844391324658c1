"""SUBSCRIBE and UNSUBSCRIBE.

SUBACK leaves when every live gateway knows the subscription, so that what anybody publishes anywhere
after it is seen. Must not know peers or how routes are found.
"""

from gateway.broker.connection import Connection, State
from gateway.broker.delivery import deliver_to
from gateway.broker.keeping import forget_subscription, keep_subscription
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.limits import SUBSCRIPTIONS_MAX
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Packet, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket

NEW_ONLY = 1  # retain handling, section 3.8.3.1
NEVER = 2


def on_subscribe(connection: Connection, packet: Packet) -> None:
    """SUBSCRIBE, section 3.8."""
    assert isinstance(packet, Subscribe)
    session = connection.session
    assert session is not None, "open without a session"
    broker = connection.broker
    ticket = Ticket(lambda: _say(connection, answer, session, replay), connection.unkept)
    ticket.hold()
    reasons: list[Reason] = []
    replay: list[Subscription] = []
    # [MQTT-3.8.4-5]
    for subscription in packet.subscriptions:
        reason = _refusal(broker, session, packet, subscription)
        if reason is Reason.NOT_AUTHORIZED:
            broker.vitals.subscriptions_refused_by_rule += 1
        if reason is None:
            new = subscription.topic_filter not in session.subscriptions
            subscribe(broker, session, subscription, ticket)
            # [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
            if subscription.retain_handling < (NEVER if new else NEW_ONLY):
                replay.append(subscription)
            reason = Reason(subscription.qos)
        reasons.append(reason)
    # [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
    answer = encode(SubAck(packet.packet_id, tuple(reasons)), connection.version)
    broker.elsewhere.hold_until_known(ticket, broker.now)
    ticket.release()


def on_unsubscribe(connection: Connection, packet: Packet) -> None:
    """UNSUBSCRIBE, section 3.10."""
    assert isinstance(packet, Unsubscribe)
    session = connection.session
    assert session is not None, "open without a session"
    ticket = Ticket(lambda: _unsuback(connection, answer), connection.unkept)
    ticket.hold()
    reasons: list[Reason] = []
    for topic_filter in packet.topic_filters:
        # [MQTT-3.10.4-1]
        if topic_filter in session.subscriptions:
            unsubscribe(connection.broker, session, topic_filter, ticket)
            reasons.append(Reason.SUCCESS)
        else:
            reasons.append(Reason.NO_SUBSCRIPTION_EXISTED)
            if session.number:  # perhaps it ended a moment ago
                connection.broker.journal.wait(ticket)
    # [MQTT-2.2.1-6] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1]
    answer = encode(UnsubAck(packet.packet_id, tuple(reasons)), connection.version)
    ticket.release()


def subscribe(
    broker: BrokerState, session: Session, subscription: Subscription, ticket: Ticket | None
) -> None:
    """Adds a subscription, or replaces the one with an equal filter [MQTT-3.8.4-3].

    The ticket is held until the disk has it, if it keeps the session.
    """
    if session.number:
        keep_subscription(broker.journal, session, subscription, ticket)
    if broker.routes.add(session, subscription):
        broker.elsewhere.subscribed(subscription.topic_filter)


def unsubscribe(
    broker: BrokerState, session: Session, topic_filter: str, ticket: Ticket | None = None
) -> None:
    """Ends a subscription that the session has; the ticket is held as for `subscribe`."""
    if session.number:
        forget_subscription(broker.journal, session, topic_filter, ticket)
    if broker.routes.remove(session, topic_filter):
        broker.elsewhere.unsubscribed(topic_filter)


def _refusal(
    broker: BrokerState, session: Session, packet: Subscribe, subscription: Subscription
) -> Reason | None:
    if subscription.topic_filter.startswith("$share/"):
        return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    if packet.properties.subscription_identifiers:
        return Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
    rights = session.rights
    if rights is not None and not rights.may_subscribe(subscription.topic_filter):
        return Reason.NOT_AUTHORIZED
    if session.number and broker.journal.refusing:
        broker.vitals.refused_disk += 1
        return Reason.QUOTA_EXCEEDED
    full = len(session.subscriptions) >= SUBSCRIPTIONS_MAX
    if full and subscription.topic_filter not in session.subscriptions:
        return Reason.QUOTA_EXCEEDED
    return None


def _unsuback(connection: Connection, answer: bytes) -> None:
    if connection.state is State.OPEN:
        connection.outbox.send(answer)


def _say(
    connection: Connection, answer: bytes, session: Session, replay: list[Subscription]
) -> None:
    """SUBACK, and behind it what is retained under the new filters."""
    broker = connection.broker
    if connection.state is not State.OPEN:
        return
    connection.outbox.send(answer)
    for subscription in replay:
        if session.subscriptions.get(subscription.topic_filter) is not subscription:
            continue  # ended, or replaced, while this waited
        for message in broker.retained.matching(subscription.topic_filter):
            unseen = session.rights is not None and not session.rights.may_read(message.topic)
            if not (unseen or message.expired(broker.now)):
                # [MQTT-3.3.1-8 of 3.1.1] [MQTT-3.8.4-8]
                deliver_to(broker, session, message, min(message.qos, subscription.qos), True)
        for message in broker.present(subscription.topic_filter):
            if session.rights is None or session.rights.may_read(message.topic):
                deliver_to(broker, session, message, 0, True)
