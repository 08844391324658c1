"""One MQTT broker as a machine: connections in, bytes and effects out.

Joins the parts of this folder. It has no socket, no clock and no dice of its own: `now` and a
Random are arguments. Must not know the mesh: other gateways are an `Elsewhere`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from gateway.arrival import Arrival
from gateway.broker import (
    alone,
    authenticating,
    connecting,
    delivery,
    lanes,
    listings,
    publishing,
    sharing,
    subscribing,
    wills,
)
from gateway.broker.admission import Admission
from gateway.broker.backlog import Bounds
from gateway.broker.connecting import Online
from gateway.broker.connection import Connection, Moves, State
from gateway.broker.copying import Copying
from gateway.broker.delivery import arrived, caught_up, publish
from gateway.broker.draining import begin, send_away
from gateway.broker.elsewhere import Elsewhere
from gateway.broker.entrance import Entrance
from gateway.broker.identity import checked
from gateway.broker.journal import Journal
from gateway.broker.keeping import PEOPLE, forget_retained
from gateway.broker.levels import Levels
from gateway.broker.living import living, restore
from gateway.broker.logins import Logins
from gateway.broker.outbox import Outbox
from gateway.broker.passage import Moving
from gateway.broker.people import People
from gateway.broker.records import Record, Wish
from gateway.broker.registry import SESSIONS, Registry
from gateway.broker.retained import Retained
from gateway.broker.rewriting import Rewriting
from gateway.broker.room import Room
from gateway.broker.routes import Routes
from gateway.broker.rows import living_rows
from gateway.broker.state import BrokerState
from gateway.broker.sys_topics import SysTopics
from gateway.broker.unfinished import Unfinished
from gateway.broker.vitals import Vitals
from gateway.broker.watching import Watching
from gateway.config import MqttSection
from gateway.effects import Effect
from gateway.ids import Stamp
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import Packet, PacketType
from gateway.mqtt.reasons import Reason
from gateway.table import Row, Table
from gateway.tickets import Ticket

TICK_S = 1.0  # how often rates are brought up to date
TROUBLES_MAX = 8  # of the disk, noted before all is well again: a card has two or three
SWEEP_S = 60.0  # how often retained messages that have expired make room


class Broker:
    """The broker of one gateway.

    The shell has a `Connection` per socket made by `entrance`, and feeds it; after each turn it calls
    `drain` and writes what the outboxes hold. `deadline` says when `wake` is due.
    """

    def __init__(
        self,
        settings: MqttSection,
        elsewhere: Elsewhere,
        random: Random,
        journal: Journal | None = None,
        levels: Levels | None = None,
    ) -> None:
        self._online: dict[str, Connection] = {}
        self.state = BrokerState(
            settings,
            elsewhere,
            random,
            Routes(elsewhere, levels),
            Retained(settings.retained_messages_max, settings.retained_bytes_max, self._forgotten),
            journal or Journal(),
            Logins(random.getrandbits(256).to_bytes(32, "big")),
            Bounds(settings.queue_messages_max, settings.queue_bytes_max, settings.queue_full),
            Room(settings.waiting_bytes_max),
            Unfinished(settings.unfinished_bytes_max),
        )
        self._sys = SysTopics(self.state, self._online)
        self.state.present = self._sys.matching
        self._sweep_at = 0.0
        self._troubles: list[str] = []  # of the disk, as noted
        self._episodes = 0  # of a full room that were noted
        self.moving: Moving | None = None
        self.entrance = Entrance(self.state, self._make_moves())
        self.admission = Admission(self.state, self._online)
        self.watching = Watching(self.state, self._online)
        self.state.timers.set(0.0, self._tick)

    @property
    def vitals(self) -> Vitals:
        """What the broker counts."""
        return self.state.vitals

    @property
    def retained(self) -> Retained:
        """The retained messages."""
        return self.state.retained

    def clients(self) -> int:
        """Clients that are connected."""
        return len(self._online)

    def waiting(self) -> int:
        """Messages kept for sessions: queued, or sent and not acknowledged."""
        return sum(session.waiting() for session in self.state.sessions.values())

    def filters(self) -> list[str]:
        """Every filter that a session here subscribes to."""
        return self.state.routes.filters()

    def hold(self) -> None:
        """From now on what clients say waits (the boot barrier); CONNECT is answered, but for `meet`."""
        self.state.holding = True

    def unhold(self, now: float) -> None:
        """The barrier is gone: what has come meanwhile is worked off."""
        self.state.holding = False
        self.state.at(now)
        for connection in list(self._online.values()):
            connection.resume()
            connection.outbox.touch()

    def mute(self) -> None:
        """From now on what is for clients that are here waits: this gateway may not be what it was."""
        for connection in self._online.values():
            connection.outbox.held = True

    def unmute(self) -> None:
        """It is known who it is: what waited leaves."""
        for connection in self._online.values():
            connection.outbox.let_go()

    def meet(self) -> None:
        """Other gateways may have any session: CONNECT waits, too, where sessions are kept."""
        self.state.meeting = True

    def met(self, now: float) -> None:
        """They have said whose sessions are whose, or are dead."""
        self.state.meeting = False
        entering, self.state.entering = self.state.entering, []
        for enter in entering:
            enter(now)

    def uncrowd(self) -> None:
        """The other gateways can take more: publishers that were paused go on."""
        waiting, self.state.crowding = self.state.crowding, {}
        for resume in waiting.values():
            resume()

    def join(
        self, registry: Registry, make: Callable[[BrokerState, Registry, Online], Moving]
    ) -> None:
        """This gateway is one of a mesh: its sessions are found at all doors."""
        self.state.registry = registry
        self.state.fetching = self.moving = make(self.state, registry, self._online)

    @property
    def people(self) -> People:
        """Users and rules."""
        return self.state.people

    @property
    def tables(self) -> dict[str, Table]:
        """What is the same on all gateways, by name."""
        tables = {PEOPLE: self.state.people.table}
        if self.state.registry is not None:
            tables[SESSIONS] = self.state.registry.table
        return tables

    def rows_came(self, table: str, rows: Sequence[tuple[str, Row]], now: float) -> None:
        """Rows that another gateway has."""
        self.state.at(now)
        if table == SESSIONS and self.moving is not None:
            self.moving.rows_came(rows)
            return
        assert table == PEOPLE, "no other table"
        self.admission.take(rows, now)

    def checked(self, token: int, good: bool, now: float) -> None:
        """The password of a `CheckPassword` was looked at."""
        self.state.at(now)
        checked(self.state, token, good)

    def interest_changed(self) -> None:
        """Other gateways want other topics than before."""
        self.state.routes.cache.clear()

    def arrived(self, messages: list[Message], arrival: Arrival, now: float) -> None:
        """Another gateway accepted these, of one client, topic and QoS; they go to sessions here."""
        self.state.at(now)
        arrived(self.state, messages, arrival)

    def arrived_shared(
        self, message: Message, name: str, ticket: Callable[[], Ticket] | None, now: float
    ) -> None:
        """Another gateway chose a member of this shared subscription here for the message; the ticket is
        held until it is kept, if it must be."""
        self.state.at(now)
        delivery.arrived_shared(self.state, message, name, ticket)

    def groups(self) -> list[tuple[str, int, int]]:
        """The shared subscriptions of sessions here: how many are connected, and how many away."""
        return [(group.name, *group.counts()) for group in self.state.routes.groups()]

    def group(self, name: str) -> tuple[int, int]:
        """The same of one; none at all if there is no such one."""
        group = self.state.routes.group(name)
        return (0, 0) if group is None else group.counts()

    def members_came(self, names: Iterable[str], now: float) -> None:
        """These shared subscriptions have connected members at another gateway."""
        self.state.at(now)
        for name in names:
            sharing.joined(self.state, name)

    def caught_up(self, message: Message, stamp: Stamp, now: float) -> None:
        """Another gateway has this retained, or deleted."""
        self.state.at(now)
        caught_up(self.state, message, stamp)

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool, now: float) -> None:
        """A message of the gateway's own."""
        self.state.at(now)
        field = topic_field(topic)
        publish(
            self.state, Message(topic, field, payload, qos, retain), self.state.routes.find(field)
        )

    def congested(self, connection: Connection, congested: bool, now: float) -> None:
        """A client reads too slowly, or reads again."""
        self.state.at(now)
        connection.outbox.congested = congested
        connection.deaf_bytes = 0
        connection.outbox.touch()
        self.state.routes.cache.clear()
        if connection.session is not None and connection.state is State.OPEN:
            connection.session.send_waiting(now)

    def closed_unread(self, connection: Connection, now: float) -> None:
        """A client that takes nothing kept others waiting: its socket is closed."""
        self.state.at(now)
        self.state.vitals.closed_unread += 1
        connection.cut_off()
        self.state.vitals.last_refused_at = now
        who = connection.session.client_id if connection.session is not None else "a client"
        why = "it takes nothing of what is sent, and others need the room"
        self.state.note("warning", f"{who} at {connection.address} is cut off: {why}")

    def kick(self, client_id: str, now: float, where: str = "") -> bool:
        """Disconnects a client because the operator says so, perhaps at another gateway; False if it is
        not connected here."""
        self.state.now = now
        connection = self._online.get(client_id)
        if connection is None:
            return False
        who = f"the operator at {where}" if where else "the operator"
        connection.refuse(Reason.ADMINISTRATIVE_ACTION, f"{who} disconnects it")
        return True

    def silent_s(self, client_id: str, now: float) -> float:
        """For how long nothing was heard from a client that is connected here, in seconds."""
        return now - self._online[client_id].last_heard

    def taken_over(self, client_id: str, where: str, now: float) -> None:
        """A client that is connected here has connected at another gateway since [MQTT-3.1.4-3]."""
        self.state.at(now)
        self._online[client_id].refuse(
            Reason.SESSION_TAKEN_OVER, f"its client connected at {where}"
        )

    def wills(self, now: float) -> Iterator[tuple[str, Message, float, float | None]]:
        """The wills of clients here, by client id: the delay that begins when the connection ends, and
        where that is over, when it is due."""
        yield from wills.waiting(self.state)
        for client_id, connection in self._online.items():
            if connection.will is not None and connection.session is not None:
                will, session = connection.will, connection.session
                yield (
                    client_id,
                    wills.message_of(will, client_id),
                    wills.delay_of(will, session),
                    None,
                )

    def send_will(self, message: Message, now: float) -> None:
        """Publishes the will of a client whose gateway is dead."""
        self.state.at(now)
        wills.publish_will(self.state, message)

    def came_elsewhere(self, client_id: str, clean: bool, now: float) -> None:
        """A client has connected at another gateway; `clean`: what it had before is over."""
        self.state.at(now)
        wills.came_elsewhere(self.state, client_id, clean)

    def drop_wills(self, clients: Sequence[str], now: float) -> None:
        """Another gateway has sent, or will send, the wills of these that an earlier start left."""
        self.state.at(now)
        wills.drop_restored(self.state, clients)

    def restamp(self, topic: str, now: float) -> None:
        """What others have retained under the topic since is a mistake: what is here holds."""
        self.state.at(now)
        wills.restamp(self.state, topic)

    def list_clients(self, limit: int, now: float) -> dict[str, Any]:
        """Who is connected; this and the next as `listings.py` says."""
        self.state.now = now
        return listings.clients(self.state, self._online, limit)

    def list_client(self, client_id: str, limit: int, now: float) -> dict[str, Any] | None:
        """One client with its session; None if there is no such session."""
        self.state.now = now
        return listings.client(self.state, self._online, client_id, limit)

    def list_sessions(self, orphans: bool, limit: int, now: float) -> dict[str, Any]:
        """The sessions, or those whose client is away."""
        self.state.now = now
        return listings.sessions(self.state, self._online, orphans, limit)

    def list_retained(self, topic_filter: str, limit: int, now: float) -> dict[str, Any]:
        """The retained messages under a filter that is well-formed."""
        self.state.now = now
        return listings.retained(self.state, topic_filter, limit)

    def list_queue(self, client_id: str, limit: int, now: float) -> dict[str, Any] | None:
        """What waits for a session; None if there is no such session."""
        self.state.now = now
        return listings.queue(self.state, client_id, limit)

    def stop(self, now: float) -> None:
        """A planned stop: clients are told, and no will is sent."""
        self.state.at(now)
        for connection in list(self._online.values()):
            send_away(self.state, connection, Reason.SERVER_SHUTTING_DOWN, "the gateway stops")
        for client_id in list(self.state.sent_away):
            wills.cancel_will(self.state, client_id)  # another gateway sees to it from here on

    def drain_clients(self, others: Callable[[], Sequence[str]], now: float) -> None:
        """Nobody comes in any more, and clients are sent to `others`: doors, "host" or "host:port"."""
        self.state.at(now)
        begin(self.state, self._online, others)

    def drained(self) -> bool:
        """Whether it takes no clients."""
        return self.state.draining is not None

    def undrain_clients(self) -> None:
        """Clients may come in again."""
        self.state.draining = None

    @property
    def journal(self) -> Journal:
        """What is on its way to the disk."""
        return self.state.journal

    def committed(self, seconds: float, rewrite: Wish, now: float, refusing: str = "") -> None:
        """The batch that was taken is on disk, after that many seconds; what waited for it goes on.

        `refusing` says why the disk takes no new message, and what to do; empty: it does.
        """
        self.state.at(now)
        self._note_disk(refusing)
        journal = self.state.journal
        worth = rewrite is Wish.IF_WORTH and journal.balance.is_worth_it()
        wanted = (lambda: living(self.state)) if worth or rewrite is Wish.NOW else None
        journal.committed(seconds, wanted, refusing)

    def commit_failed(self, why: str, now: float) -> None:
        """The batch that was taken could not be written; `why` says so and what to do."""
        self.state.at(now)
        self._note_disk(why)
        self.state.journal.failed(why)

    def copied(self, number: int | None, now: float) -> None:
        """The second copy has all batches up to this one, or (None) is not waited for."""
        self.state.at(now)
        journal = self.state.journal
        journal.copied(journal.on_disk if number is None else number)

    def begin_copy(self, anew: bool) -> None:
        """`Journal.copy_slice` is to ship all that lives; but for rows, if the copy has them."""

        def all_that_lives() -> Copying:
            rows = living_rows(self.state, self._online) if anew else iter(())
            return Copying(rows, Rewriting(living(self.state)))

        self.state.journal.begin_copy(all_that_lives)

    def copy_slice(self, now: float) -> None:
        """The next of it, as soon as that can be."""
        self.state.at(now)
        self.state.journal.copy_slice()

    def restore(
        self, rows: Mapping[tuple[str, str], bytes], batches: Iterable[list[Record]], now: float
    ) -> None:
        """What the disk kept, before the first client."""
        self.state.at(now)
        restore(self.state, rows, batches)
        self.state.people.read()
        self.admission.put_in_force()
        if self.moving is not None:
            self.moving.restored()

    def _note_disk(self, trouble: str) -> None:
        """Each trouble once, however many commits have it, until there is none."""
        troubles = self._troubles
        if trouble and trouble not in troubles and len(troubles) < TROUBLES_MAX:
            troubles.append(trouble)
            self.state.note("error", trouble)
        elif troubles and not trouble:
            troubles.clear()
            self.state.note("info", "the disk takes new messages again")

    def _forgotten(self, topic: str) -> None:
        forget_retained(self.state.journal, topic)

    def deadline(self) -> float:
        """When `wake` is due, in monotonic seconds."""
        return self.state.timers.deadline()

    def wake(self, now: float) -> None:
        """A deadline passed."""
        self.state.at(now)
        self.state.timers.wake(now)

    def drain(self) -> tuple[list[Outbox], list[Effect]]:
        """The outboxes to write, and the effects to do, since the last call."""
        state = self.state
        touched, effects = list(state.touched), list(state.effects)
        state.touched.clear()
        state.effects.clear()
        return touched, effects

    def _tick(self, now: float) -> None:
        self.state.vitals.tick(now)
        self._watch_room(now)
        self._sys.tick(now)
        if self.state.crowding and not self.state.elsewhere.crowded():
            self.uncrowd()  # the gateway that was behind is silent or gone
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_S
            self.state.retained.expire(now)
            connecting.write_away(self.state)
        self.state.timers.set(now + TICK_S, self._tick)

    def _watch_room(self, now: float) -> None:
        """Says once an episode that messages which wait take all the room there is for them."""
        room = self.state.room
        why = room.refusing()
        if why:
            self.state.vitals.last_full_at = now
        if room.episodes > self._episodes:
            self._episodes = room.episodes
            self.state.note("error", why or "messages that wait took all the room for a moment")

    def _make_moves(self) -> Moves:
        waiting, opened, between = State.WAITING, State.OPEN, State.AUTHENTICATING
        legal = {
            (waiting, PacketType.CONNECT): connecting.on_connect(self._online),
            (between, PacketType.AUTH): authenticating.on_auth,
            (between, PacketType.DISCONNECT): authenticating.on_early_disconnect,
            (opened, PacketType.AUTH): authenticating.on_auth,
            (opened, PacketType.PUBLISH): publishing.on_publish,
            (opened, PacketType.PUBACK): publishing.on_puback,
            (opened, PacketType.PUBREC): publishing.on_pubrec,
            (opened, PacketType.PUBREL): publishing.on_pubrel,
            (opened, PacketType.PUBCOMP): publishing.on_pubcomp,
            (opened, PacketType.SUBSCRIBE): subscribing.on_subscribe,
            (opened, PacketType.UNSUBSCRIBE): subscribing.on_unsubscribe,
            (opened, PacketType.PINGREQ): _on_pingreq,
            (opened, PacketType.DISCONNECT): connecting.on_disconnect,
        }
        return Moves(legal, lanes.LANES, alone.ALONE, connecting.on_closed(self._online))


def _on_pingreq(connection: Connection, packet: Packet) -> None:
    """PINGREQ, section 3.12 [MQTT-3.12.4-1]."""
    connection.send(b"\xd0\x00")
