"""Sessions that are another gateway's, with something here that is to reach it.

What is left was left here by a move that did not end, by a cut or by a takeover from a copy; or it is an
appendix: messages for a session whose gateway is dead, that clients here published (`absent.py`). It is
on disk like any session, named by its client id, and goes to whatever gateway the registry says has the
session: that is offered it until it wants it, or says that it does not. While the owner is dead the
gateway that has the copy of its store is offered it, and adopts the session.

A session with a client here that the registry says is elsewhere is disputed: the client decides. Must
not know links, or how what is offered is given.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gateway.broker.connecting import (
    begin_to_keep,
    expire_at,
    leave_alone,
    new_session,
    part_with,
    rest,
)
from gateway.broker.connection import Connection
from gateway.broker.keeping import keep_session
from gateway.broker.passage import EVERYBODY, Passage, new_token
from gateway.broker.registry import UNKNOWN_HALF, Entry, Registry
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.moves import Move, Offered

OFFER_S = 1.0  # between two offers of what is left of a session
OFFERS_MAX = 64  # in one turn


@dataclass(slots=True)
class Leftovers:
    """`_left` are the leftovers by client id, `_disputed` sessions with a client here that the registry
    says are another gateway's. `is_going` says whether one is on its way out; `tell` says something to
    a gateway, this one too."""

    broker: BrokerState
    registry: Registry
    online: Mapping[str, Connection]
    is_going: Callable[[str], bool]
    tell: Callable[[str, Move], None]
    _left: dict[str, Session] = field(default_factory=dict)
    _disputed: dict[str, None] = field(default_factory=dict)
    _ticking: bool = False

    def __len__(self) -> int:
        return len(self._left) + len(self._disputed)

    def all(self) -> Collection[Session]:
        """The sessions that are left."""
        return self._left.values()

    def has(self, client_id: str) -> bool:
        """Whether the session here is a leftover. One that expired, or went into the one that came back
        or began here, is none any more."""
        session = self._left.get(client_id)
        if session is None:
            return False
        if self.broker.sessions.get(client_id) is session:
            return True
        del self._left[client_id]
        return False

    def leave(self, session: Session, handed_on: bool) -> None:
        """The session is another gateway's: what is here is offered to it."""
        broker = self.broker
        rest(broker, session)
        session.passage = Passage(own=False, barred=EVERYBODY, handed_on=handed_on)
        broker.routes.cache.clear()
        expire_at(broker, session, broker.now + broker.settings.session_expiry_max_s)
        self._left[session.client_id] = session
        self._tick_soon()

    def leave_again(self, session: Session) -> None:
        """What was left here, and was out of the way for a session that did not come after all."""
        self.broker.sessions[session.client_id] = session
        self.leave(session, session.passage is not None and session.passage.handed_on)

    def begin(self, client_id: str, entry: Entry) -> Session:
        """Something is to be left that is not: an empty session of this line and epoch. If the session
        itself is on its way here, it is out of the way until that has come."""
        broker, comes = self.broker, self.broker.sessions.get(client_id)
        session = new_session(broker, client_id, entry.expiry_s, entry.user)
        session.epoch, session.line = entry.epoch, entry.line
        session.halves = UNKNOWN_HALF  # what its client was sent is not known here
        session.passage = Passage(own=False, barred=EVERYBODY)
        begin_to_keep(broker, session, None)
        if comes is not None:
            broker.sessions[client_id] = comes
            broker.aside[client_id] = session
        else:
            self.leave(session, handed_on=False)
            self._offer(client_id, session)
        return session

    def is_over(self, client_id: str) -> None:
        """All of it is where it belongs."""
        self._left.pop(client_id, None)

    def registered(self, client_ids: Iterable[str]) -> None:
        """The registry has news of these sessions."""
        for client_id in client_ids:
            session = self.broker.sessions.get(client_id)
            if session is None or not session.number or self.is_going(client_id):
                continue
            if session.passage is not None and not session.passage.own:
                continue  # it is on its way here, or known to be another's
            entry = self.registry.entry(client_id)
            if entry is not None and entry.owner == self.registry.gateway:
                continue
            if entry is not None and (session.line, session.epoch) > (entry.line, entry.epoch):
                self.broker.changed(client_id)  # that gateway did not know of this one's
                continue
            if client_id in self.online:
                self._dispute(client_id, session, entry)
            elif entry is None:
                part_with(self.broker, session)  # a clean start elsewhere ended it
            else:
                self.leave(session, handed_on=False)

    def _dispute(self, client_id: str, session: Session, entry: Entry | None) -> None:
        """The client decides where its session is: where it is connected. If it is so at both, one
        connection ends soon."""
        broker = self.broker
        if entry is not None and broker.elsewhere.is_connected(client_id, entry.owner):
            self._disputed[client_id] = None
            self._tick_soon()
            return
        if entry is not None:
            session.epoch = entry.epoch + 1  # what was said to the client there is not known here
            connection = self.online[client_id]
            keep_session(broker.journal, session, connection.will, None)
        broker.changed(client_id)

    def found(self, gateway: str) -> None:
        """A gateway begins to speak, or is known again: what is its is offered before anything newer."""
        for client_id in list(self._left):
            entry = self.registry.entry(client_id)
            if entry is not None and entry.owner == gateway:
                self.moved(client_id, gateway)

    def moved(self, client_id: str, gateway: str) -> None:
        """The session is that gateway's now, whatever the registry says yet."""
        if self.has(client_id) and not self.is_going(client_id):
            self._offer_to(gateway, client_id, self._left[client_id])

    def _tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            self.broker.timers.set(self.broker.now + OFFER_S, self._tick)

    def _tick(self, now: float) -> None:
        broker = self.broker
        broker.at(now)
        self._ticking = False
        disputed, self._disputed = self._disputed, {}
        self.registered(disputed)
        offers = 0
        for client_id, session in list(self._left.items()):
            if offers < OFFERS_MAX and not self.is_going(client_id):
                offers += self._offer(client_id, session)
        if self._left or self._disputed:
            self._tick_soon()

    def _offer(self, client_id: str, session: Session) -> bool:
        """Offers what is left of a session to its owner; False: nobody is asked."""
        broker = self.broker
        if not self.has(client_id):
            return False
        entry = self.registry.entry(client_id)
        if entry is None or entry.line != session.line:
            self._drop(client_id)
            return False
        if entry.owner == self.registry.gateway:
            del self._left[client_id]
            session.passage = None
            broker.routes.cache.clear()
            rest(broker, session)
            leave_alone(broker, session)
            return False
        elsewhere, owner = broker.elsewhere, entry.owner
        if elsewhere.is_given_up(owner):
            owner = elsewhere.copy_of(owner)
        if owner != self.registry.gateway and not elsewhere.reaches(owner):
            return False
        self._offer_to(owner, client_id, session)
        self._left[client_id] = self._left.pop(client_id)  # the others come first next time
        return True

    def _offer_to(self, gateway: str, client_id: str, session: Session) -> None:
        token = new_token(self.broker.elsewhere.stamp(self.broker.now))
        self.tell(gateway, Offered(client_id, token, session.line, session.waiting()))

    def _drop(self, client_id: str) -> None:
        session = self._left.pop(client_id)
        part_with(self.broker, session)
