"""A message's way to its subscribers: the sessions here, and the gateways that have some.

What came from another gateway goes to sessions here and never further. What a session got that the disk
keeps is told to the journal in the same step. Must not know connections.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from gateway.arrival import Arrival
from gateway.broker import records
from gateway.broker.journal import Journal
from gateway.broker.keeping import keep_retained
from gateway.broker.routes import Route
from gateway.broker.session import REFUSED, WAITS, Session
from gateway.broker.shared import MOVES_MAX, Group, Share, elsewhere
from gateway.broker.state import BrokerState
from gateway.broker.target import Target
from gateway.broker.traces import Via
from gateway.durability import Durability
from gateway.ids import Stamp
from gateway.mqtt.message import Message
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket

RETAINED_FULL = "no more messages can be retained"


def reserved(topic: str) -> str:
    """Why no client may publish to this topic (section 4.7.2); empty: it may."""
    if topic.startswith("$share/"):
        return "this is the name of a shared subscription, and no topic that one can subscribe to"
    own = topic == "$SYS" or topic.startswith("$SYS/")
    return "this topic is the broker's own" if own else ""


def publish(
    broker: BrokerState,
    message: Message,
    route: Route,
    ticket: Callable[[], Ticket] | None = None,
    taken: bool = False,
) -> Reason:
    """Takes a message of a client here. `ticket` makes the one that its acknowledgement waits for.

    Returns what the publisher is told: SUCCESS, NO_MATCHING_SUBSCRIBERS or QUOTA_EXCEEDED (the
    retained store is full: nobody gets the message). What was `taken` before is not refused any more:
    it goes to who is there, and is not retained. Whether the disk takes messages is the caller's to ask
    before (`unkeepable`).
    """
    broker.vitals.messages_in += 1
    broker.vitals.payload_bytes_in += len(message.payload)
    message.level, message.taken = route.level, taken
    stamp = None
    outlets = route.elsewhere
    # [MQTT-3.3.1-8]
    if message.retain:
        stamp = broker.elsewhere.stamp(broker.now)
        if retain(broker, message, stamp, ticket if message.qos else None):
            outlets = [*broker.elsewhere.everyone(), *route.absent]
        elif taken:
            stamp = None
        else:
            if broker.traces is not None:
                broker.traces.refused(message, RETAINED_FULL, broker.now)
            return Reason.QUOTA_EXCEEDED
    deliver(broker, message, route, ticket)
    if outlets:
        if broker.traces is not None:
            broker.traces.passed_on(message, len(outlets), broker.now)
        held = ticket() if ticket is not None and message.qos else None
        for outlet in outlets:
            outlet.offer(message, stamp, held)
    elif not route.is_wanted():
        return Reason.NO_MATCHING_SUBSCRIBERS
    return Reason.SUCCESS


def unkeepable(broker: BrokerState, message: Message, route: Route) -> bool:
    """Whether the message must be kept before it is acknowledged, and nothing can be kept."""
    if not message.qos:
        return False
    return bool(broker.refusing() if route.durable else message.retain and broker.journal.refusing)


def publish_run(
    broker: BrokerState,
    messages: list[Message],
    route: Route,
    ticket: Callable[[], Ticket] | None,
) -> None:
    """Takes messages of one client, topic, length and QoS, none retained, that go somewhere."""
    broker.vitals.messages_in += len(messages)
    broker.vitals.payload_bytes_in += len(messages) * len(messages[0].payload)
    if route.level is not Durability.MESH:
        for message in messages:
            message.level = route.level
    deliver_run(broker, messages, route, ticket)
    for outlet in route.elsewhere:
        held = ticket() if ticket is not None else None
        for message in messages:
            outlet.offer(message, None, held)


def deliver_run(
    broker: BrokerState,
    messages: list[Message],
    route: Route,
    ticket: Callable[[], Ticket] | None = None,
    shared: bool = True,
) -> None:
    """Does what `deliver` does for messages of one client, topic, length and QoS, none retained."""
    if route.special:
        _overtake(route, route.topic)
    if route.durable and messages[0].qos:
        first = broker.journal.numbers(len(messages))
        for mid, message in enumerate(messages, first):
            message.mid = mid
        kept = Kept()
        _give_run(broker, messages, route.targets, kept)
        kept.tell(broker.journal, messages, ticket)
    else:
        _give_run(broker, messages, route.targets, None)
    for share in route.shared if shared else ():
        for message in messages:
            give_one(broker, message, share, ticket)


def deliver_special(broker: BrokerState, messages: list[Message], route: Route) -> None:
    """Gives plain QoS 0 messages of one client and topic to those whom `route.live` leaves out."""
    _overtake(route, route.topic)
    _give_run(broker, messages, route.special, None)
    for share in route.shared:
        for message in messages:
            give_one(broker, message, share, None)


def _give_run(
    broker: BrokerState, messages: list[Message], targets: Sequence[Target], kept: "Kept | None"
) -> None:
    """Gives messages of one client, topic and QoS to each of the targets, and tells `kept` of it."""
    publisher, most = messages[0].publisher, messages[0].qos
    copies: dict[tuple[int, ...], list[Message]] = {}
    for target in targets:
        session = target.session
        if session.passage is not None and broker.origin in session.passage.barred:
            continue
        if target.picky and session.client_id == publisher:
            if target.own is None:
                continue  # [MQTT-3.8.3-3]
            target = target.own
        given, qos = messages, target.qos if target.qos < most else most
        if target.identifiers:
            identifiers = target.identifiers
            if identifiers not in copies:
                copies[identifiers] = [message.copy_for(identifiers) for message in messages]
            given = copies[identifiers]
        results = session.deliver_run(given, qos, broker.now)
        if kept is not None and qos and session.number:
            kept.add(target, messages, qos, False, results)


def deliver(
    broker: BrokerState,
    message: Message,
    route: Route,
    ticket: Callable[[], Ticket] | None = None,
    shared: bool = True,
) -> None:
    """Gives the message to every session here that subscribes to its topic, and to one member of each
    group, unless (`shared` False) another gateway sees to these."""
    durable = route.durable and message.qos > 0
    _overtake(route, message.topic)
    if durable:
        message.mid = broker.journal.number()
    kept = Kept()
    copies: dict[tuple[int, ...], Message] = {(): message}
    for target in route.targets:
        session = target.session
        if session.passage is not None and broker.origin in session.passage.barred:
            continue
        if target.picky and session.client_id == message.publisher:
            if target.own is None:
                continue  # [MQTT-3.8.3-3]
            target = target.own
        identifiers = target.identifiers
        if identifiers not in copies:
            copies[identifiers] = message.copy_for(identifiers)
        # [MQTT-3.8.4-8]
        qos = min(message.qos, target.qos)
        # [MQTT-3.3.1-12] [MQTT-3.3.1-13]
        retain = message.retain and target.retain_as_published
        result = session.deliver(copies[identifiers], qos, retain, broker.now)
        if broker.traces is not None:
            broker.traces.given(session, copies[identifiers], qos, result, broker.now)
        if durable and qos and session.number:
            kept.add(target, [message], qos, retain, [result])
    kept.tell(broker.journal, [message], ticket)
    for share in route.shared if shared else ():
        give_one(broker, message, share, ticket)


def _overtake(route: Route, topic: str) -> None:
    """What is retained under the topic, and is still to be shown to a subscriber, comes before."""
    for target in route.special:
        replay = target.session.replay
        if replay is not None:
            replay.overtake(topic)


def give_one(
    broker: BrokerState,
    message: Message,
    share: Share,
    ticket: Callable[[], Ticket] | None = None,
) -> None:
    """Gives the message to one member of a shared subscription, here or at another gateway."""
    outlet = share.place(broker.routes.turn(share.name)) if share.far else None
    if outlet is not None:
        held = ticket() if ticket is not None and message.qos else None
        outlet.offer_shared(message, share.name, message.moves, held)
        if broker.traces is not None:
            broker.traces.passed_on(message, 1, broker.now)
    elif not _give_here(broker, message, share.group, ticket):
        pass_on(broker, message, share.name, True, ticket)


def _give_here(
    broker: BrokerState,
    message: Message,
    group: Group | None,
    ticket: Callable[[], Ticket] | None = None,
) -> bool:
    """Gives it to a member here, under an id of its own: the session may have it for itself, too."""
    target = None if group is None else group.choose(message, origin=broker.origin)
    if target is None:
        return False
    retain = message.retain and target.retain_as_published
    deliver_to(broker, target, message, retain, ticket if message.qos else None)
    return True


def is_elsewhere(broker: BrokerState, message: Message, name: str, away: bool) -> bool:
    """Whether a member of a shared subscription at another gateway may be given the message: a
    connected one, or, if `away`, any."""
    members = broker.elsewhere.members(name)
    return message.moves < MOVES_MAX and elsewhere(members, 0, away) is not None


def pass_on(
    broker: BrokerState,
    message: Message,
    name: str,
    away: bool,
    ticket: Callable[[], Ticket] | None = None,
) -> None:
    """Gives a message of a shared subscription that no member here can take to another gateway; one
    with members that are all away only if `away`. If there is none it is counted as dropped."""
    if is_elsewhere(broker, message, name, away):
        outlet = elsewhere(broker.elsewhere.members(name), broker.routes.turn(name), away)
        assert outlet is not None, "it is the same gateways, in another turn"
        broker.vitals.shared_passed_on += 1
        held = ticket() if ticket is not None and message.qos else None
        outlet.offer_shared(message, name, message.moves + 1, held)
        return
    group = broker.routes.group(name)
    if message.qos or (group is not None and group.is_here()):  # else nobody was promised it
        broker.vitals.dropped_shared += 1
    if broker.traces is not None:
        why = "no member could take it"
        broker.traces.lost(name, message, message.qos, why, broker.now)


def arrived_shared(
    broker: BrokerState, message: Message, name: str, ticket: Callable[[], Ticket] | None
) -> None:
    """Another gateway chose a member of this shared subscription here. If that is gone meanwhile,
    another one gets it, here or elsewhere. The ticket is held until it is kept, if it must be."""
    if broker.traces is not None:
        broker.traces.came(message, broker.now, Via.MESH, detail=name)
    group = broker.routes.group(name)
    if ticket is not None and group is not None and group.is_durable() and broker.refusing():
        if is_elsewhere(broker, message, name, True):
            pass_on(broker, message, name, True, ticket)
            return
        if not message.taken:
            broker.count_refused(1)
            ticket().fail(broker.refusing())
            return
    if not _give_here(broker, message, group, ticket):
        pass_on(broker, message, name, True, ticket)


def deliver_to(
    broker: BrokerState,
    target: Target,
    message: Message,
    retain: bool,
    ticket: Callable[[], Ticket] | None = None,
) -> None:
    """Gives the message to this target only: a retained one, or one that a group chose it for."""
    qos, session = min(message.qos, target.qos), target.session  # [MQTT-4.8.2-3]
    durable = bool(qos and session.number)
    if (
        durable
        or target.shared
        or target.identifiers != message.properties.subscription_identifiers
    ):
        # the one that was given may be on its way to others, under another id
        message = message.copy_for(target.identifiers, target.shared)
    if durable:
        message.mid = broker.journal.number()
    kept = Kept()
    result = session.deliver(message, qos, retain, broker.now)
    if broker.traces is not None:
        broker.traces.given(session, message, qos, result, broker.now)
    if durable:
        kept.add(target, [message], qos, retain, [result])
    kept.tell(broker.journal, [message], ticket)


class Kept:
    """The sessions that the disk keeps and that got the messages at hand, for one record of them."""

    __slots__ = ("_patient", "_refused", "_sent", "_targets")

    def __init__(self) -> None:
        self._targets: list[records.Target] = []
        self._sent: list[tuple[Session, int]] = []  # QoS 2: they leave when this is on disk
        self._refused: list[tuple[int, int]] = []  # session, mid
        self._patient = True  # everybody has them, and is to acknowledge

    def add(
        self, target: Target, messages: list[Message], qos: int, retain: bool, results: list[int]
    ) -> None:
        """`results` is what the session's `deliver` returned for each message."""
        session = target.session
        least, most = min(results), max(results)
        ids = results if least or most else None
        self._targets.append(
            records.Target(session.number, qos, retain, target.identifiers, ids, target.shared)
        )
        if qos == 1 and least > WAITS:
            return
        self._patient = False
        if least == most == WAITS:
            return
        for message, result in zip(messages, results, strict=True):
            if result == REFUSED:
                self._refused.append((session.number, message.mid))
            elif result != WAITS and qos == 2:
                self._sent.append((session, result))

    def tell(
        self, journal: Journal, messages: list[Message], ticket: Callable[[], Ticket] | None
    ) -> None:
        """Tells the journal; the ticket is held until the messages are on disk or not needed."""
        if not self._targets:
            return
        wait = ticket() if ticket is not None else None
        journal.enqueue(messages, self._targets, self._patient, wait)
        for session, packet_id in self._sent:
            journal.await_commit(session, packet_id)
        for number, mid in self._refused:
            journal.done(number, [mid])


def arrived(broker: BrokerState, messages: list[Message], arrival: Arrival) -> None:
    """Messages of one client, topic and QoS that another gateway accepted; retained: one.

    A retained one is stored, and goes to sessions here. If it is older than what is stored here it still
    goes to those who were promised every message (QoS 1 and 2), and not to those who want the last value
    (QoS 0). If the stored one is of the same gateway it came before, through a third one: this message
    is known, or overtaken; and so is one that comes late, for the stores were compared before. Then it
    goes to sessions that are kept and promised every message. While nothing can be kept its publisher is
    told, and others here get it; but one that PUBREC took is kept as soon as that can be.
    """
    route = broker.routes.find(messages[0].topic_field)
    if arrival.late and arrival.stamp is None:
        route = route.only(kept=True)
    refusing = broker.refusing() if arrival.ticket is not None else ""
    if refusing and not messages[0].taken and route.only(kept=True).durable:
        assert arrival.ticket is not None, "somebody waits"
        broker.count_refused(len(messages))
        arrival.ticket().fail(refusing)
        route = route.only(kept=False)
    if arrival.stamp is not None:
        _arrived_retained(broker, messages[0], arrival.stamp, route, arrival)
    elif broker.traces is not None and broker.traces.sees(messages[0].topic):
        for message in messages:
            broker.traces.came(message, broker.now, Via.MESH)
            deliver(broker, message, route, arrival.ticket, shared=False)
    elif not messages[0].qos:
        deliver_run(broker, messages, route, shared=False)
    else:
        for _, alike in groupby(messages, _form):
            deliver_run(broker, list(alike), route, arrival.ticket, shared=False)


def _arrived_retained(
    broker: BrokerState,
    message: Message,
    stamp: Stamp,
    route: Route,
    arrival: Arrival,
) -> None:
    if broker.traces is not None:
        broker.traces.came(message, broker.now, Via.MESH)
    stored = broker.retained.stamp(message.topic)
    known = stored.gateway == stamp.gateway or arrival.late
    if stored >= stamp and (message.qos == 0 or known):
        if message.qos:
            deliver(broker, message, route.promised(True), arrival.ticket, shared=False)
        return
    retain(broker, message, stamp)
    deliver(broker, message, route, arrival.ticket, shared=False)


def caught_up(broker: BrokerState, message: Message, stamp: Stamp) -> None:
    """What another gateway has retained: where it is news here it is stored, and shown to sessions; not
    to those that are promised every message, which the gateway that took it keeps for them
    (`absent.py`)."""
    route = broker.routes.find(message.topic_field)
    if message.qos:
        route = route.promised(False)
    if broker.traces is not None:
        broker.traces.came(message, broker.now, Via.MESH, detail="it was retained there")
    if retain(broker, message, stamp):
        deliver(broker, message, route, shared=False)


def _form(message: Message) -> tuple[int, Properties, float | None]:
    """What messages of one record on disk have in common, besides topic, publisher and QoS."""
    return len(message.payload), message.properties, message.expires_at


def retain(
    broker: BrokerState,
    message: Message,
    stamp: Stamp,
    ticket: Callable[[], Ticket] | None = None,
) -> bool:
    """Stores the message as its topic's last, or deletes that when it is empty; False if refused.

    The ticket is held until it is on disk.
    """
    kept = message if message.payload else None  # [MQTT-3.3.1-6], [MQTT-3.3.1-7]
    try:
        # [MQTT-3.3.1-5]
        stored = broker.retained.put(message.topic, kept, stamp)
        if stored:
            wait = ticket() if ticket is not None else None
            keep_retained(broker.journal, message.topic, kept, stamp, wait, message.level)
        return stored
    except OverflowError:
        broker.vitals.refused_retained_full += 1
        return False
