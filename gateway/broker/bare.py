"""Sessions that begin here with less than there is: without what their old gateway has, or with what
was left here before.

Must not know links, or how a session travels.
"""

from collections.abc import Mapping

from gateway.broker.connecting import begin_to_keep, new_session, part_with, rest
from gateway.broker.keeping import keep_subscription
from gateway.broker.parcel import Packer, Place, Unpacker, read_label
from gateway.broker.passage import Passage, Wish, new_token
from gateway.broker.registry import UNKNOWN_HALF, Entry, Registry
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.broker.subscribing import route_to
from gateway.moves import Moved
from gateway.tickets import Ticket


def begin_without(broker: BrokerState, registry: Registry, wish: Wish, entry: Entry) -> None:
    """The gateway that has the session cannot be asked: it begins with what the registry knows, and what
    is left of it here."""
    client_id = wish.client_id
    old = broker.aside.pop(client_id, None)
    if wish.clean or not entry.whole or entry.halves & UNKNOWN_HALF:
        if old is not None:
            part_with(broker, old)
        registry.end(client_id, broker.now)
        broker.elsewhere.touched()
        return
    broker.vitals.sessions_bare += 1
    where = broker.elsewhere.name_of(entry.owner)
    text = f"{client_id} goes on without what waits for it at {where}, which does not answer"
    broker.note("warning", text)
    session = new_session(broker, client_id, entry.expiry_s, entry.user)
    session.epoch, session.line = entry.epoch + 1, entry.line
    session.halves = (entry.halves ^ 1) | UNKNOWN_HALF
    begin_to_keep(broker, session, None)
    for subscription in entry.subscriptions():
        keep_subscription(broker.journal, session, subscription, None)
        route_to(broker, session, subscription)
    announce(broker, session, entry.owner)
    if old is not None:
        absorb(broker, old, session, None)


def announce(
    broker: BrokerState,
    session: Session,
    source: str,
    token: int = 0,
    owner: str = "",
    streams: Mapping[str, tuple[str, int]] | None = None,
) -> None:
    """The session is here from now on. What another gateway's clients publish is for it as soon as that
    gateway says so: until then it is at `source`, or kept there. `owner` and `streams` are of a copy."""
    gateways = broker.elsewhere.gateways()
    token = token or new_token(broker.elsewhere.stamp(broker.now))
    if session.passage is None:
        session.passage = Passage(own=True)
    session.passage.own, session.passage.barred = True, set(gateways)
    session.passage.token = token
    broker.routes.cache.clear()
    for gateway in gateways:
        known = (streams or {}).get(gateway, ("", 0))
        broker.elsewhere.tell(gateway, Moved(session.client_id, token, source, owner, *known))


def set_aside(broker: BrokerState, client_id: str) -> Session | None:
    """What is left here of an older epoch, out of the way of the session that is about to be."""
    old = broker.sessions.get(client_id)
    if old is not None:
        rest(broker, old)
        del broker.sessions[client_id]
    return old


def absorb(broker: BrokerState, old: Session, session: Session, ticket: Ticket | None) -> None:
    """What waits in an older epoch of a session, left here, is added to the one that is served, behind
    the queue that comes from elsewhere, if one does."""
    if old.line == session.line:
        packer, unpacker = Packer(broker, old), Unpacker(broker, session, Place.BEHIND)
        wait = ticket or Ticket(lambda: None)
        unpacker.widen(read_label(packer.label(), broker.journal), wait)
        while not packer.is_done():
            unpacker.add(packer.piece(), wait)
        broker.vitals.sessions_merged += 1
    part_with(broker, old)
