"""What waits here for gateways that are away: within which bounds, how old, and how fast it leaves.

It lies in leftovers (sessions that are another gateway's, with something here that is to reach it), so
that it is on disk, in the copy at the stand-in, and goes wherever the registry says that the session is.
All leftovers of the sessions of one gateway are the courier to it. They are counted once a second; what
is older than it may be is let go, and so is the oldest where there is too much and the policy says so. A
courier that is full otherwise takes nothing more. Must not know how leftovers are offered or given.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, islice, takewhile

from gateway.broker.backlog import DROP_OLDEST
from gateway.broker.courier import Courier, CourierBounds
from gateway.broker.keeping import keep_ages
from gateway.broker.registry import Registry
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.mqtt.message import Message

LOOK_S = 1.0
BURST_S = 0.1  # of the rate, at once: a turn of the loop that is late costs nothing
DROPPED_AT_ONCE = 1 / 128  # of the bound: the oldest are looked for in all sessions
RATE_SMOOTHING = 0.3  # share of the newest second


@dataclass(slots=True)
class Couriers:
    """All of them, by gateway. `left` gives the leftovers."""

    broker: BrokerState
    registry: Registry
    left: Callable[[], Collection[Session]]
    bounds: CourierBounds
    all: dict[str, Courier] = field(default_factory=dict)
    _looked_at: float = 0.0

    def __post_init__(self) -> None:
        self._looked_at = self.broker.now
        self.broker.timers.set(self.broker.now + LOOK_S, self._look_again)

    def takes(self, owner: str, message: Message) -> bool:
        """Whether one more message may wait for a session of that gateway; if so it does."""
        courier, bounds, size = self._courier(owner), self.bounds, message.bytes_held()
        if self._is_over(courier, 1, size):
            if bounds.policy == DROP_OLDEST and size <= bounds.bytes_max:
                self._make_room(owner, courier, size)
            else:
                courier.refused += 1
                self._lost(owner, courier, "what is new is not taken")
                return False
        courier.messages += 1
        courier.bytes += size
        return True

    def gives(self, gateway: str, messages: int) -> None:
        """So many messages of leftovers go to that gateway."""
        courier = self._courier(gateway)
        courier.given += messages
        begin = max(courier.free_at, self.broker.now - BURST_S)
        courier.free_at = begin + messages / self.bounds.rate_max

    def free_at(self, gateway: str) -> float:
        """When the next messages of leftovers may go to that gateway."""
        courier = self.all.get(gateway)
        return 0.0 if courier is None else courier.free_at

    def look(self) -> None:
        """Counts what waits, and lets go what is too old."""
        now, ages = self.broker.now, self.broker.ages
        by_owner = self._by_owner()
        too_old = ages.below(now - self.bounds.age_max_s)
        oldest: int | None = None
        for owner, sessions in by_owner.items():
            courier = self._courier(owner)
            if too_old:
                self._expire(owner, courier, sessions, too_old)
            first = self._count(courier, sessions)
            courier.oldest_s = None if first is None else now - ages.came_at(first, now)
            oldest = first if oldest is None or (first or oldest) < oldest else oldest
        for owner, courier in self.all.items():
            if owner not in by_owner:
                courier.messages, courier.bytes, courier.oldest_s = 0, 0, None
            courier.is_full &= self._is_over(courier, 1, 0)
            newest = courier.given / max(now - self._looked_at, LOOK_S)
            courier.rate += RATE_SMOOTHING * (newest - courier.rate)
            courier.given = 0
        self._looked_at = now
        self._age(oldest)

    def _look_again(self, now: float) -> None:
        self.broker.at(now)
        self.look()
        self.broker.timers.set(now + LOOK_S, self._look_again)

    def _age(self, oldest: int | None) -> None:
        """Marks the time, while something waits."""
        ages, journal, now = self.broker.ages, self.broker.journal, self.broker.now
        if oldest is None:
            if len(ages):
                ages.clear()
                keep_ages(journal, None)
            return
        ages.forget_below(oldest)
        ages.mark(journal.numbers(0), now)
        saved = ages.to_save(now)
        if saved is not None:
            keep_ages(journal, saved)

    def _by_owner(self) -> dict[str, list[Session]]:
        found: dict[str, list[Session]] = {}
        for session in self.left():
            entry = self.registry.entry(session.client_id)
            if entry is not None and session.waiting():
                found.setdefault(entry.owner, []).append(session)
        return found

    def _courier(self, gateway: str) -> Courier:
        return self.all.setdefault(gateway, Courier())

    def _is_over(self, courier: Courier, messages: int, size: int) -> bool:
        bounds = self.bounds
        over = courier.messages + messages > bounds.messages_max
        return over or courier.bytes + size > bounds.bytes_max

    def _count(self, courier: Courier, sessions: Iterable[Session]) -> int | None:
        """Returns the number of the oldest message."""
        oldest = None
        courier.messages = courier.bytes = 0
        for session in sessions:
            courier.messages += session.waiting()
            courier.bytes += session.backlog.bytes
            first = _first(session)
            if first is not None and (oldest is None or first < oldest):
                oldest = first
        return oldest

    def _expire(
        self, owner: str, courier: Courier, sessions: Iterable[Session], below: int
    ) -> None:
        count = 0
        for session in sessions:
            old = set(takewhile(lambda message: message.mid < below, _unsent(session)))
            count += len(old)
            session.take_back(old)
        if count:
            courier.expired += count
            self._lost(owner, courier, "what is too old is let go")

    def _make_room(self, owner: str, courier: Courier, size: int) -> None:
        """Lets the oldest go, some more than must be."""
        sessions = self._by_owner().get(owner, [])
        self._count(courier, sessions)
        spare = int(self.bounds.messages_max * DROPPED_AT_ONCE)
        lines = (_with(session) for session in sessions)
        gone: dict[str, tuple[Session, list[Message]]] = {}
        count = freed = 0
        for _, message, session in merge(*lines, key=lambda each: each[0]):
            if not self._is_over(courier, 1 + spare - count, size - freed):
                break
            gone.setdefault(session.client_id, (session, []))[1].append(message)
            count += 1
            freed += message.bytes_held()
        for session, messages in gone.values():
            session.take_back(set(messages))
        courier.messages -= count
        courier.bytes -= freed
        courier.dropped += count
        self._lost(owner, courier, "the oldest is let go")

    def _lost(self, owner: str, courier: Courier, what: str) -> None:
        """Said in the log once an episode."""
        courier.lost_at = self.broker.now
        if not courier.is_full:
            courier.is_full = True
            name = self.broker.elsewhere.name_of(owner)
            text = f"{courier.messages} messages wait for {name}, which is away: {what}"
            self.broker.note("error", text)


def _unsent(session: Session) -> Iterator[Message]:
    """What waits and was never sent, in order."""
    return (waiting[0] for waiting in session.backlog.line if len(waiting) == 3)


def _first(session: Session) -> int | None:
    """The number of its oldest message, as far as that is known."""
    sent = (each[0].mid for each in session.inflight.values() if each is not None)
    head = (waiting[0].mid for waiting in islice(session.backlog.line, 1))
    return min(chain(sent, head), default=None)


def _with(session: Session) -> Iterator[tuple[int, Message, Session]]:
    return ((message.mid, message, session) for message in _unsent(session))
