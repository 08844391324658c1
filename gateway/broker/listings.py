"""What a broker holds, as plain documents for the operator: clients, sessions, retained, queues.

Read-only walks, in a stable order (by client id or topic), each bounded by the caller's limit; the
"total" says how many there are. Times are seconds ago or from now. Must not know who asks or how it
is shown.
"""

from collections.abc import Iterable, Mapping
from heapq import nsmallest
from typing import Any, TypeAlias

from gateway.broker.connection import Connection
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Version

Document: TypeAlias = dict[str, Any]

PAYLOAD_CHARACTERS_MAX = 64  # of a payload that is shown: enough to know it by
_VERSIONS = {Version.MQTT31: "3.1", Version.MQTT311: "3.1.1", Version.MQTT5: "5.0"}


def clients(broker: BrokerState, online: Mapping[str, Connection], limit: int) -> Document:
    """Who is connected."""
    first = nsmallest(limit, online)
    rows = [_client(broker, client_id, online[client_id]) for client_id in first]
    return {"clients": rows, "total": len(online)}


def client(
    broker: BrokerState, online: Mapping[str, Connection], client_id: str, limit: int
) -> Document | None:
    """One client with its session and subscriptions; None if there is no such session."""
    session, connection = broker.sessions.get(client_id), online.get(client_id)
    if session is None:
        return None
    document = _session(session, connection)
    if connection is not None:
        document |= _client(broker, client_id, connection)
    document["subscriptions"] = [
        {
            "filter": each.topic_filter,
            "qos": each.qos,
            "no_local": each.no_local,
            "retain_as_published": each.retain_as_published,
            "identifier": each.identifier or None,
        }
        for each in (session.subscriptions[key] for key in nsmallest(limit, session.subscriptions))
    ]
    document["subscriptions_total"] = len(session.subscriptions)
    return document


def sessions(
    broker: BrokerState, online: Mapping[str, Connection], orphans: bool, limit: int
) -> Document:
    """Sessions kept here; `orphans`: only those whose client is away."""
    found = [each for each in broker.sessions if not (orphans and each in online)]
    first = nsmallest(limit, found)
    rows = [_session(broker.sessions[each], online.get(each)) for each in first]
    return {"sessions": rows, "total": len(found)}


def retained(broker: BrokerState, topic_filter: str, limit: int) -> Document:
    """Retained messages under a filter that is well-formed."""
    now = broker.now
    found = {
        message.topic: message
        for message in broker.retained.matching(topic_filter)
        if not message.expired(now)
    }
    rows = [_message(found[topic], found[topic].qos, now) for topic in nsmallest(limit, found)]
    return {"retained": rows, "total": len(found)}


def queue(broker: BrokerState, client_id: str, limit: int) -> Document | None:
    """What waits for a session, in its order: first what was sent and is not acknowledged.

    None if there is no such session.
    """
    session = broker.sessions.get(client_id)
    if session is None:
        return None
    rows = list(_waiting(session, limit, broker.now))
    return {
        "client": client_id,
        "queued": len(session.backlog),
        "queued_bytes": session.backlog.bytes,
        "in_flight": len(session.inflight),
        "messages": rows,
        "total": session.waiting(),
    }


def _waiting(session: Session, limit: int, now: float) -> Iterable[Document]:
    left = limit
    for packet_id, sent in session.inflight.items():
        if left == 0:
            return
        left -= 1
        if sent is None:  # received, and not yet completed: what it was is forgotten
            yield {"state": "received", "packet_id": packet_id, "topic": None}
        else:
            yield {"state": "sent", "packet_id": packet_id} | _message(sent[0], sent[1], now)
    for waiting in session.backlog:
        if left == 0:
            return
        left -= 1
        yield {"state": "queued", "packet_id": None} | _message(waiting[0], waiting[1], now)


def _client(broker: BrokerState, client_id: str, connection: Connection) -> Document:
    session = connection.session
    assert session is not None, "online without a session"
    return {
        "client": client_id,
        "user": connection.user or None,
        "address": connection.address,
        "version": _VERSIONS[connection.version],
        "connected_s": max(0.0, broker.now - connection.connected_at),
        "silent_s": max(0.0, broker.now - connection.last_heard),
        "keep_alive_s": connection.keep_alive_s / 1.5,
        "subscriptions_total": len(session.subscriptions),
        "in_flight": len(session.inflight),
        "queued": len(session.backlog),
        "congested": connection.outbox.congested,
        "slowed": connection.pace is not None and connection.pace.over,
    }


def _session(session: Session, connection: Connection | None) -> Document:
    return {
        "client": session.client_id,
        "connected": connection is not None,
        "user": session.user or None,
        "expiry_s": session.expiry_s,
        "subscriptions_total": len(session.subscriptions),
        "in_flight": len(session.inflight),
        "queued": len(session.backlog),
        "queued_bytes": session.backlog.bytes,
        "unreleased": len(session.unreleased),
    }


def _message(message: Message, qos: int, now: float) -> Document:
    left_s = None if message.expires_at is None else max(0.0, message.expires_at - now)
    return {
        "topic": message.topic,
        "qos": qos,
        "bytes": len(message.payload),
        "expires_s": left_s,
        "payload": printable(message.payload),
    }


def printable(payload: bytes) -> str:
    """The beginning of a payload, with a dot for what cannot be printed."""
    text = payload[:PAYLOAD_CHARACTERS_MAX].decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "." for char in text)
