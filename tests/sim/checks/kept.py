"""G1 to G3 as far as one gateway's disk goes: a session that is kept gets all that was acknowledged.

What was published at its own gateway is promised whatever goes wrong. What came from another one is, if
that knew of the session when it was sent, and then was calm for as long as it takes to be on disk here,
or did not fall itself: what a gateway lost in memory is offered to it again. QoS 2 never comes twice
(but for what another gateway sent on while it was being released, and then lost its power), QoS 1 not
twice on one connection, and each for the first time in its order.

A session that moves is promised what was published while all was calm, whatever goes wrong later, the
loss of a disk included while there were two copies; order, and that nothing comes twice, as long as
nothing goes wrong.
"""

from functools import lru_cache

from gateway.mqtt.topics import matches
from tests.sim.history import History, Kept, Publication
from tests.sim.scenario import SHARED_TOPICS

_matches = lru_cache(100_000)(matches)

GIVES_UP_S = 10.0  # what happened before that may have a part in what a CONNECT is answered
HEALED_S = 3.0  # until both sides of a cut know which of two sessions stays
TO_DISK_S = 4.0  # a commit that stalls, and the one behind it


def check(history: History) -> list[str]:
    """What is missing, came again, or out of order."""
    problems = []
    published = {each.ident: each for each in history.publications if each.ident}
    for kept in history.kept:
        problems += [
            f"{kept.client} lost its session at {at:.4f}"
            for since, at in kept.lost_at
            if kept.box or history.is_calm(since, at)
        ]
        if kept.ended_at > history.ended_at:
            problems += _missing(history, kept)
        problems += _again(history, kept, published)
        problems += _order(history, kept, published)
    return problems


def _missing(history: History, kept: Kept) -> list[str]:
    got = {delivery.ident: None for delivery in kept.deliveries}
    return [
        f"{kept.client} at {kept.box} never got {each.ident} (QoS {each.qos}, {each.topic}),"
        f" sent at {each.sent_at:.4f} to {each.box}"
        for each in history.publications
        if each.ident and each.ident not in got and promised(history, kept, each)
    ]


def promised(history: History, kept: Kept, publication: Publication) -> bool:
    """Whether the session must get it."""
    if publication.qos == 0 or publication.refused or publication.acked_at > history.ended_at:
        return False
    if publication.topic in SHARED_TOPICS:
        return False
    if any(
        publication.sent_at <= end and begin <= publication.acked_at for begin, end in kept.nowhere
    ):
        return False
    if publication.box != kept.box and not _comes_over(history, publication):
        return False
    if any(not history.is_calm(at - GIVES_UP_S, at) for at in kept.unheard) and not kept.box:
        return False  # perhaps nobody had its state, and it did not hear that it has to begin anew
    return any(
        granted.granted_at <= publication.sent_at
        and granted.ended_at > history.ended_at
        and _matches(granted.topic_filter, publication.topic)
        for granted in kept.granted
    )


def _comes_over(history: History, publication: Publication) -> bool:
    """Whether another gateway must have it, or can have it again from its own. A retained one may be
    overtaken meanwhile by what a third gateway knows of the topic."""
    sent_at, acked_at = publication.sent_at, publication.acked_at
    if history.is_calm(sent_at, acked_at + TO_DISK_S):
        return True
    if acked_at <= history.copied_until and history.is_calm(sent_at, acked_at):
        return True  # it was in two places when it was acknowledged
    known = history.is_calm(sent_at, sent_at) and not publication.retain
    return known and history.is_up(publication.box, sent_at)


def _again(history: History, kept: Kept, published: dict[str, Publication]) -> list[str]:
    problems = []
    seen: dict[object, None] = {}
    for delivery in kept.deliveries:
        publication = published[delivery.ident]
        if history.is_released_again(publication, kept.box):
            continue
        if not (kept.box or history.is_calm(publication.sent_at - HEALED_S, delivery.at)):
            continue
        if delivery.qos == 1 and publication.box in history.disks_lost:
            continue  # that gateway has forgotten what it had sent on
        once = delivery.ident if delivery.qos == 2 else (delivery.ident, delivery.connection)
        if delivery.qos and once in seen:
            text = f"got {delivery.ident} (QoS {delivery.qos}) again at {delivery.at:.4f}"
            problems.append(f"{kept.client} {text}")
        seen[once] = None
    return problems


def _order(history: History, kept: Kept, published: dict[str, Publication]) -> list[str]:
    problems = []
    last: dict[object, int] = {}
    seen: dict[str, None] = {}
    for delivery in kept.deliveries:
        publication = published[delivery.ident]
        if not (kept.box or history.is_calm(publication.sent_at - HEALED_S, delivery.at)):
            continue
        line = (publication.publisher, publication.connection, publication.topic, publication.qos)
        if delivery.ident not in seen and publication.number < last.get(line, 0):
            text = f"got {delivery.ident} behind number {last[line]} at {delivery.at:.4f}"
            problems.append(f"{kept.client} {text}")
        seen[delivery.ident] = None
        last[line] = max(publication.number, last.get(line, 0))
    return problems
