"""G3: what one publisher says on one topic at one QoS arrives in the order in which it was said."""

from tests.sim.history import History
from tests.sim.moves import Tellers


def check(history: History) -> list[str]:
    """Per session, and per connection of the publisher."""
    problems, tellers = [], Tellers(history)
    published = {each.ident: each for each in history.publications if each.ident}
    for session in history.sessions:
        seen: dict[str, None] = {}
        last: dict[tuple[str, int, str, int], int] = {}
        for delivery in session.deliveries:
            publication = published.get(delivery.ident)
            if publication is None or delivery.retain:
                continue
            if delivery.topic.startswith("group/"):
                continue  # what another member gave up comes behind
            if history.is_released_again(publication, session.box):
                continue
            key = (*(publication.publisher, publication.connection), publication.topic)
            line = (*key, publication.qos)
            late = publication.number < last.get(line, 0) and not (
                delivery.ident in seen or tellers.may_come_late(publication, delivery.at)
            )
            if publication.again:  # it may come again, behind what was sent later
                seen[delivery.ident] = None
            if late:
                problems.append(
                    f"{session.client} ({session.number}) got {delivery.ident}"
                    f" behind number {last[line]} at {delivery.at:.4f}"
                )
            last[line] = max(publication.number, last.get(line, 0))
    return problems
