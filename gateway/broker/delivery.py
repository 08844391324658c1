"""A message's way to its subscribers: the sessions here, and the gateways that have some.

What came from another gateway goes to sessions here and never further. Must not know connections.
"""

from collections.abc import Callable

from gateway.broker.routes import Route
from gateway.broker.state import BrokerState
from gateway.ids import Stamp
from gateway.mqtt.message import Message
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket


def is_own(topic: str) -> bool:
    """Whether a topic is the broker's own: clients may read it and not write (section 4.7.2)."""
    return topic == "$SYS" or topic.startswith("$SYS/")


def publish(
    broker: BrokerState, message: Message, route: Route, ticket: Callable[[], Ticket] | None = None
) -> Reason:
    """Takes a message of a client here. `ticket` makes the one that its acknowledgement waits for.

    Returns what the publisher is told: SUCCESS, NO_MATCHING_SUBSCRIBERS or QUOTA_EXCEEDED (the
    retained store is full: nobody gets the message).
    """
    broker.vitals.messages_in += 1
    stamp = None
    outlets = route.elsewhere
    if message.retain:
        stamp = broker.elsewhere.stamp(broker.now)
        if not retain(broker, message, stamp):
            return Reason.QUOTA_EXCEEDED
        outlets = broker.elsewhere.everyone()
    deliver(broker, message, route)
    if outlets:
        held = ticket() if ticket is not None and message.qos else None
        for outlet in outlets:
            outlet.offer(message, stamp, held)
    elif not route.targets:
        return Reason.NO_MATCHING_SUBSCRIBERS
    return Reason.SUCCESS


def publish_run(
    broker: BrokerState,
    messages: list[Message],
    route: Route,
    ticket: Callable[[], Ticket] | None,
) -> None:
    """Takes messages of one client, topic and QoS, not retained, that go somewhere (`publish`)."""
    broker.vitals.messages_in += len(messages)
    deliver_run(broker, messages, route)
    for outlet in route.elsewhere:
        held = ticket() if ticket is not None else None
        for message in messages:
            outlet.offer(message, None, held)


def deliver_run(broker: BrokerState, messages: list[Message], route: Route) -> None:
    """Does what `deliver` does for messages of one client, topic and QoS, none of them retained."""
    publisher, qos = messages[0].publisher, messages[0].qos
    for target in route.targets:
        session = target.session
        if not target.no_local or session.client_id != publisher:
            session.deliver_run(messages, min(qos, target.qos), broker.now)


def deliver(broker: BrokerState, message: Message, route: Route) -> None:
    """Gives the message to every session here that subscribes to its topic."""
    now = broker.now
    for target in route.targets:
        session = target.session
        if target.no_local and session.client_id == message.publisher:
            continue  # [MQTT-3.8.3-3]
        qos = min(message.qos, target.qos)
        session.deliver(message, qos, message.retain and target.retain_as_published, now)


def arrived(broker: BrokerState, message: Message, stamp: Stamp | None) -> None:
    """A message that another gateway accepted: it is stored if retained, and goes to sessions here.

    A retained one that is older than what is stored here still goes to those who were promised every
    message (QoS 1 and 2), and not to those who want the last value (QoS 0). If the stored one is of
    the same gateway it came before, through a third one: this message is known, or overtaken.
    """
    route = broker.routes.find(message.topic_field)
    if stamp is not None:
        stored = broker.retained.stamp(message.topic)
        if stored >= stamp and (message.qos == 0 or stored.gateway == stamp.gateway):
            return
        retain(broker, message, stamp)
    deliver(broker, message, route)


def caught_up(broker: BrokerState, message: Message, stamp: Stamp) -> None:
    """What another gateway has retained: where it is news here it is stored, and shown to sessions."""
    route = broker.routes.find(message.topic_field)
    if retain(broker, message, stamp):
        deliver(broker, message, route)


def arrived_run(broker: BrokerState, messages: list[Message]) -> None:
    """Messages of one client, topic and QoS, not retained, that another gateway accepted."""
    deliver_run(broker, messages, broker.routes.find(messages[0].topic_field))


def retain(broker: BrokerState, message: Message, stamp: Stamp) -> bool:
    """Stores the message as its topic's last, or deletes that when it is empty; False if refused."""
    kept = message if message.payload else None  # [MQTT-3.3.1-6], [MQTT-3.3.1-7]
    try:
        return broker.retained.put(message.topic, kept, stamp)
    except OverflowError:
        broker.vitals.refused_retained_full += 1
        return False
