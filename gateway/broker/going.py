"""Sessions of this gateway whose client is elsewhere: what a gateway that claims one is answered.

    asked       the old connection is over, and what it published is on its way; then pieces begin
    going       pieces go, a bounded number of bytes ahead of what the other side has on disk. Each
                gateway says when it knows of the move; until then what it publishes comes to the queue
                here, and follows in a later piece
    through     all gateways have said so, or nobody waits for them any longer: the last piece
    over        the other side has all of it on disk: here it is deleted

If the other side dies before the registry says that the session is there, it stays here as if nothing
had been. Else it is a leftover (`leftovers.py`). Must not know links.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.broker.absent import Absent
from gateway.broker.bare import absorb
from gateway.broker.connecting import end_session, leave_alone, part_with, rest
from gateway.broker.connection import Connection
from gateway.broker.couriers import Couriers
from gateway.broker.leftovers import Leftovers
from gateway.broker.parcel import Packer
from gateway.broker.passage import EVERYBODY, FENCE_S, HERE, Passage
from gateway.broker.quarrels import Quarrels
from gateway.broker.registry import Registry
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.moves import Claim, Ended, Forgotten, Kept, Moved, Parcel, Refused, Through
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket
from gateway.timers import NO_TIMER

APART_S = 7.0  # longer than it takes until two gateways are linked over a third one
UNKEPT_BYTES_MAX = (
    262_144  # to one gateway, all sessions together: a heartbeat is late by that much
)
SIGN_S = 1.0  # while what is left has to wait for its turn; the other side gives up after two


@dataclass(eq=False, slots=True)
class Going:
    """One session on its way out. `unaware` are the gateways that have not said that they know.

    `sizes` are number and bytes of pieces that are not kept yet, `last` is the number of the last piece.
    """

    session: Session
    gateway: str
    claim: Claim
    address: str
    unaware: set[str] = field(default_factory=set)
    packer: Packer | None = None
    moved: bool = False
    through_at: float = float("inf")
    number: int = 0
    said_at: float = 0.0
    last: int = 0
    sizes: deque[tuple[int, int]] = field(default_factory=deque)
    timer: int = NO_TIMER


@dataclass(slots=True)
class Goings:
    """All of them, by client id."""

    broker: BrokerState
    registry: Registry
    online: Mapping[str, Connection]
    quarrels: Quarrels
    leftovers: Leftovers
    absent: Absent
    couriers: Couriers
    _going: dict[str, Going]
    _unkept: dict[str, int] = field(default_factory=dict)
    _wakes: float = 0.0

    def __len__(self) -> int:
        return len(self._going)

    def asked_by(self, client_id: str) -> str:
        """The gateway to which the session goes; empty: it does not."""
        self._perhaps_take_back(client_id)
        going = self._going.get(client_id)
        return "" if going is None or going.claim.rest else going.gateway

    def claimed(self, gateway: str, claim: Claim) -> None:
        """A gateway has the client, and asks for the session, or (`rest`) for what is left of it."""
        self._perhaps_take_back(claim.client_id, gateway)
        session = self.broker.sessions.get(claim.client_id)
        going = self._going.get(claim.client_id)
        if claim.rest:
            if session is not None and self.leftovers.has(claim.client_id) and going is None:
                self._start(Going(session, gateway, claim, ""))
            if session is not None:
                return  # if it is not known to be left over yet, it is offered when it is
        answer = self._refusal(gateway, claim, session, going)
        if answer is not None:
            self.broker.elsewhere.tell(gateway, answer)
            return
        if going is not None:
            self._stop(going)  # it asks anew, knowing nothing of the first time
        connection, address = self.online.get(claim.client_id), ""
        if connection is not None:
            address = connection.address
            self._quarrel(claim, address)
            where = self.broker.elsewhere.name_of(gateway)
            # [MQTT-3.1.4-3]
            connection.refuse(Reason.SESSION_TAKEN_OVER, f"its client connected at {where}")
        session = self.broker.sessions.get(claim.client_id)  # it may have ended with its connection
        if session is None:
            self.broker.elsewhere.tell(gateway, Refused(claim.client_id, claim.token))
            return
        before = session.passage or Passage(own=True)
        session.passage = Passage(own=False, barred=before.barred, token=before.token)
        self.broker.routes.cache.clear()
        self._start(Going(session, gateway, claim, address))

    def _perhaps_take_back(self, client_id: str, but: str = "") -> None:
        """The client is elsewhere than where its session goes to, and that gateway (`but` not this one)
        is silent, and has not said that it has it: it stays here."""
        going = self._going.get(client_id)
        if going is None or going.claim.rest or going.moved or going.gateway == but:
            return
        if self.broker.elsewhere.reaches(going.gateway):
            return
        token = going.claim.token
        self.broker.elsewhere.tell(going.gateway, Refused(client_id, token, late=True))
        self.abandoned(going.gateway, client_id, token)

    def _refusal(
        self, gateway: str, claim: Claim, session: Session | None, going: Going | None
    ) -> Refused | None:
        """Why there is nothing for the gateway here."""
        client_id, token = claim.client_id, claim.token
        if going is not None and going.gateway != gateway:
            return Refused(client_id, token, going.gateway)
        entry = self.registry.entry(client_id)
        owner = HERE if entry is None or entry.owner == gateway else entry.owner
        if self.registry.is_missed(client_id, self.broker.sessions):
            return Refused(client_id, token, self.registry.gateway)
        if session is None or not session.number or self.leftovers.has(client_id):
            return Refused(client_id, token, HERE if owner == self.registry.gateway else owner)
        if self.broker.elsewhere.connected_since(client_id)[:2] > claim.stamp:
            return Refused(client_id, token, late=True)
        return None

    def _start(self, going: Going) -> None:
        """What the client published here is everywhere before it can publish there."""
        self._going[going.session.client_id] = going
        ticket = Ticket(lambda: self._begin(going))
        ticket.hold()
        self.broker.elsewhere.hold_until_taken(ticket)
        ticket.release()

    def _begin(self, going: Going) -> None:
        broker, session, claim = self.broker, going.session, going.claim
        if self._going.get(session.client_id) is not going:
            return
        if claim.clean:
            self._end_session(going)
            return
        rest(broker, session)  # [MQTT-3.1.3-9]: its client is back before the will's delay passed
        going.packer = Packer(broker, session, claim.have, claim.whole)
        going.unaware = set(broker.elsewhere.gateways()) - {going.gateway}
        self._pack(going)

    def _end_session(self, going: Going) -> None:
        """[MQTT-3.1.2-4]: the client wants a clean start; CONNACK waits for the disk here."""
        claim, tell = going.claim, self.broker.elsewhere.tell
        self._stop(going)
        ended = Ended(claim.client_id, claim.token, going.address)
        ticket = Ticket(lambda: tell(going.gateway, ended))
        ticket.hold()
        going.session.passage = None
        end_session(self.broker, going.session, ticket)
        ticket.release()

    def turn(self) -> None:
        """The end of a turn: what came to the queue of a session that goes follows it."""
        for going in list(self._going.values()):
            if going.packer is not None:
                self._pack(going)

    def _pack(self, going: Going) -> None:
        packer, broker = going.packer, self.broker
        assert packer is not None, "it has not begun"
        gateway, claim = going.gateway, going.claim
        while not going.number or not (packer.is_done() or going.last):
            if going.number and self._unkept.get(gateway, 0) >= UNKEPT_BYTES_MAX:
                return
            paced = claim.rest and self.couriers.free_at(gateway) > broker.now
            if paced and going.number and broker.now < going.said_at + SIGN_S:
                self._wake_at(self.couriers.free_at(gateway))
                return
            label = packer.label() if not (going.number or claim.have) else b""
            self._send(going, label, packer.nothing() if paced else packer.piece(), False)
        if not going.last and self._is_through(going):
            assert going.session.passage is not None, "it goes"
            going.session.passage.barred = EVERYBODY
            broker.routes.cache.clear()
            self._send(going, b"", packer.piece(), True)
            going.last = going.number

    def _send(self, going: Going, label: bytes, records: bytes, last: bool) -> None:
        going.number += 1
        going.said_at = self.broker.now
        if going.claim.rest and going.packer is not None:
            self.couriers.gives(going.gateway, going.packer.packed)
        claim, packer, size = going.claim, going.packer, len(label) + len(records)
        assert packer is not None, "it has not begun"
        self._unkept[going.gateway] = self._unkept.get(going.gateway, 0) + size
        going.sizes.append((going.number, size))
        about = (going.number, label, records, packer.ready, last, going.address)
        self.broker.elsewhere.tell(going.gateway, Parcel(claim.client_id, claim.token, *about))

    def _wake_at(self, when: float) -> None:
        """Something is to be sent then, and signs to those who have to wait longer."""
        now = self.broker.now
        when = min(when, now + SIGN_S)
        if not now < self._wakes <= when:
            self._wakes = when
            self.broker.timers.set(when, self._fence_due)

    def _is_through(self, going: Going) -> bool:
        if going.claim.rest:
            passage = going.session.passage
            return passage is None or not isinstance(passage.barred, set)
        return going.moved and not (going.unaware and self._is_waited_for(going))

    def _is_waited_for(self, going: Going) -> bool:
        """Whether gateways that have not heard of the move are waited for: for a moment, and for longer
        if it is the new gateway that does not reach them."""
        now = self.broker.now
        if now < going.through_at:
            return True
        is_deaf = self.broker.elsewhere.is_deaf
        apart = any(is_deaf(going.gateway, each) for each in going.unaware)
        if apart and now < going.through_at + APART_S:
            self._wake_at(now + SIGN_S)
            return True
        return False

    def kept(self, gateway: str, answer: Kept) -> None:
        """These pieces are on disk there."""
        going = self._match(gateway, answer.client_id, answer.token)
        if going is None:
            return
        while going.sizes and going.sizes[0][0] <= answer.number:
            self._unkept[gateway] -= going.sizes.popleft()[1]
        if going.last and answer.number >= going.last:
            self._is_over(going)
        else:
            self._pack(going)

    def _is_over(self, going: Going) -> None:
        session, passage = going.session, going.session.passage
        self._stop(going)
        self.leftovers.is_over(session.client_id)
        assert passage is not None, "it went"
        if going.claim.whole:
            self._keep_back(session, going.claim.have)
        else:
            passage.handed_on = passage.handed_on or not going.claim.rest or bool(going.claim.have)
        self.broker.vitals.sessions_went += 1
        tell = self.broker.elsewhere.tell
        forgotten = Forgotten(session.client_id, going.claim.token)
        ticket = Ticket(lambda: tell(going.gateway, forgotten))
        ticket.hold()
        part_with(self.broker, session, ticket)
        ticket.release()

    def _keep_back(self, session: Session, end: int) -> None:
        """What its client had handed over up to this message is the other gateway's to release."""
        for packet_id, message in list(session.unreleased.items()):
            if 0 < message.mid <= end:
                del session.unreleased[packet_id]
                session.unreleased_bytes -= message.bytes_held()
                session.room.let_go(message)
                self.broker.journal.released(message.mid, None)

    def moved(self, gateway: str, said: Moved) -> None:
        """The session is that gateway's now: whoever hears it says so at once, to both ends."""
        tell = self.broker.elsewhere.tell
        going = self._match(gateway, said.client_id, said.token)
        through = Through(said.client_id, said.token)
        if going is not None:
            going.moved = True
            due = going.through_at = self.broker.now + FENCE_S
            going.timer = self.broker.timers.set(due, self._fence_due)
            self._bar(going, gateway)
            self._bar(going, HERE)
        if said.owner:
            self.absent.copied(said.client_id, said.owner, said.start, said.number)
            if said.owner not in (self.registry.gateway, gateway):
                self.absent.tell(said.client_id, said.owner, said.token)
        self.absent.moved(said.client_id, gateway)
        if going is None and said.source not in (self.registry.gateway, gateway):
            tell(said.source, through)
        tell(gateway, through)

    def through(self, gateway: str, said: Through) -> bool:
        """What that gateway publishes from here on is not for the session here."""
        going = self._going.get(said.client_id)
        if going is None or going.claim.token != said.token:
            return False
        going.unaware.discard(gateway)
        self._bar(going, gateway)
        return True

    def _bar(self, going: Going, origin: str) -> None:
        passage = going.session.passage
        if passage is not None and isinstance(passage.barred, set):
            passage.barred.add(origin)
            self.broker.routes.cache.clear()

    def _fence_due(self, now: float) -> None:
        self.broker.at(now)
        self.turn()

    def came(self, gateway: str) -> None:
        """A gateway begins to speak: it does not know what moves."""
        for going in self._going.values():
            passage = going.session.passage
            if gateway != going.gateway and passage is not None and isinstance(passage.barred, set):
                going.unaware.add(gateway)
                passage.barred.discard(gateway)

    def gone(self, gateway: str) -> None:
        """A gateway is dead, or began anew."""
        for going in list(self._going.values()):
            going.unaware.discard(gateway)
            if going.gateway == gateway:
                self.abandoned(gateway, going.session.client_id, going.claim.token)
        self._unkept.pop(gateway, None)

    def abandoned(self, gateway: str, client_id: str, token: int) -> None:
        """The other side gives up, or is gone: the session is whose the registry says."""
        going = self._match(gateway, client_id, token)
        if going is None:
            return
        self._stop(going)
        session = going.session
        entry = self.registry.entry(client_id)
        if self.leftovers.has(client_id):
            return
        here = self.broker.sessions.get(client_id)
        if here is not session:  # it was left here, and the session has come back meanwhile
            if here is not None and here.number:
                absorb(self.broker, session, here)
            else:
                part_with(self.broker, session)
            return
        if entry is not None and entry.owner != self.registry.gateway:
            self.leftovers.leave(session, handed_on=going.number > 0)
            return
        session.passage = None
        self.broker.routes.cache.clear()
        leave_alone(self.broker, session)

    def _stop(self, going: Going) -> None:
        self.broker.timers.drop(going.timer)
        del self._going[going.session.client_id]
        unkept = self._unkept.get(going.gateway, 0) - sum(size for _, size in going.sizes)
        self._unkept[going.gateway] = max(unkept, 0)

    def _match(self, gateway: str, client_id: str, token: int) -> Going | None:
        going = self._going.get(client_id)
        if going is None or (going.gateway, going.claim.token) != (gateway, token):
            return None
        return going

    def _quarrel(self, claim: Claim, address: str) -> None:
        if not claim.address or address == claim.address:
            return
        if self.quarrels.taken(claim.client_id, claim.address, address, self.broker.now):
            text = f"two clients are called {claim.client_id}: at {claim.address} and {address}"
            self.broker.note("warning", text)
