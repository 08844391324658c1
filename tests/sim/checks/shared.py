"""G8: of a shared subscription of the whole mesh one member gets each message, and some member gets it.

Again only what a member that went away had not acknowledged; once per side, where gateways could not
hear each other."""

from tests.sim.history import NEVER, History, Session
from tests.sim.scenario import GROUP, GROUP_TOPIC

WAY_S = 1.0
TORN_S = 5.0  # before that a gateway that was not heard is dead, and its members were left out
HANDED_ON_S = 6.0  # to the end of a session, or to a dead gateway, and from there to another member


def check(history: History) -> list[str]:
    """Messages that two members got, or none."""
    problems = []
    members = [each for each in history.sessions if _joined_at(each) < NEVER]
    got: dict[str, list[tuple[float, Session]]] = {}
    for session in members:
        for delivery in session.deliveries:
            if delivery.topic == GROUP_TOPIC:
                got.setdefault(delivery.ident, []).append((delivery.at, session))
    for ident, deliveries in got.items():
        again = [each for each in deliveries if not _left_behind(*each)]
        if len(again) > 1 and not history.was_torn(deliveries[0][0] - TORN_S, deliveries[-1][0]):
            who = ", ".join(f"{s.client} ({s.number}) at {at:.4f}" for at, s in deliveries)
            problems.append(f"{ident} went to {who}")
    for publication in history.publications:
        if publication.topic != GROUP_TOPIC or not publication.qos or publication.ident in got:
            continue
        begin, end = publication.sent_at - WAY_S, publication.acked_at + HANDED_ON_S
        if not history.is_calm(begin, end) or publication.refused:
            continue
        if any(_joined_at(each) < begin and each.closed_at > end for each in members):
            problems.append(f"no member got {publication.ident}, sent at {publication.sent_at:.4f}")
    return problems


def _joined_at(session: Session) -> float:
    """When it had its SUBACK; or never."""
    return min((g.granted_at for g in session.granted if g.topic_filter == GROUP), default=NEVER)


def _left_behind(at: float, session: Session) -> bool:
    """Whether its acknowledgement may have been lost with its connection."""
    return session.closed_at < at + WAY_S
