"""What the parts of one broker share: its stores, its counters, its clock reading.

Plain data, made by `broker.py`, read and changed by the handlers. Must not know connections.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from gateway.broker.access import Access
from gateway.broker.ages import Ages
from gateway.broker.backlog import DROP_OLDEST, Bounds
from gateway.broker.comebacks import Comebacks
from gateway.broker.door import Door
from gateway.broker.elsewhere import Elsewhere
from gateway.broker.journal import Journal
from gateway.broker.keeping import GivenRow
from gateway.broker.logins import Logins
from gateway.broker.outbox import Outbox
from gateway.broker.passage import HERE, Fetching
from gateway.broker.people import People
from gateway.broker.referral import Referral
from gateway.broker.registry import Registry
from gateway.broker.retained import Retained
from gateway.broker.room import Room
from gateway.broker.routes import Routes
from gateway.broker.session import Session
from gateway.broker.slices import Slices
from gateway.broker.streams import Streams
from gateway.broker.traces import Traces
from gateway.broker.unfinished import Unfinished
from gateway.broker.vitals import Vitals
from gateway.config import MqttSection
from gateway.effects import Effect, Level, Note
from gateway.mqtt.message import Message
from gateway.timers import FOREVER, Timers


@dataclass(slots=True)
class BrokerState:
    """`now` is the time of the input at work; `touched` the outboxes that a turn must write.

    `late_after`: an input after this time came so late that this gateway slept.
    `holding` is the boot barrier: clients are accepted, and what they say waits. `meeting`: it is not
    known yet whose sessions are whose; `entering` are the CONNECTs that wait for that.
    `wills` are the delayed ones, by client id, of sessions whose client is away: timer, will, when due;
    `restored_wills` are those of them that an earlier start left, `sent_away` those without a delay, of
    clients that were sent to another gateway.
    `expiries` are the timers that end such sessions.
    `away` says since when a client is away whose session the disk keeps, `written_away` of which of
    them the disk knows it: who comes and goes within a minute is never written.
    `present` gives the values of the broker's own topics under a filter (`sys_topics.py`).
    `bounds` say what each session may have waiting.
    `silent` are sessions with shared subscriptions whose client is away: the timer after which others
    get what they have of these, or NO_TIMER once that is so.
    `crowding` is whom to tell, by client id, when the other gateways can take more again.
    `traces` is whom to tell what becomes of messages, while somebody watches.
    `origin` is the gateway whose messages are at work, `registry` and `fetching` are for a gateway that
    is one of a mesh.
    `draining` is where clients are sent, while this gateway takes none.
    `ages` are of messages that wait for other gateways.
    `aside` are leftovers, by client id, out of the way of the session itself that is on its way here.
    `given` are sessions of copies here that went to some gateway (`shades.py`), by client id.
    """

    settings: MqttSection
    elsewhere: Elsewhere
    random: Random
    routes: Routes
    retained: Retained
    journal: Journal
    logins: Logins
    bounds: Bounds
    room: Room
    unfinished: Unfinished
    now: float = 0.0
    holding: bool = False
    late_after: float = FOREVER
    meeting: bool = False
    entering: list[Callable[[float], None]] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    aside: dict[str, Session] = field(default_factory=dict)
    vitals: Vitals = field(default_factory=Vitals)
    timers: Timers = field(default_factory=Timers)
    touched: list[Outbox] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    wills: dict[str, tuple[int, Message, float]] = field(default_factory=dict)
    restored_wills: set[str] = field(default_factory=set)
    sent_away: set[str] = field(default_factory=set)
    expiries: dict[str, int] = field(default_factory=dict)
    away: dict[str, float] = field(default_factory=dict)
    written_away: set[str] = field(default_factory=set)
    silent: dict[Session, int] = field(default_factory=dict)
    crowding: dict[str, Callable[[], None]] = field(default_factory=dict)
    present: Callable[[str], Iterable[Message]] = lambda topic_filter: ()
    access: Access = field(default_factory=Access)
    door: Door = field(default_factory=Door)
    people: People = field(default_factory=People)
    comebacks: Comebacks = field(default_factory=Comebacks)
    traces: Traces | None = None
    origin: str = HERE
    registry: Registry | None = None
    fetching: Fetching | None = None
    draining: Referral | None = None
    ages: Ages = field(default_factory=Ages)
    given: dict[str, GivenRow] = field(default_factory=dict)
    slices: Slices = field(init=False)
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        self.slices = Slices(self.timers)
        self.streams = Streams(self.journal)

    def kept(self) -> list[Session]:
        """The sessions that the disk is to know."""
        return [each for each in (*self.sessions.values(), *self.aside.values()) if each.number]

    def is_kept(self, session: Session) -> bool:
        """Whether it is still one of them."""
        client_id = session.client_id
        return session in (self.sessions.get(client_id), self.aside.get(client_id))

    def at(self, now: float) -> None:
        """An input came at this time."""
        self.now = self.journal.now = now

    def overslept(self, now: float) -> None:
        """The others are asked what became of this gateway meanwhile, before anything is done."""
        self.late_after = FOREVER
        self.elsewhere.overslept(now)

    def refusing(self) -> str:
        """Why no message can be kept now, and what to do; empty: it can.

        Where the oldest message makes room (`drop-oldest`) the publisher is not told that there is none.
        """
        if self.journal.refusing or self.settings.queue_full == DROP_OLDEST:
            return self.journal.refusing
        return self.room.refusing()

    def changed(self, client_id: str) -> None:
        """A session that outlives its connection began, changed or ended."""
        if self.registry is not None:
            self.registry.touch(client_id)

    def count_refused(self, messages: int) -> None:
        """So many were not taken: the disk keeps nothing, or too much waits in all."""
        if self.journal.refusing:
            self.vitals.refused_disk += messages
        else:
            self.vitals.refused_room_full += messages

    def note(self, level: Level, text: str) -> None:
        """Says something to the log. Clients choose names: they must not break its lines."""
        self.effects.append(Note(level, text if text.isprintable() else repr(text)))
