"""SUBSCRIBE and UNSUBSCRIBE.

SUBACK leaves when every live gateway knows the subscription, so that what anybody publishes anywhere
after it is seen. Must not know peers or how routes are found.
"""

from dataclasses import replace

from gateway.broker.answers import worded
from gateway.broker.connection import Connection, State
from gateway.broker.keeping import forget_subscription, keep_subscription
from gateway.broker.replay import begin, prepare
from gateway.broker.session import Session
from gateway.broker.sharing import joined
from gateway.broker.state import BrokerState
from gateway.errors import ProtocolError
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Packet, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe
from gateway.mqtt.reasons import Reason
from gateway.mqtt.topics import split_share
from gateway.tickets import Ticket

NEW_ONLY = 1  # retain handling, section 3.8.3.1
NEVER = 2


def on_subscribe(connection: Connection, packet: Packet) -> None:
    """SUBSCRIBE, section 3.8."""
    assert isinstance(packet, Subscribe)
    session = connection.session
    assert session is not None, "open without a session"
    broker = connection.broker
    ticket = Ticket(lambda: _say(connection, answer, session, shown), connection.unkept)
    ticket.hold()
    _check_size(connection, SubAck(packet.packet_id, (Reason.SUCCESS,) * len(packet.subscriptions)))
    identifier = next(iter(packet.properties.subscription_identifiers), 0)
    reasons: list[Reason] = []
    why: dict[str, None] = {}
    shown: list[str] = []
    # [MQTT-3.8.4-5]
    for asked in packet.subscriptions:
        subscription = replace(asked, identifier=identifier) if identifier else asked
        refused = _refusal(broker, session, subscription)
        if refused is not None:
            reasons.append(refused[0])
            why[refused[1]] = None
            continue
        new = subscription.topic_filter not in session.subscriptions
        # [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
        shared = split_share(subscription.topic_filter)[0]  # what is retained is not for groups
        if not shared and subscription.retain_handling < (NEVER if new else NEW_ONLY):
            shown.append(subscription.topic_filter)
            prepare(broker, session, subscription)
        elif session.replay is not None:
            session.replay.replaced(subscription)
        subscribe(broker, session, subscription, ticket)
        reasons.append(Reason(subscription.qos))
    # [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
    suback = SubAck(packet.packet_id, tuple(reasons))
    answer = worded(suback, ", ".join(why), connection.wishes, connection.outbox)
    broker.elsewhere.hold_until_known(ticket, broker.now)
    ticket.release()


def on_unsubscribe(connection: Connection, packet: Packet) -> None:
    """UNSUBSCRIBE, section 3.10."""
    assert isinstance(packet, Unsubscribe)
    session = connection.session
    assert session is not None, "open without a session"
    ticket = Ticket(lambda: _unsuback(connection, answer), connection.unkept)
    ticket.hold()
    most = (Reason.SUCCESS,) * len(packet.topic_filters)
    _check_size(connection, UnsubAck(packet.packet_id, most))
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
    broker: BrokerState,
    session: Session,
    subscription: Subscription,
    ticket: Ticket | None,
) -> None:
    """Adds a subscription, or replaces the one with an equal filter [MQTT-3.8.4-3].

    The ticket is held until the disk has it, if it keeps the session.
    """
    if session.number:
        replay = session.replay
        unshown = replay is not None and replay.is_unshown(subscription.topic_filter)
        keep_subscription(broker.journal, session, subscription, ticket, unshown)
        broker.changed(session.client_id)
    route_to(broker, session, subscription)
    if split_share(subscription.topic_filter)[0]:
        joined(broker, subscription.topic_filter)


def route_to(broker: BrokerState, session: Session, subscription: Subscription) -> None:
    """Has messages find the session from now on; what the disk has of it stays as it is."""
    name = subscription.topic_filter
    if broker.routes.add(session, subscription):
        broker.elsewhere.subscribed(name)
    elif split_share(name)[0]:
        broker.elsewhere.group_changed(name)


def unsubscribe(
    broker: BrokerState, session: Session, topic_filter: str, ticket: Ticket | None = None
) -> None:
    """Ends a subscription that the session has; the ticket is held as for `subscribe`."""
    if session.number:
        forget_subscription(broker.journal, session, topic_filter, ticket)
        broker.changed(session.client_id)
    if broker.routes.remove(session, topic_filter):
        broker.elsewhere.unsubscribed(topic_filter)
    elif split_share(topic_filter)[0]:
        broker.elsewhere.group_changed(topic_filter)
    if session.replay is not None:
        session.replay.end(topic_filter)


def _check_size(connection: Connection, answer: SubAck | UnsubAck) -> None:
    """Raises ProtocolError if the client would not take the answer [MQTT-3.1.2-24]."""
    bytes_max = connection.outbox.packet_bytes_max
    if bytes_max and len(encode(answer, connection.version)) > bytes_max:
        why = "the answer would be larger than the client's maximum packet size"
        raise ProtocolError(Reason.PACKET_TOO_LARGE, why)


def _refusal(
    broker: BrokerState, session: Session, subscription: Subscription
) -> tuple[Reason, str] | None:
    rights, name = session.rights, subscription.topic_filter
    if rights is not None and not rights.may_subscribe(split_share(name)[1]):
        broker.vitals.subscriptions_refused_by_rule += 1
        return Reason.NOT_AUTHORIZED, "a rule forbids to read what the filter matches"
    if session.number and broker.journal.refusing:
        broker.vitals.refused_disk += 1
        return Reason.QUOTA_EXCEEDED, broker.journal.refusing.partition("; ")[0]
    why = _too_many(broker, session, name)
    if why:
        broker.vitals.subscriptions_refused_full += 1
        broker.vitals.last_subscription_refused_at = broker.now
        return Reason.QUOTA_EXCEEDED, why
    return None


def _too_many(broker: BrokerState, session: Session, name: str) -> str:
    """Which bound a subscription would pass; empty: none."""
    settings = broker.settings
    if name.count("/") >= settings.topic_levels_max + 2 * bool(split_share(name)[0]):
        return f"a filter has more than {settings.topic_levels_max} levels"
    if name in session.subscriptions:
        return ""
    if len(session.subscriptions) >= settings.subscriptions_per_client_max:
        return f"the session has {settings.subscriptions_per_client_max} subscriptions"
    if broker.routes.bytes_held() >= settings.subscription_bytes_max:
        return "all sessions together have as many subscriptions as they may"
    return ""


def _unsuback(connection: Connection, answer: bytes) -> None:
    if connection.state is State.OPEN:
        connection.send(answer)


def _say(connection: Connection, answer: bytes, session: Session, shown: list[str]) -> None:
    """SUBACK, and behind it what is retained under the new filters."""
    if connection.state is not State.OPEN:
        return
    connection.send(answer)
    begin(connection.broker, session, shown)
