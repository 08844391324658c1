"""G7: a will is sent once (once per side, where gateways could not hear each other), not before its
connection is over, and also when it was the gateway that died."""

from tests.sim.history import NEVER, History, Session

WAY_S = 1.0
KNOWN_S = 1.5  # before that nobody knows a gateway to be dead
KEPT_S = 15.0  # for so long after a gateway is gone its wills may be sent
GONE_S = 9.0  # dead after 3 s, 5 s for the client to be elsewhere, and the way


def check(history: History) -> list[str]:
    """Wills that were sent too often, too early, or not."""
    problems = []
    lives = {each.will: each for each in history.sessions if each.will}
    for session in history.sessions:
        seen: dict[str, None] = {}
        for delivery in session.deliveries:
            if not delivery.topic.startswith("wills/"):
                continue
            who = f"{session.client} ({session.number}) at {session.box}"
            life = lives.get(delivery.ident)
            if life is None:
                problems.append(f"{who} got {delivery.ident}, which nobody left")
                continue
            if _was_torn(history, life, delivery.at):
                continue  # each side sends it, and for clients that live on the other
            if delivery.at < life.closed_at - WAY_S:  # its gateway knows before it does
                problems.append(f"{who} got {delivery.ident} of a client that is connected")
            if delivery.ident in seen:
                problems.append(f"{who} got {delivery.ident} twice, again at {delivery.at:.4f}")
            if life in history.mourned and _is_back(history, life, history.buried_at + KNOWN_S):
                problems.append(f"{who} got {delivery.ident} of a client that was never away")
            seen[delivery.ident] = None
    return problems + _missing(history, lives)


def _was_torn(history: History, life: Session, at: float) -> bool:
    """Whether gateways may not have heard each other in the time that decides about this will."""
    return history.was_torn(min(life.closed_at, at) - KEPT_S, max(life.closed_at, at))


def _missing(history: History, lives: dict[str, Session]) -> list[str]:
    problems = []
    for will, life in lives.items():
        if life in history.mourned:
            due = history.buried_at + GONE_S
            if _is_back(history, life, due):
                continue
        elif history.is_calm(life.closed_at - WAY_S, life.closed_at + WAY_S):
            due = life.closed_at + WAY_S
        else:
            continue
        for session in history.sessions:
            if _was_owed(session, life, due) and not any(
                delivery.ident == will for delivery in session.deliveries
            ):
                problems.append(
                    f"{session.client} ({session.number}) at {session.box} never got {will}, whose"
                    f" client was lost at {life.closed_at:.4f}"
                )
    return problems


def _was_owed(session: Session, life: Session, due: float) -> bool:
    granted = [each for each in session.granted if each.topic_filter == "wills/#"]
    if not granted or life.opened_at == NEVER or session.closed_at < due:
        return False
    return granted[0].granted_at < life.closed_at - WAY_S


def _is_back(history: History, life: Session, due: float) -> bool:
    """Whether the client has connected elsewhere in time: then it may never have been away."""
    return any(
        each.client == life.client and each.number > life.number and each.opened_at < due
        for each in history.sessions
    )
