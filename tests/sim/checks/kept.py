"""G1 to G3 as far as one gateway's disk goes: a session that is kept gets all that was acknowledged.

What was published at its own gateway is promised whatever goes wrong. What came from another one is, if
that knew of the session when it was sent, and then was calm for as long as it takes to be on disk here,
or did not fall itself: what a gateway lost in memory is offered to it again. QoS 2 never comes twice
(but for what another gateway sent on while it was being released, and then lost its power), QoS 1 not
twice on one connection, and each for the first time in its order.

A session that moves is promised the same as long as its moves are smooth (`moves.py`): also while other
things go wrong. Where one was rough, what was under way then may come late, or twice, until all is well.
"""

from functools import lru_cache

from gateway.mqtt.topics import matches
from tests.sim.history import History, Kept, KeptDelivery, Publication
from tests.sim.moves import Moves, Tellers
from tests.sim.scenario import SHARED_TOPICS

_matches = lru_cache(100_000)(matches)


def check(history: History) -> list[str]:
    """What is missing, came again, or out of order."""
    problems = []
    published = {each.ident: each for each in history.publications if each.ident}
    tellers = Tellers(history)
    for kept in history.kept:
        moves = Moves(history, kept)
        problems += [
            f"{kept.client} lost its session at {at:.4f}"
            for _, at in kept.lost_at
            if not moves.may_begin_anew(at)
        ]
        if kept.ended_at > history.ended_at and not moves.may_have_begun_anew():
            problems += _missing(history, kept, moves)
        problems += _again(history, kept, published, moves, tellers)
        problems += _order(kept, published, moves, tellers)
    return problems


def _missing(history: History, kept: Kept, moves: Moves) -> list[str]:
    got = {delivery.ident: None for delivery in kept.deliveries}
    return [
        f"{kept.client} never got {each.ident} (QoS {each.qos}, {each.topic}), sent at"
        f" {each.sent_at:.4f} to {each.box}, being at {moves.homes(each.sent_at, each.acked_at)}"
        for each in history.publications
        if each.ident and each.ident not in got and promised(history, kept, each, moves)
    ]


def promised(history: History, kept: Kept, publication: Publication, moves: Moves) -> bool:
    """Whether the session must get it."""
    sent_at, acked_at = publication.sent_at, publication.acked_at
    if publication.qos == 0 or publication.refused or acked_at > history.ended_at:
        return False
    if publication.topic in SHARED_TOPICS:
        return False
    if not any(
        granted.counts(history, sent_at)
        and granted.ended_at > history.ended_at
        and _matches(granted.topic_filter, publication.topic)
        for granted in kept.granted
    ):
        return False
    if any(sent_at <= end and begin <= acked_at for begin, end in kept.nowhere):
        return False
    if acked_at <= history.copied_until and history.is_calm(sent_at, acked_at):
        return True  # it was in two places when it was acknowledged
    if any(moves.may_be_lost(box, sent_at, at) for box, at in history.disks_lost.items()):
        return False
    return _comes_over(history, publication, moves.homes(sent_at, acked_at))


def _comes_over(history: History, publication: Publication, homes: list[str]) -> bool:
    """Whether the gateway that has the session must have it, or can have it again from the publisher's.
    A retained one may be overtaken meanwhile by what a third gateway knows of the topic."""
    sent_at, acked_at = publication.sent_at, publication.acked_at
    places = list(dict.fromkeys([*publication.places(), *homes]))
    if history.all_joined(places, sent_at, acked_at):
        return True
    known = history.all_joined(places, sent_at, sent_at) and not publication.retain
    stays = not publication.again and history.is_up(publication.box, sent_at)
    return known and len(homes) == 1 and stays


def _again(
    history: History,
    kept: Kept,
    published: dict[str, Publication],
    moves: Moves,
    tellers: Tellers,
) -> list[str]:
    problems = []
    seen: dict[object, KeptDelivery] = {}
    for delivery in kept.deliveries:
        publication = published[delivery.ident]
        if delivery.qos == 1 and history.lost_later(publication):
            continue  # that gateway has forgotten what it had sent on
        once = delivery.ident if delivery.qos == 2 else (delivery.ident, delivery.connection)
        first = seen.setdefault(once, delivery)
        if not delivery.qos or first is delivery:
            continue
        if delivery.qos == 1 and publication.again:
            continue  # its publisher sent it again
        if tellers.may_come_again(publication, first.at, delivery.at):
            continue
        if any(history.is_released_again(publication, box) for box in (first.box, delivery.box)):
            continue
        if not moves.may_come_again(publication.sent_at, first.at, delivery.at):
            text = f"got {delivery.ident} (QoS {delivery.qos}) again at {delivery.at:.4f}"
            problems.append(f"{kept.client} {text}, after {first.at:.4f}")
    return problems


def _order(
    kept: Kept, published: dict[str, Publication], moves: Moves, tellers: Tellers
) -> list[str]:
    problems = []
    last: dict[object, int] = {}
    seen: dict[str, None] = {}
    for delivery in kept.deliveries:
        publication = published[delivery.ident]
        line = (publication.publisher, publication.connection, publication.topic, publication.qos)
        late = delivery.ident not in seen and publication.number < last.get(line, 0)
        excused = moves.may_come_late(publication.sent_at, delivery.at)
        if late and not excused and not tellers.may_come_late(publication, delivery.at):
            text = f"got {delivery.ident} behind number {last[line]} at {delivery.at:.4f}"
            problems.append(f"{kept.client} {text}")
        seen[delivery.ident] = None
        last[line] = max(publication.number, last.get(line, 0))
    return problems
