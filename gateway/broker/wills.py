"""Wills: from the end of a connection until they are sent, and what other gateways are told of them.

A will whose delay runs is on disk where its session is; one without a delay is sent at once, or after
RETURN_S if it was this gateway that sent its client away. The gateway that keeps them for the case that
this one dies is told by `Elsewhere`. Must not know connections.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.broker.delivery import publish, retain
from gateway.broker.keeping import forget_will, keep_will
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.limits import RETURN_S
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import Will
from gateway.mqtt.properties import NO_PROPERTIES
from gateway.timers import NO_TIMER


def message_of(will: Will, client_id: str) -> Message:
    """The will as it is published."""
    properties = replace(will.properties, will_delay_interval_s=None)
    return Message(
        will.topic,
        topic_field(will.topic),
        will.payload,
        will.qos,
        # [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.3-10]
        will.retain,
        NO_PROPERTIES if properties == NO_PROPERTIES else properties,
        client_id,
    )


def delay_of(will: Will, session: Session) -> float:
    """How long it waits from the end of the connection: to the session's end at most."""
    return min(will.properties.will_delay_interval_s or 0, session.expiry_s)


def leave_will(broker: BrokerState, session: Session, will: Will, grace_s: float = 0.0) -> None:
    """Sends the will, or keeps it for its delay or to the session's end, whichever is first.

    `grace_s` is waited at least: its client may be on its way back.
    """
    message, delay_s = message_of(will, session.client_id), max(delay_of(will, session), grace_s)
    due = broker.now + delay_s
    delay_will(broker, session.client_id, message, due)
    if not delay_s:
        send_will(broker, session.client_id)
        return
    broker.elsewhere.keep_will(session.client_id, message, delay_s, due, None, broker.now)
    if session.number:
        keep_will(broker.journal, session.client_id, message, due)


def await_return(broker: BrokerState, session: Session, will: Will) -> None:
    """This gateway sent the client away: its will is sent if it is nowhere in time.

    Without a delay it is in memory only, as after a planned stop: for the gateway that keeps it, it is
    the will of a connection, which a client that is back elsewhere never misses.
    """
    if delay_of(will, session):
        leave_will(broker, session, will, RETURN_S)
        return
    client_id, message = session.client_id, message_of(will, session.client_id)
    delay_will(broker, client_id, message, broker.now + RETURN_S)
    broker.sent_away.add(client_id)
    broker.elsewhere.keep_will(client_id, message, 0.0, None, None, broker.now)


def came_back(broker: BrokerState, client_id: str) -> None:
    """A client has connected, here or elsewhere: if it was sent away it did what was asked of it."""
    if client_id in broker.sent_away:
        cancel_will(broker, client_id)


def delay_will(broker: BrokerState, client_id: str, message: Message, due: float) -> None:
    """Sends the will then, if its client is not back."""
    timer = broker.timers.set(due, lambda now: _will_due(broker, client_id, now))
    broker.wills[client_id] = (timer, message, due)
    broker.room.hold(message)


def _will_due(broker: BrokerState, client_id: str, now: float) -> None:
    broker.at(now)
    send_will(broker, client_id)


def cancel_will(broker: BrokerState, client_id: str) -> Message | None:
    """The will that waits for this client is not sent."""
    timer, message, _ = broker.wills.pop(client_id, (NO_TIMER, None, 0.0))
    broker.timers.drop(timer)
    if message is not None:
        broker.restored_wills.discard(client_id)
        broker.sent_away.discard(client_id)
        broker.room.let_go(message)
        forget_will(broker.journal, client_id)
        broker.elsewhere.forget_will(client_id)
    return message


def send_will(broker: BrokerState, client_id: str) -> None:
    """Publishes the will that waits for this client, once [MQTT-3.1.2-8], [MQTT-3.1.2-10]."""
    message = cancel_will(broker, client_id)
    if message is not None:
        publish_will(broker, message)


def publish_will(broker: BrokerState, message: Message) -> None:
    """Publishes a will, of a client here or of one whose gateway is dead."""
    expiry_s = message.properties.message_expiry_interval_s
    message.expires_at = None if expiry_s is None else broker.now + expiry_s
    if broker.traces is not None:
        broker.traces.came(message, broker.now, detail="its will")
    publish(broker, message, broker.routes.find(message.topic_field), taken=True)


def came_elsewhere(broker: BrokerState, client_id: str, clean: bool) -> None:
    """Its client has connected at another gateway: if that ended its session the will is due
    [MQTT-3.1.3-9], else it is back before the delay passed."""
    came_back(broker, client_id)
    if clean:
        send_will(broker, client_id)
    else:
        cancel_will(broker, client_id)


def drop_restored(broker: BrokerState, clients: Iterable[str]) -> None:
    """Another gateway sees to the wills of these clients that are left from an earlier start."""
    for client_id in clients:
        if client_id in broker.restored_wills:
            cancel_will(broker, client_id)


def waiting(broker: BrokerState) -> Iterator[tuple[str, Message, float, float | None]]:
    """Wills that wait, by client id; the last is when they are due, where their delay runs."""
    for client_id, (_, message, due) in broker.wills.items():
        yield client_id, message, 0.0, None if client_id in broker.sent_away else due


def restamp(broker: BrokerState, topic: str) -> None:
    """What is retained here under the topic, or that nothing is, is the newest from here on."""
    entry = broker.retained.get(topic)
    message = None if entry is None else entry.message
    if message is None:
        message = Message(topic, topic_field(topic), b"", 0, True)
    stamp = broker.elsewhere.stamp(broker.now)
    if retain(broker, message, stamp):
        for outlet in broker.elsewhere.everyone():
            outlet.offer(message, stamp, None)
