"""What another gateway still has of a session that is here, and how it gets into the queue.

Who has something offers it (Offered), or is asked, if the rest of a move was not all here when this
gateway began anew. From then on what is published for the session stands behind that, until it is here:
nothing newer from that gateway comes before it. One gateway after the other is asked. Must not know
links, or how a parcel is unpacked.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.broker.parcel import NUMBERS_SPARE
from gateway.broker.passage import new_token
from gateway.broker.session import Session
from gateway.broker.state import BrokerState

Numbers = tuple[int, int]  # the first of those for what comes, and the first that is not


@dataclass(slots=True)
class _Line:
    """Who is to be asked for the rest of this session: tokens and numbers, by gateway."""

    session: Session
    gateways: dict[str, tuple[int, Numbers]] = field(default_factory=dict)


@dataclass(slots=True)
class Rests:
    """By client id. `is_coming` says whether somebody is asked already; `ask` asks a gateway."""

    broker: BrokerState
    is_coming: Callable[[str], bool]
    ask: Callable[[str, Session, int, Numbers], None]
    _lines: dict[str, _Line] = field(default_factory=dict)

    def line_up(self, gateway: str, session: Session, token: int = 0, waiting: int = 0) -> None:
        """That gateway has something of a session that is here; `token` if it named the move itself, so
        many messages are `waiting` there."""
        client_id, journal = session.client_id, self.broker.journal
        line = self._lines.get(client_id)
        if line is None or line.session is not session:
            line = self._lines[client_id] = _Line(session)
        if session.backlog.behind is None:
            session.backlog.hold_back()
        if not token:
            token = new_token(self.broker.elsewhere.stamp(self.broker.now))
        known = line.gateways.get(gateway)
        if known is None:
            count = waiting + NUMBERS_SPARE
            first = journal.numbers(count)
            known = (token, (first, first + count))
        line.gateways[gateway] = (token, known[1])
        if not self.is_coming(client_id):
            self.next(session)

    def next(self, session: Session) -> bool:
        """Nobody is asked just now: the next one is; False: nobody has anything any more."""
        line = self._lines.get(session.client_id)
        if line is None:
            return False
        if line.session is not session or not line.gateways:
            del self._lines[session.client_id]
            return False
        gateway = next(iter(line.gateways))
        token, numbers = line.gateways.pop(gateway)
        self.ask(gateway, session, token, numbers)
        return True

    def gone(self, gateway: str) -> None:
        """A gateway is dead, or began anew: it is not asked."""
        for line in self._lines.values():
            line.gateways.pop(gateway, None)
