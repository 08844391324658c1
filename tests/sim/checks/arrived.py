"""What is acknowledged while all gateways are linked reaches every live session that had its
SUBACK before, wherever both are. In calm QoS 0 does as well, but for a retained value of several
publishers: one that lost against a newer one is not shown to those who want the last."""

from functools import lru_cache

from gateway.mqtt.topics import matches
from tests.sim.history import History, Publication, Session
from tests.sim.scenario import SHARED_TOPICS

_matches = lru_cache(100_000)(matches)  # every message is held against every session

GRACE_S = 1.0
SLEEP_MAX_S = 9.0  # a gateway that sleeps delivers when it goes on


def check(history: History) -> list[str]:
    """Missing messages."""
    problems = []
    got = [
        {delivery.ident: None for delivery in session.deliveries} for session in history.sessions
    ]
    left_at = {(each.client, each.number): each.closed_at for each in history.sessions}
    for publication in history.publications:
        if not publication.ident or not _promised(history, publication):
            continue
        left = left_at[publication.publisher, publication.connection]
        if publication.qos == 0 and left < publication.sent_at + GRACE_S:
            continue  # who hangs up at once may not have been heard
        for session, idents in zip(history.sessions, got, strict=True):
            if publication.ident not in idents and _entitled(history, session, publication):
                problems.append(
                    f"{session.client} ({session.number}) at {session.box} never got"
                    f" {publication.ident} (QoS {publication.qos}, {publication.topic}), sent at"
                    f" {publication.sent_at:.4f} to {publication.box}"
                )
    return problems


def _promised(history: History, publication: Publication) -> bool:
    if publication.refused:
        return False
    if publication.topic in SHARED_TOPICS:
        return False
    if publication.qos:
        return history.is_calm(publication.sent_at, publication.acked_at)
    return history.is_calm(publication.sent_at, publication.sent_at + GRACE_S)


def _entitled(history: History, session: Session, publication: Publication) -> bool:
    after = GRACE_S if publication.qos == 0 else SLEEP_MAX_S
    acked_at = publication.acked_at if publication.qos else publication.sent_at
    if session.closed_at < min(acked_at + after, history.ended_at):
        return False
    return any(
        granted.granted_at <= publication.sent_at
        and _matches(granted.topic_filter, publication.topic)
        for granted in session.granted
    )
