"""Sessions of gateways that are gone, given on from the copies of their stores that are here.

    reading   the copy is read into a shade: a broker without clients, journal and wills, which has the
              sessions as a restart of that gateway would find them. Who claims one meanwhile waits
    giving    a session goes from the shade to the gateway that has its client, in the same pieces as
              from one that lives. Which session went where is on disk here before the first leaves, so
              that nobody else is given it, after a crash of this gateway either
    given     the other side has all of it on disk: the shade has it no more

Whoever takes a session remembers the last message number of the copy: when the lost gateway is back
with its store, what it has up to there is not wanted. A shade sends nothing by itself: its wills are
with their keepers. It is dropped when it is empty, or nobody has asked for a while, and is read again
when it is needed; one of a gateway that lives (but was silent for somebody) after each use, for the copy
goes on. Must not know links, or files.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.broker.elsewhere import Nowhere
from gateway.broker.going import UNKEPT_BYTES_MAX
from gateway.broker.keeping import SESSION, STREAM, SUBSCRIPTION, GivenRow, keep_given
from gateway.broker.living import restore
from gateway.broker.parcel import Packer
from gateway.broker.records import Enqueued, Record, Stored
from gateway.broker.registry import UNKNOWN_HALF, Registry
from gateway.broker.retained import Retained
from gateway.broker.room import Room
from gateway.broker.routes import Routes
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.broker.unfinished import Unfinished
from gateway.moves import Claim, Ended, Forgotten, Kept, Move, Parcel, Refused
from gateway.tickets import Ticket

Streams = tuple[tuple[str, str, int], ...]

SHADES_MAX = 2  # at once: each may be as large as a gateway's memory for what waits
_WANTED = (SESSION, SUBSCRIPTION, STREAM)  # of the rows
IDLE_S = 60.0  # nobody asked: the others of its sessions wait on the disk


@dataclass(eq=False, slots=True)
class Shade:
    """What a copy says. `broker` is None while it is being read; `end` is its last message number."""

    broker: BrokerState | None = None
    end: int = 0
    used_at: float = 0.0
    waiting: list[tuple[str, Claim]] = field(default_factory=list)

    def streams(self) -> Streams:
        """Up to where the copy has the streams of other gateways."""
        rows = () if self.broker is None else self.broker.streams.rows()
        return tuple((gateway, row.start, row.number) for gateway, row in rows)


@dataclass(eq=False, slots=True)
class Giving:
    """One session on its way. `packer` is None until the disk knows where it goes; `sizes` are number
    and bytes of pieces that are not kept yet, `last` is the number of the last piece."""

    shade: Shade
    session: Session
    gateway: str
    claim: Claim
    packer: Packer | None = None
    number: int = 0
    last: int = 0
    sizes: deque[tuple[int, int]] = field(default_factory=deque)


class Shades:
    """All of them, by the gateway, and whether they are of the store that it had before. `tell` says
    something to a gateway, this one too."""

    def __init__(
        self, broker: BrokerState, registry: Registry, tell: Callable[[str, Move], None]
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._tell = tell
        self._shades: dict[tuple[str, bool], Shade] = {}
        self._giving: dict[str, Giving] = {}
        self._unkept: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._giving) + sum(len(shade.waiting) for shade in self._shades.values())

    def claimed(self, gateway: str, claim: Claim) -> None:
        """A gateway has the client of a session of `claim.owner`, which it cannot ask."""
        refusal = self._refusal(gateway, claim)
        given = self._broker.given.get(claim.client_id)
        lost = given.lost if claim.rest and given is not None else claim.lost
        shade = self._shades.get((claim.owner, lost))
        if refusal is None and shade is None:
            shade = self._read(claim.owner, lost)
        if refusal is not None or shade is None:
            self._tell(gateway, refusal or _has_nothing(claim))
        elif shade.broker is None:
            shade.waiting.append((gateway, claim))
        else:
            self._give(shade, shade.broker, gateway, claim)

    def _refusal(self, gateway: str, claim: Claim) -> Refused | None:
        """Why it does not get the session, or the rest of it."""
        client_id, token = claim.client_id, claim.token
        given = self._broker.given.get(client_id)
        if claim.rest:
            own = given is not None and (given.owner, given.gateway) == (claim.owner, gateway)
            return None if own else Refused(client_id, token)
        entry = self._registry.entry(client_id)
        if entry is None or entry.owner != claim.owner:
            return Refused(client_id, token, claim.owner if entry is None else entry.owner)
        giving = self._giving.get(client_id)
        if giving is not None and giving.gateway != gateway:
            return Refused(client_id, token, giving.gateway)
        if given is not None and self._has_gone(client_id, given, gateway):
            return Refused(client_id, token, given.gateway)
        if self._broker.elsewhere.connected_since(client_id)[:2] > claim.stamp:
            return Refused(client_id, token, late=True)
        return None

    def _has_gone(self, client_id: str, given: GivenRow, gateway: str) -> bool:
        """Whether another gateway may have it. One that is heard, and does not say so, never had
        all that was sent to the client."""
        if given.gateway == gateway or given.born != self._born(client_id):
            return False
        return not self._broker.elsewhere.reaches(given.gateway)

    def _read(self, owner: str, lost: bool) -> Shade | None:
        """None: there are as many as may be, and all are in use."""
        if len(self._shades) >= SHADES_MAX:
            self._drop_idle(0.0)
        if len(self._shades) >= SHADES_MAX:
            return None
        broker = self._broker
        shade = self._shades[owner, lost] = Shade(used_at=broker.now)
        blank = shade_of(broker)

        def make(
            rows: Mapping[tuple[str, str], bytes], batches: Iterable[list[Record]]
        ) -> tuple[BrokerState, int]:
            return blank, _fill(blank, rows, batches)

        def then(made: Any, why: str) -> None:
            if why:
                del self._shades[owner, lost]
            self._is_read(owner, shade, made, why)

        broker.elsewhere.read_copy(owner, lost, make, then)
        return shade

    def _is_read(self, owner: str, shade: Shade, made: Any, why: str) -> None:
        waiting, shade.waiting = shade.waiting, []
        if why:
            where = self._broker.elsewhere.name_of(owner)
            self._broker.note("error", f"the copy of {where} is of no use: {why}")
            for gateway, claim in waiting:
                self._tell(gateway, _has_nothing(claim))
            return
        shade.broker, shade.end = made
        self._broker.effects += made[0].effects
        made[0].effects.clear()
        for gateway, claim in waiting:
            self.claimed(gateway, claim)

    def _give(self, shade: Shade, found: BrokerState, gateway: str, claim: Claim) -> None:
        broker, client_id = self._broker, claim.client_id
        shade.used_at = broker.now
        entry, session = self._registry.entry(client_id), found.sessions.get(client_id)
        known = session is not None and entry is not None and session.line == entry.line
        if session is None or entry is None or not known:
            self._tell(gateway, _has_nothing(claim))
            return
        if not claim.rest and session.epoch < entry.epoch:  # the copy was not gone on with
            self._tell(gateway, _has_nothing(claim))
            return
        if found.away.get(client_id, found.now) + session.expiry_s <= broker.now:
            self._tell(gateway, Ended(client_id, claim.token))
            return
        self._stop(client_id)
        giving = self._giving[client_id] = Giving(shade, session, gateway, claim)
        if claim.rest:
            self._begin(giving)
            return
        given = GivenRow(claim.owner, gateway, self._born(client_id), claim.lost)
        broker.given[client_id] = given
        ticket = Ticket(lambda: self._begin(giving), lambda why: self._fails(giving))
        ticket.hold()
        keep_given(broker.journal, client_id, given, ticket)
        ticket.release()

    def _begin(self, giving: Giving) -> None:
        shade, claim = giving.shade, giving.claim
        if self._giving.get(claim.client_id) is not giving or shade.broker is None:
            return
        giving.packer = Packer(shade.broker, giving.session, claim.have)
        self._pack(giving)

    def _fails(self, giving: Giving) -> None:
        """The disk does not take where it goes: then it does not go."""
        if self._giving.get(giving.claim.client_id) is giving:
            self._stop(giving.claim.client_id)
            self._broker.given.pop(giving.claim.client_id, None)
            self._tell(giving.gateway, _has_nothing(giving.claim))

    def _pack(self, giving: Giving) -> None:
        packer, gateway, claim = giving.packer, giving.gateway, giving.claim
        if packer is None:
            return
        while not giving.last:
            if giving.number and self._unkept.get(gateway, 0) >= UNKEPT_BYTES_MAX:
                return
            label = b"" if giving.number or claim.have else packer.label()
            records = packer.piece()
            giving.number += 1
            last = packer.is_done()
            giving.last = giving.number if last else 0
            size = len(label) + len(records)
            giving.sizes.append((giving.number, size))
            self._unkept[gateway] = self._unkept.get(gateway, 0) + size
            about = (giving.number, label, records, packer.ready, last, "", giving.shade.end)
            streams = giving.shade.streams() if label else ()
            self._tell(gateway, Parcel(claim.client_id, claim.token, *about, streams))

    def kept(self, gateway: str, answer: Kept) -> None:
        """These pieces are on disk there."""
        giving = self._match(gateway, answer.client_id, answer.token)
        if giving is None:
            return
        while giving.sizes and giving.sizes[0][0] <= answer.number:
            self._unkept[gateway] -= giving.sizes.popleft()[1]
        if not giving.last or answer.number < giving.last:
            self._pack(giving)
            return
        self._stop(answer.client_id)
        if giving.shade.broker is not None:
            giving.shade.broker.sessions.pop(answer.client_id, None)
        self._broker.vitals.sessions_went += 1
        self._tell(gateway, Forgotten(answer.client_id, answer.token))

    def abandoned(self, gateway: str, client_id: str, token: int) -> None:
        """The other side gives up: what it had of it is nothing."""
        giving = self._match(gateway, client_id, token)
        if giving is None:
            return
        self._stop(client_id)
        if not giving.claim.rest and self._broker.given.pop(client_id, None) is not None:
            keep_given(self._broker.journal, client_id, None, None)

    def gone(self, gateway: str) -> None:
        """A gateway is dead, or began anew. What it was given it may have."""
        for client_id, giving in list(self._giving.items()):
            if giving.gateway == gateway:
                self._stop(client_id)
        self._unkept.pop(gateway, None)

    def turn(self) -> None:
        """The end of a turn: what waited for others to be kept goes on."""
        if not self._shades:
            return
        for giving in list(self._giving.values()):
            self._pack(giving)
        self._drop_idle(IDLE_S)

    def registered(self, client_ids: Iterable[str]) -> None:
        """The registry has news: what became of these is known without remembering it, once the other
        side has all of it, and is not asking for the rest."""
        given = self._broker.given
        for client_id in client_ids:
            row = given.get(client_id)
            if row is None or client_id in self._giving or self._is_needed(client_id, row):
                continue
            del given[client_id]
            keep_given(self._broker.journal, client_id, None, None)

    def _is_needed(self, client_id: str, given: GivenRow) -> bool:
        """Its owner is still said to be the lost one, or its taker may want the rest."""
        entry = self._registry.entry(client_id)
        return entry is not None and (
            entry.owner == given.gateway or self._born(client_id) == given.born
        )

    def _drop_idle(self, idle_s: float) -> None:
        broker = self._broker
        used = {id(giving.shade) for giving in self._giving.values()}
        for (owner, lost), shade in list(self._shades.items()):
            if shade.broker is None or id(shade) in used:
                continue
            idle = broker.now - shade.used_at >= idle_s
            goes_on = not lost and broker.elsewhere.reaches(owner)
            if idle or goes_on or not shade.broker.sessions:
                del self._shades[owner, lost]

    def _born(self, client_id: str) -> tuple[int, int, str]:
        row = self._registry.table.get(client_id)
        assert row is not None, "it was looked up before"
        return row.born.time_ms, row.born.counter, row.born.gateway

    def _stop(self, client_id: str) -> None:
        giving = self._giving.pop(client_id, None)
        if giving is not None:
            unkept = self._unkept.get(giving.gateway, 0) - sum(size for _, size in giving.sizes)
            self._unkept[giving.gateway] = max(unkept, 0)

    def _match(self, gateway: str, client_id: str, token: int) -> Giving | None:
        giving = self._giving.get(client_id)
        if giving is None or (giving.gateway, giving.claim.token) != (gateway, token):
            return None
        return giving


def _has_nothing(claim: Claim) -> Refused:
    """The session is still that gateway's, and cannot be had from here."""
    return Refused(claim.client_id, claim.token, claim.owner)


def shade_of(broker: BrokerState) -> BrokerState:
    """An empty broker like this one, of the same time, that nobody hears."""
    settings, nowhere = broker.settings, Nowhere()
    shade = BrokerState(
        *(settings, nowhere, broker.random, Routes(nowhere)),
        Retained(settings.retained_messages_max, settings.retained_bytes_max, lambda topic: None),
        *(broker.journal.shade(), broker.logins, broker.bounds),
        Room(settings.waiting_bytes_max),
        Unfinished(settings.unfinished_bytes_max),
    )
    shade.now = broker.now
    return shade


def _fill(
    shade: BrokerState, rows: Mapping[tuple[str, str], bytes], batches: Iterable[list[Record]]
) -> int:
    """Makes the sessions; returns the last message number. May be called on any thread."""
    wanted = {name: row for name, row in rows.items() if name[0] in _WANTED}
    numbers = {int(key) for kind, key in wanted if kind == SESSION}
    end = 0

    def seen() -> Iterable[list[Record]]:
        nonlocal end
        for records in batches:
            for record in records:
                if isinstance(record, Enqueued):
                    end = max(end, record.first + len(record.payloads) - 1)
                elif isinstance(record, Stored):
                    end = max(end, record.mid)
            # what a session that is over has handed over is released by its gateway, not by a shade
            yield [
                each for each in records if not isinstance(each, Stored) or each.session in numbers
            ]

    restore(shade, wanted, seen())
    shade.wills.clear()
    for session in shade.sessions.values():
        end = max(end, session.number)
        # what was sent to the client in the last moments may not be in the copy: other packet ids
        if not session.halves & UNKNOWN_HALF:
            session.halves = (session.halves ^ 1) | UNKNOWN_HALF
    return end
