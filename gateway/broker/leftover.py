"""What is left here of an older epoch of a session that is about to be served here.

Must not know where the session comes from.
"""

from gateway.broker.connecting import part_with, rest
from gateway.broker.parcel import Packer, Unpacker, read_label
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.tickets import Ticket


def set_aside(broker: BrokerState, client_id: str) -> Session | None:
    """What is left here of an older epoch, out of the way of the session that is about to be."""
    old = broker.sessions.get(client_id)
    if old is not None:
        rest(broker, old)
        del broker.sessions[client_id]
    return old


def absorb(broker: BrokerState, old: Session, session: Session, ticket: Ticket | None) -> None:
    """What waits in an older epoch of a session, left here, is added to the one that is served."""
    if old.line == session.line:
        packer, unpacker = Packer(broker, old), Unpacker(broker, session)
        wait = ticket or Ticket(lambda: None)
        unpacker.widen(read_label(packer.label(), broker.journal), wait)
        while not packer.is_done():
            unpacker.add(packer.piece(), wait)
        broker.vitals.sessions_merged += 1
    part_with(broker, old)
