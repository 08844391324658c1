"""G2 as far as this mesh goes: a clean session gets no message twice, nor one that is not for it."""

from functools import lru_cache

from gateway.mqtt.topics import matches
from tests.sim.history import Delivery, History
from tests.sim.moves import Tellers

_matches = lru_cache(100_000)(matches)


def check(history: History) -> list[str]:
    """Never twice, never a stray, never altered."""
    problems, tellers = [], Tellers(history)
    published = {each.ident: each for each in history.publications if each.ident}
    for session in history.sessions:
        who = f"{session.client} ({session.number})"
        seen: dict[str, Delivery] = {}
        for delivery in session.deliveries:
            if not delivery.topic.startswith("group/") and not any(
                _matches(granted.topic_filter, delivery.topic) for granted in session.granted
            ):
                problems.append(f"{who} got {delivery.ident} on {delivery.topic} unasked")
            if not delivery.ident:
                if delivery.retain:
                    problems.append(
                        f"{who} got a deletion of {delivery.topic} as a retained message"
                    )
                continue
            publication = published.get(delivery.ident)
            if delivery.topic.startswith(("wills/", "group/")):
                continue  # see wills.py and shared.py
            if publication is None or publication.topic != delivery.topic:
                problems.append(f"{who} got {delivery.ident}, which nobody sent there")
            if delivery.retain:
                continue  # what was there at SUBSCRIBE: it may come live as well
            before = seen.setdefault(delivery.ident, delivery)
            if before is delivery or (
                publication is not None and publication.qos == 1 and publication.again
            ):
                continue  # its publisher sent it again
            if publication is not None and (
                history.is_released_again(publication, session.box)
                or tellers.may_come_again(publication, before.at, delivery.at)
            ):
                continue
            problems.append(f"{who} got {delivery.ident} twice, again at {delivery.at:.4f}")
    return problems
