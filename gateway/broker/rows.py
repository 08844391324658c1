"""The rows of sessions, subscriptions, wills and streams once more, for a copy that is made anew.

Each as it is when its turn comes: what changes later is in the batches behind. Must not know where they
go.
"""

from collections.abc import Iterator, Mapping

from gateway.broker.connection import Connection
from gateway.broker.keeping import (
    SESSION,
    STREAM,
    SUBSCRIPTION,
    WILL,
    session_value,
    stream_value,
    subscription_value,
    will_value,
)
from gateway.broker.records import Row
from gateway.broker.session import Session
from gateway.broker.state import BrokerState


def living_rows(broker: BrokerState, online: Mapping[str, Connection]) -> Iterator[Row]:
    """All that are on disk, or on their way there, but what all gateways have."""
    for session in broker.kept():
        if broker.is_kept(session):
            yield Row(SESSION, str(session.number), _session(broker, online, session))
            for topic_filter in list(session.subscriptions):
                row = _subscription(session, topic_filter)
                if row is not None:
                    yield row
    for client_id in list(broker.wills):
        if client_id in broker.wills and client_id not in broker.sent_away:
            _, message, due = broker.wills[client_id]
            yield Row(WILL, client_id, will_value(broker.journal, message, due))
    for gateway, stream in broker.streams.rows():
        yield Row(STREAM, gateway, stream_value(stream))


def _session(broker: BrokerState, online: Mapping[str, Connection], session: Session) -> bytes:
    client_id = session.client_id
    connection = online.get(client_id)
    will = None
    if connection is not None and connection.session is session:
        will = connection.will
    since = broker.away.get(client_id) if client_id in broker.written_away else None
    return session_value(session, will, broker.journal.mesh_ms(since))


def _subscription(session: Session, topic_filter: str) -> Row | None:
    """None: it ended while others had their turn."""
    subscription = session.subscriptions.get(topic_filter)
    if subscription is None or not session.number:
        return None
    unshown = session.replay is not None and session.replay.is_unshown(topic_filter)
    return Row(
        SUBSCRIPTION,
        f"{session.number} {topic_filter}",
        subscription_value(subscription, unshown),
    )
