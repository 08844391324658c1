"""Sessions on their way to this gateway, because their client is here: what a CONNECT waits for.

    asked      the gateway that has the session was asked for it; ANSWER_S after its last word it is
               given up, and the session begins with the subscriptions of the registry
    arriving   pieces come, and are told to be kept when they are on disk
    settled    all that was sent to the client is on disk: the registry says that the session is here,
               each gateway is told, the client gets CONNACK. The rest of the queue comes behind; what
               is published meanwhile stands behind that
    over       the last piece is on disk

Between `asked` and `settled` nobody is told anything, so that what fails leaves the session where it
was. The rest of a queue that was left elsewhere, by a death or a cut, comes as `rest`. Must not know
links.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from gateway.broker.absent import Absent
from gateway.broker.bare import absorb, announce, begin_without, set_aside
from gateway.broker.connecting import leave_alone, part_with
from gateway.broker.connection import Connection
from gateway.broker.keeping import NOTHING_OWED, UNREADY, keep_session, subscription_row
from gateway.broker.leftovers import Leftovers
from gateway.broker.parcel import HEAD, Label, Place, Unpacker, read_label
from gateway.broker.passage import Passage, Wish, new_token, with_had, without_had
from gateway.broker.quarrels import Quarrels
from gateway.broker.registry import UNKNOWN_HALF, Registry
from gateway.broker.rests import Numbers, Rests
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.errors import ProtocolError
from gateway.moves import (
    Abandoned,
    Claim,
    Ended,
    Forgotten,
    Kept,
    Move,
    Moved,
    Offered,
    Parcel,
    Refused,
    Through,
)
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket
from gateway.timers import NO_TIMER

# From a gateway that is heard: it may have to wait itself for one that is not, until that is dead. One
# that is not heard for 1.5 s is not asked.
ANSWER_S = 4.0
COPY_ANSWER_S = 10.0  # the same, where a copy of 100 MB is read first
LOOK_S = 0.3  # whether it is still heard: if not, the copy of its store is asked
COMING_MAX = 256  # at once: their first pieces are 32 MB at most; others wait in a line
HOPS_MAX = 5  # gateways that are asked one after the other for a session that moves on and on
USELESS_S = 60.0  # until a copy that did not have a session is asked for it again without a client
FULL_S = 0.5  # until it is looked again whether there is room for more of a queue
_LATE = "its client has connected elsewhere since"
_UNREADABLE = (msgspec.DecodeError, ProtocolError, UnicodeDecodeError)


@dataclass(eq=False, slots=True)
class Coming:
    """One session on its way. `wish` is None once it was granted, or if nobody waits for it. `knows`:
    where the rest is from they know all that its client was sent. `away_since` is when that left.
    `streams` as in a parcel, `have` and `whole` as in a claim. `writing`: the disk here has not taken
    what came of the rest.

    `renewed`: its client has come anew since it was asked for. `follower` is a gateway that asks for
    the session already, and what it said. `owner`: it comes from the copy of that gateway's store, which
    `source` has; `lost` as in a claim. It is given up at `until`.
    """

    client_id: str
    token: int
    source: str
    stamp: tuple[int, int]
    wish: Wish | None
    rest: bool = False
    have: int = 0
    whole: bool = False
    hops: int = 0
    owner: str = ""
    lost: bool = False
    until: float = 0.0
    timer: int = NO_TIMER
    unpacker: Unpacker | None = None
    renewed: bool = False
    knows: bool = True
    away_since: float | None = None
    streams: dict[str, tuple[str, int]] = field(default_factory=dict)
    writing: bool = False
    settled: bool = False
    over: bool = False
    follower: tuple[str, Claim] | None = None


@dataclass(slots=True)
class Comings:
    """All of them, by client id. `asked_by` says who asked for a session that goes; `follow` hands a
    claim on to whoever answers it, `tell` says something to a gateway that has a session, or the copy of
    one: that may be this one."""

    broker: BrokerState
    registry: Registry
    online: Mapping[str, Connection]
    quarrels: Quarrels
    asked_by: Callable[[str], str]
    follow: Callable[[str, Claim], None]
    tell: Callable[[str, Move], None]
    leftovers: Leftovers
    absent: Absent
    rests: Rests = field(init=False)
    _coming: dict[str, Coming] = field(default_factory=dict)
    _rests_coming: int = 0
    _useless: dict[str, float] = field(default_factory=dict)
    _line: deque[Wish] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.rests = Rests(self.broker, self._coming.__contains__, self._ask_for_rest)

    def __len__(self) -> int:
        return len(self._coming)

    def _is_full(self) -> bool:
        """Whether as many sessions come as may at once. Rests do not count: they come at the pace of
        whoever has them, and a client that connects must not wait for that."""
        return len(self._coming) - self._rests_coming >= COMING_MAX

    def fetch(self, wish: Wish) -> bool:
        """False: all that there is of the session is here. Else the wish is granted later."""
        client_id, elsewhere = wish.client_id, self.broker.elsewhere
        coming = self._coming.get(client_id)
        if coming is not None and not coming.rest:
            if coming.settled:
                return False
            if coming.wish is not None:  # [MQTT-3.1.4-3]
                coming.wish.refuse(Reason.SESSION_TAKEN_OVER, "its client connected anew")
            coming.wish, coming.stamp = wish, elsewhere.stamp(self.broker.now)[:2]
            coming.renewed = True
            if coming.follower is not None:
                self._turn_away(*coming.follower)
                coming.follower = None
            return True
        owner = self._where(client_id)
        lost = not owner and self.registry.is_missed(client_id, self.broker.sessions)
        if lost:
            owner = self.registry.gateway
        if not owner:
            return False
        # a link that breaks is back in a moment: LOOK_S later it is looked again
        asks = self._may_answer(owner) or (not lost and elsewhere.heard_lately(owner))
        keeper = "" if wish.clean or asks else elsewhere.copy_of(owner)
        if not (keeper or asks):
            self._begin_without(wish)
            return False
        if self._is_full():
            self._line.append(wish)
        elif keeper:
            self._ask(wish, keeper, None, owner, lost)
        else:
            self._ask(wish, owner, None)
        return True

    def _may_answer(self, gateway: str) -> bool:
        """Whether it is heard, by this gateway or by another one: dead to this gateway alone is not
        dead, and what is on its way to a session there must find it there."""
        return self.broker.elsewhere.reaches(gateway) or self.broker.elsewhere.others_hear(gateway)

    def _where(self, client_id: str) -> str:
        """The gateway that has the session; empty: this one, or nobody."""
        session = self.broker.sessions.get(client_id)
        if session is not None and (session.passage is None or session.passage.own):
            return ""
        asked_by = self.asked_by(client_id)
        if asked_by:
            return asked_by
        entry = self.registry.entry(client_id)
        return "" if entry is None or entry.owner == self.registry.gateway else entry.owner

    def _ask(
        self, wish: Wish, source: str, before: Coming | None, owner: str = "", lost: bool = False
    ) -> None:
        """Asks the gateway that has it, or the copy of its `owner`, which may have `lost` it. Another
        one was asked `before`: the client is as old as then."""
        broker = self.broker
        stamp = broker.elsewhere.stamp(broker.now)
        token = new_token(stamp)
        coming = Coming(wish.client_id, token, source, stamp[:2], wish)
        coming.owner, coming.lost = owner, lost
        if before is not None:
            coming.stamp, coming.hops = before.stamp, before.hops + 1
            coming.follower = before.follower
        self._coming[wish.client_id] = coming
        self._wait(coming)
        self._say_claim(coming, wish)

    def _say_claim(self, coming: Coming, wish: Wish) -> None:
        about = (coming.client_id, coming.token, coming.stamp, wish.clean, wish.address)
        self.tell(coming.source, Claim(*about, owner=coming.owner, lost=coming.lost))

    def is_asked(self, gateway: str, claim: Claim) -> bool:
        """Another gateway claims a session: True if it is on its way here, and what becomes of that is
        seen to. Who asks for the rest only has no client, and turns nobody away."""
        coming = self._coming.get(claim.client_id)
        if coming is None or claim.rest:
            return False
        newer = claim.stamp > coming.stamp
        if coming.rest:  # it began with an offer, not with a client
            newer = claim.stamp > self.broker.elsewhere.connected_since(claim.client_id)[:2]
        if coming.follower is not None:
            newer = newer and claim.stamp > coming.follower[1].stamp
        if not newer:
            self._turn_away(gateway, claim)
            return True
        if coming.wish is not None:
            coming.wish.refuse(Reason.SESSION_TAKEN_OVER, _LATE)
            coming.wish = None
        if coming.follower is not None:
            self._turn_away(*coming.follower)
        coming.follower = (gateway, claim)
        return True

    def _turn_away(self, gateway: str, claim: Claim) -> None:
        answer = Refused(claim.client_id, claim.token, late=True)
        self.broker.elsewhere.tell(gateway, answer)

    def parcel(self, gateway: str, piece: Parcel) -> None:
        """A piece came."""
        coming = self._match(gateway, piece.client_id, piece.token)
        if coming is None:  # it was given up
            self.tell(gateway, Abandoned(piece.client_id, piece.token))
            return
        self._wait(coming)
        coming.writing = coming.rest
        ticket = Ticket(lambda: self._kept(coming, piece), lambda why: self._failed(coming, why))
        ticket.hold()
        try:
            self._take(coming, piece, ticket)
        except _UNREADABLE as error:
            self._failed(coming, f"what came cannot be read: {error}")
        ticket.release()

    def _take(self, coming: Coming, piece: Parcel, ticket: Ticket) -> None:
        broker = self.broker
        if coming.unpacker is None:
            label = read_label(piece.label, broker.journal)
            self._quarrel(coming, piece.address)
            coming.unpacker = Unpacker(broker)
            coming.away_since = broker.journal.monotonic_s(label.session.away_ms)
            passage = Passage(own=False, owed=(coming.source, UNREADY), handed_on=True)
            if coming.owner:
                label = self._with_filters(label)
                coming.streams = {name: (start, number) for name, start, number in piece.streams}
            self._set_aside(coming.client_id)
            coming.unpacker.begin(label, passage, ticket)
        unpacker = coming.unpacker
        if coming.rest and piece.label:
            label = read_label(piece.label, broker.journal)
            unpacker.widen(label, ticket)
            coming.knows = not label.session.halves & UNKNOWN_HALF
        unpacker.add(piece.records, ticket)
        session = unpacker.session
        if session.passage is None:
            session.passage = Passage(own=True)
        self._note_progress(coming, piece, session, session.passage)
        if coming.rest and piece.last and not coming.have and coming.knows:
            session.halves &= ~UNKNOWN_HALF  # it is known now what the client was sent there
        self._write(session, ticket)

    def _note_progress(
        self, coming: Coming, piece: Parcel, session: Session, passage: Passage
    ) -> None:
        """What is not wanted again, if this ends before all is here."""
        unpacker = coming.unpacker
        assert unpacker is not None, "a piece was taken"
        here = max(unpacker.mid, HEAD)
        if not coming.rest or passage.owed[0] == coming.source:
            ready = piece.ready or coming.rest
            passage.owed = (coming.source, unpacker.mid if ready else UNREADY)
            passage.copy = coming.owner
        elif piece.ready:
            session.had = with_had(session.had, coming.source, here, coming.whole)
        if coming.owner:
            end = piece.end if piece.last else here
            session.had = with_had(session.had, coming.owner, end, piece.last)
            if piece.last:
                passage.owed, passage.copy = NOTHING_OWED, ""  # nobody offers what is in a copy

    def _with_filters(self, label: Label) -> Label:
        """The subscriptions of a session from a copy: the registry knows them better, if it has all."""
        entry = self.registry.entry(label.session.client_id)
        if entry is None or not entry.whole:
            return label
        unshown = {name for name, row in label.subscriptions if row.unshown}
        rows = [
            (each.topic_filter, subscription_row(each, each.topic_filter in unshown))
            for each in entry.subscriptions()
        ]
        return replace(label, subscriptions=rows)

    def _write(self, session: Session, ticket: Ticket | None) -> None:
        connection = self.online.get(session.client_id)
        will = None if connection is None else connection.will
        self.broker.written_away.discard(session.client_id)
        keep_session(self.broker.journal, session, will, None, ticket)

    def _kept(self, coming: Coming, piece: Parcel) -> None:
        """It is on disk."""
        coming.writing = False
        if coming.over:
            return
        if piece.ready and not coming.settled:
            self._settle(coming)
        if piece.last:
            self.tell(coming.source, Kept(coming.client_id, coming.token, piece.number))
            self._complete(coming)
        else:
            self._go_on(coming, piece.number)

    def _go_on(self, coming: Coming, number: int) -> None:
        """Asks for more, as soon as there is room for it."""
        broker = self.broker
        if coming.over:
            return
        if broker.room.left() < 0:
            self._wait(coming)
            broker.timers.set(broker.now + FULL_S, lambda now: self._go_on_at(coming, number, now))
            return
        self.tell(coming.source, Kept(coming.client_id, coming.token, number))

    def _go_on_at(self, coming: Coming, number: int, now: float) -> None:
        self.broker.at(now)
        self._go_on(coming, number)

    def _settle(self, coming: Coming) -> None:
        """From here on the session is this gateway's."""
        coming.settled = True
        if coming.rest:
            return
        broker, client_id = self.broker, coming.client_id
        assert coming.unpacker is not None, "kept and not unpacked"
        session = coming.unpacker.session
        coming.unpacker.route()
        if coming.owner:
            known = coming.streams.get(self.registry.gateway, ("", 0))
            self.absent.copied(client_id, coming.owner, *known)
        old = broker.aside.pop(client_id, None)
        if old is not None:
            absorb(broker, old, session)
        elif not self.leftovers.is_going(client_id):
            session.had = without_had(session.had, self.registry.gateway)
        broker.changed(client_id)
        self.absent.drop(client_id)
        announce(broker, session, coming.source, coming.token, coming.owner, coming.streams)
        if coming.owner not in ("", self.registry.gateway):
            self.absent.tell(client_id, coming.owner, coming.token)
        broker.vitals.sessions_came += 1
        if coming.owner:
            own = coming.owner == self.registry.gateway
            where = "the disk that is gone" if own else broker.elsewhere.name_of(coming.owner)
            broker.note("info", f"{client_id} is served from the copy of {where}")
        self._grant(coming)
        if client_id not in self.online and broker.sessions.get(client_id) is session:
            leave_alone(broker, session, coming.away_since)

    def _grant(self, coming: Coming) -> None:
        wish, coming.wish = coming.wish, None
        if wish is not None and wish.wanted():
            wish.go()

    def _complete(self, coming: Coming) -> None:
        """All that there was is here."""
        assert coming.unpacker is not None, "kept and not unpacked"
        self._end(coming)
        if coming.rest:
            self.broker.vitals.sessions_merged += 1
            self.broker.changed(coming.client_id)
        self._join(coming)

    def _join(self, coming: Coming) -> None:
        """The next one is asked that has something of the session. If nobody has, what came meanwhile
        follows."""
        assert coming.unpacker is not None, "it is here"
        session = coming.unpacker.session
        if self.broker.sessions.get(coming.client_id) is session:
            if self.rests.next(session):
                self._coming[coming.client_id].follower = coming.follower
                return
            self._close(session)
        if coming.follower is not None:
            self.follow(*coming.follower)

    def _close(self, session: Session) -> None:
        session.backlog.join()
        self._perhaps_arrived(session)
        session.send_waiting(self.broker.now)

    def _perhaps_arrived(self, session: Session) -> None:
        passage = session.passage
        if passage is None or not passage.own or session.client_id in self._coming:
            return
        if not passage.barred and passage.owed == NOTHING_OWED:
            session.passage = None
            self.broker.routes.cache.clear()

    def _end(self, coming: Coming) -> None:
        """The conversation is over."""
        coming.over = True
        self.broker.timers.drop(coming.timer)
        if self._coming.get(coming.client_id) is coming:
            del self._coming[coming.client_id]
            self._rests_coming -= coming.rest
        if self._line and not self._is_full():
            wish = self._line.popleft()
            if wish.wanted() and not self.fetch(wish):
                wish.go()

    def forgotten(self, gateway: str, said: Forgotten) -> None:
        """The gateway from which it came has nothing of it any more, whatever happens there."""
        session = self.broker.sessions.get(said.client_id)
        if session is None or not session.number:
            return
        passage, had = session.passage, without_had(session.had, gateway)
        is_owed = passage is not None and passage.owed[0] == gateway and not passage.copy
        if passage is not None and is_owed:
            passage.owed = NOTHING_OWED
        if is_owed or had != session.had:
            session.had = had
            self._write(session, None)
            self._perhaps_arrived(session)

    def ended(self, gateway: str, answer: Ended) -> None:
        """The old session is over, for a client that wants a clean start."""
        coming = self._match(gateway, answer.client_id, answer.token)
        if coming is not None:
            self._quarrel(coming, answer.address)
            self._finish(coming)

    def refused(self, gateway: str, answer: Refused) -> None:
        """The session is not there."""
        coming = self._match(gateway, answer.client_id, answer.token)
        if coming is None or (coming.settled and not coming.rest):
            return
        wish, owner = coming.wish, answer.owner
        if coming.rest:
            self._has_no_rest(coming)
            return
        if coming.owner and answer.owner == coming.owner and not answer.late:
            self._useless[coming.client_id] = self.broker.now + USELESS_S
        self._undo(coming)
        if answer.late and coming.renewed:  # not for who waits now
            owner = coming.owner or coming.source
        if answer.late and not coming.renewed:
            self._end(coming)
            if wish is not None:
                wish.refuse(Reason.SESSION_TAKEN_OVER, _LATE)
            if coming.follower is not None:
                self.follow(*coming.follower)
        elif answer.late and coming.owner and self._turn_to_copy(coming, owner, coming.lost):
            pass
        elif owner == gateway and not (answer.late or coming.owner):  # it has lost it
            if not self._turn_to_copy(coming, owner, lost=True):
                self._end(coming)
                self._begin_bare(coming)
        elif owner == self.registry.gateway and not coming.lost:
            self._finish(coming)
        elif coming.lost and owner == coming.owner:
            self._end(coming)
            self._begin_bare(coming)
        elif wish is not None and self._may_answer(owner) and coming.hops < HOPS_MAX:
            self._ask_on(coming, wish, owner)
        elif owner and owner != coming.owner and self._turn_to_copy(coming, owner):
            pass
        elif coming.owner:
            self._end(coming)
            self._begin_bare(coming)
        else:
            self._finish(coming)

    def _has_no_rest(self, coming: Coming) -> None:
        """The gateway that was asked for the rest has nothing."""
        session = self.broker.sessions.get(coming.client_id)
        if session is not None and session.passage is not None and coming.owner:
            session.passage.copy = ""
        self._end(coming)
        self.forgotten(coming.source, Forgotten(coming.client_id, coming.token))
        self._join(coming)

    def _ask_on(
        self, coming: Coming, wish: Wish, source: str, owner: str = "", lost: bool = False
    ) -> None:
        """Another gateway, for the same."""
        if not coming.over:
            self._end(coming)
        self._ask(wish, source, coming, owner, lost)

    def _turn_to_copy(self, coming: Coming, owner: str, lost: bool = False) -> bool:
        """The gateway that has the session does not answer; whether another one can stand for it."""
        wish, keeper = coming.wish, self.broker.elsewhere.copy_of(owner)
        if wish is None or not wish.wanted() or wish.clean:
            return False
        if not keeper or coming.hops >= HOPS_MAX:
            return False
        self._ask_on(coming, wish, keeper, owner, lost)
        return True

    def _turn_elsewhere(self, coming: Coming) -> bool:
        """Who was asked has failed: whether there is another road. A copy may have failed when its owner
        is back."""
        wish = coming.wish
        if not coming.owner:
            return self._turn_to_copy(coming, coming.source)
        if coming.lost or coming.hops >= HOPS_MAX or not self._may_answer(coming.owner):
            return False
        if wish is None or not wish.wanted():
            return False
        self._ask_on(coming, wish, coming.owner)
        return True

    def _begin_bare(self, coming: Coming) -> None:
        """Nobody who has the session can be asked."""
        if coming.wish is not None and coming.wish.wanted():
            self._begin_without(coming.wish)
        self._grant(coming)
        if coming.follower is not None:
            self.follow(*coming.follower)

    def _begin_without(self, wish: Wish) -> None:
        client_id = wish.client_id
        entry = self.registry.entry(client_id)
        if entry is not None:
            self.absent.copied(client_id, entry.owner, "", 0)
            self._set_aside(client_id)
            begin_without(self.broker, self.registry, wish, entry)
            token = new_token(self.broker.elsewhere.stamp(self.broker.now))
            self.absent.tell(client_id, entry.owner, token)
            self.absent.drop(client_id)

    def _finish(self, coming: Coming) -> None:
        """Nothing comes: the client is served with what is here."""
        self._end(coming)
        wish = coming.wish
        if wish is not None and self._where(coming.client_id) and not coming.rest:
            session = self.broker.sessions.get(coming.client_id)
            if session is not None:  # what is here is another gateway's, which has nothing
                self._begin_without(wish)
        self._grant(coming)
        if coming.follower is not None:
            self.follow(*coming.follower)

    def _wait(self, coming: Coming) -> None:
        """The other gateway has said something, or is about to."""
        self.broker.timers.drop(coming.timer)
        reads = coming.owner and coming.unpacker is None
        coming.until = self.broker.now + (COPY_ANSWER_S if reads else ANSWER_S)
        self._look_again(coming)

    def _look_again(self, coming: Coming) -> None:
        due = min(self.broker.now + LOOK_S, coming.until)
        coming.timer = self.broker.timers.set(due, lambda now: self._late(coming, now))

    def _late(self, coming: Coming, now: float) -> None:
        self.broker.at(now)
        coming.timer = NO_TIMER
        if now < coming.until and not self._is_lost(coming):
            self._look_again(coming)
        elif (coming.settled or coming.writing) and self.broker.elsewhere.reaches(coming.source):
            self._wait(coming)  # for others to say that they know, or for the disk here
        else:
            self._give_up(coming)

    def _is_lost(self, coming: Coming) -> bool:
        """Whether its gateway is not heard any more, and there is another road."""
        elsewhere, source = self.broker.elsewhere, coming.source
        here = source == self.registry.gateway
        if coming.settled or coming.rest or here or elsewhere.reaches(source):
            return False
        if elsewhere.others_hear(source):
            return False  # a road there is found within seconds
        return bool(coming.owner or elsewhere.copy_of(source))

    def _failed(self, coming: Coming, why: str) -> None:
        """It cannot be kept, or read: it stays where it is."""
        if coming.over:
            return
        broker = self.broker
        broker.note("error", f"the session {coming.client_id} cannot be taken over: {why}")
        if coming.settled:
            self._give_up(coming)
            return
        wish, coming.wish = coming.wish, None
        self._give_up(coming)
        if wish is not None:
            wish.refuse(Reason.QUOTA_EXCEEDED, why)

    def _give_up(self, coming: Coming) -> None:
        """No more is waited for: the client is served with what is known."""
        self.tell(coming.source, Abandoned(coming.client_id, coming.token))
        self._end(coming)
        if coming.rest or coming.settled:
            self._join(coming)
            return
        self._undo(coming)
        if not self._turn_elsewhere(coming):
            self._begin_bare(coming)

    def _set_aside(self, client_id: str) -> None:
        """What is left here of an older epoch makes room. If it is on its way to another gateway it goes
        on with that."""
        old = set_aside(self.broker, client_id)
        if old is not None and not self.leftovers.is_going(client_id):
            self.broker.aside[client_id] = old

    def _undo(self, coming: Coming) -> None:
        """Nothing more comes before the session is settled: what came is nothing."""
        unpacker, coming.unpacker = coming.unpacker, None
        if unpacker is not None:
            part_with(self.broker, unpacker.session)
        old = self.broker.aside.pop(coming.client_id, None)
        if old is not None:
            self.leftovers.leave_again(old)

    def offered(self, gateway: str, offer: Offered) -> None:
        """A gateway that is not the owner of the session has something of it."""
        broker, client_id = self.broker, offer.client_id
        session = broker.sessions.get(client_id)
        if session is not None and (session.passage is None or session.passage.own):
            if session.line == offer.line:
                self.rests.line_up(gateway, session, offer.token, offer.waiting)
            return  # of another line nobody wants it, as the registry says
        entry = self.registry.entry(client_id)
        if entry is not None and broker.elsewhere.is_given_up(entry.owner):
            self.adopt(client_id, entry.owner)

    def adopt(self, client_id: str, owner: str) -> None:
        """The session is wanted here though its client is not: its owner is dead, and the copy of its
        store is here. If that cannot be, nothing happens."""
        here, elsewhere = self.registry.gateway, self.broker.elsewhere
        if client_id in self._coming or self._is_full():
            return
        if elsewhere.copy_of(owner) != here or not self._is_worth_asking(client_id):
            return
        stamp = elsewhere.stamp(self.broker.now)
        coming = Coming(client_id, new_token(stamp), here, stamp[:2], None, owner=owner)
        self._coming[client_id] = coming
        self._wait(coming)
        self.tell(here, Claim(client_id, coming.token, coming.stamp, owner=owner))

    def _is_worth_asking(self, client_id: str) -> bool:
        """Whether the copy was not found to be of no use for this session a while ago."""
        broker = self.broker
        for each, until in list(self._useless.items()):
            if until > broker.now:
                break
            del self._useless[each]
        return client_id not in self._useless

    def _ask_for_rest(self, gateway: str, session: Session, token: int, numbers: Numbers) -> None:
        """Of a session that is here, from where it was before, or where it is left over."""
        broker, client_id = self.broker, session.client_id
        passage, have, whole, owner = session.passage, 0, False, ""
        if passage is not None and passage.owed[0] == gateway:
            have, owner = passage.owed[1], passage.copy
        else:
            for name, number, is_whole in session.had:
                if name == gateway:
                    have, whole = number, is_whole
        stamp = broker.elsewhere.stamp(broker.now)[:2]
        coming = Coming(client_id, token, gateway, stamp, None, rest=True, have=have, owner=owner)
        coming.whole = whole
        coming.unpacker = Unpacker(broker, session, Place.NUMBERED, numbers)
        coming.unpacker.mid = have
        self._coming[client_id] = coming
        self._rests_coming += 1
        self._wait(coming)
        claim = Claim(client_id, token, stamp, rest=True, have=have, owner=owner, whole=whole)
        self.tell(gateway, claim)

    def restored(self) -> None:
        """The disk has said all: what comes from a copy here, and was not all here, goes on."""
        self._ask_for_rests(self.registry.gateway)

    def through(self, gateway: str, said: Through) -> bool:
        """What that gateway publishes from here on is for the session here; False: that is not so."""
        session = self.broker.sessions.get(said.client_id)
        passage = None if session is None else session.passage
        if session is None or passage is None or passage.token != said.token:
            return False
        if isinstance(passage.barred, set):
            passage.barred.discard(gateway)
            self._perhaps_arrived(session)
        return True

    def came(self, gateway: str) -> None:
        """A gateway begins to speak: it does not know what moves."""
        for coming in list(self._coming.values()):
            if coming.source == gateway and coming.wish is not None and coming.unpacker is None:
                self._say_claim(coming, coming.wish)
            session = None if coming.unpacker is None else coming.unpacker.session
            if not coming.settled or coming.rest or session is None or session.passage is None:
                continue
            if isinstance(session.passage.barred, set):
                session.passage.barred.add(gateway)
                moved = Moved(coming.client_id, coming.token, coming.source)
                self.broker.elsewhere.tell(gateway, moved)
        self._unbar(gateway)
        self._ask_for_rests(gateway)

    def _ask_for_rests(self, gateway: str) -> None:
        for session in list(self.broker.sessions.values()):
            passage = session.passage
            if passage is None or not passage.own or session.client_id in self._coming:
                continue
            if passage.owed[0] == gateway:
                self.rests.line_up(gateway, session)

    def gone(self, gateway: str) -> None:
        """A gateway is dead, or began anew."""
        self.rests.gone(gateway)
        for coming in list(self._coming.values()):
            if coming.source == gateway:
                self._give_up(coming)
        self._unbar(gateway, gone=True)

    def _unbar(self, gateway: str, gone: bool = False) -> None:
        """What it said before is over: of sessions that are here it may speak, but for those that come;
        one that is `gone` says nothing more of any."""
        for session in list(self.broker.sessions.values()):
            passage = session.passage
            if passage is None or not isinstance(passage.barred, set):
                continue
            if (gone or session.client_id not in self._coming) and passage.own:
                passage.barred.discard(gateway)
                self._perhaps_arrived(session)

    def _match(self, gateway: str, client_id: str, token: int) -> Coming | None:
        coming = self._coming.get(client_id)
        if coming is None or (coming.source, coming.token) != (gateway, token):
            return None
        return coming

    def _quarrel(self, coming: Coming, address: str) -> None:
        """The client was connected at that address until this gateway asked for its session."""
        wish, broker = coming.wish, self.broker
        if wish is None or not address or address == wish.address:
            return
        if self.quarrels.taken(coming.client_id, wish.address, address, broker.now):
            text = f"two clients are called {coming.client_id}: at {wish.address} and {address}"
            broker.note("warning", text)
