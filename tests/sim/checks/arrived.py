"""What is acknowledged reaches every live session that had its SUBACK before, wherever
it is, if its gateway and the publisher's were joined meanwhile, whatever else goes wrong; also when
the publisher's had just started, and waited until they were. In calm QoS 0 arrives as well, but for a
retained value of several publishers: one that lost against a newer one is not shown to those who want
the last."""

from functools import lru_cache

from gateway.mqtt.topics import matches
from tests.sim.box import CLUSTER
from tests.sim.history import History, Publication, Session
from tests.sim.scenario import SHARED_TOPICS
from tests.sim.watcher import PERIOD_S

_matches = lru_cache(100_000)(matches)  # every message is held against every session

GRACE_S = 1.0
KNOWN_S = 2.0  # once both run each knows the other
SLEEP_MAX_S = 9.0  # a gateway that sleeps delivers when it goes on


def check(history: History) -> list[str]:
    """Missing messages."""
    problems = []
    got = [
        {delivery.ident: None for delivery in session.deliveries} for session in history.sessions
    ]
    left_at = {(each.client, each.number): each.closed_at for each in history.sessions}
    for publication in history.publications:
        if not publication.ident or publication.topic in SHARED_TOPICS or publication.refused:
            continue
        if publication.qos == 0:
            left = left_at[publication.publisher, publication.connection]
            if left < publication.sent_at + GRACE_S:
                continue  # who hangs up at once may not have been heard
        for session, idents in zip(history.sessions, got, strict=True):
            if (
                publication.ident not in idents
                and _entitled(history, session, publication)
                and _promised(history, publication, session.box)
            ):
                problems.append(
                    f"{session.client} ({session.number}) at {session.box} never got"
                    f" {publication.ident} (QoS {publication.qos}, {publication.topic}), sent at"
                    f" {publication.sent_at:.4f} to {publication.box}"
                )
    return problems


def _promised(history: History, publication: Publication, box: str) -> bool:
    """Whether sessions at this box are to get it."""
    sent_at, acked_at = publication.sent_at, publication.acked_at
    if not publication.qos:
        return history.is_calm(sent_at, sent_at + GRACE_S)
    if acked_at > history.ended_at:
        return False
    if history.all_joined(list(dict.fromkeys([*publication.places(), box])), sent_at, acked_at):
        return True
    return not publication.again and _was_waited_for(history, publication, box)


def _was_waited_for(history: History, publication: Publication, box: str) -> bool:
    """Whether the publisher's gateway had started, knew this one, and was joined with it before it
    answered."""
    starts = [at for at in history.starts[publication.box] if at <= publication.sent_at]
    known = len(starts) > 1 and min(history.starts[box]) < starts[-1] - KNOWN_S
    acked_at = publication.acked_at
    if not known or acked_at >= starts[-1] + CLUSTER.dead_s:
        return False
    near = history.were_near(publication.box, box, starts[-1] + 2 * PERIOD_S, acked_at)
    return near and history.were_joined(publication.box, box, acked_at, acked_at)


def _entitled(history: History, session: Session, publication: Publication) -> bool:
    after = GRACE_S if publication.qos == 0 else SLEEP_MAX_S
    acked_at = publication.acked_at if publication.qos else publication.sent_at
    if session.closed_at < min(acked_at + after, history.ended_at):
        return False
    return any(
        granted.counts(history, publication.sent_at)
        and _matches(granted.topic_filter, publication.topic)
        for granted in session.granted
    )
