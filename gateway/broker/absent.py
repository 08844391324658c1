"""Sessions whose gateway is dead, and that nobody has claimed: what is published for them.

    lost       its gateway is found dead: from here on this one finds the session's filters in the
               registry, and what clients here publish at QoS 1 and 2 goes to an appendix
               (`leftovers.py`), which is on disk before the publisher is answered
    moved      another gateway has the session, and says so (Moved): in that moment the appendix is
               offered to it, then it is told that what comes from here is for the session there
    found      its gateway is back, with the session

So each message is for the session at one place. Only the gateway that took a message from its client
looks here: what came over a link was seen to there. Must not know links.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from gateway.broker.couriers import Couriers
from gateway.broker.delivery import deliver_to
from gateway.broker.elsewhere import Outlet
from gateway.broker.leftovers import Leftovers
from gateway.broker.registry import Registry
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.broker.target import Target
from gateway.ids import Stamp, entry_name
from gateway.moves import Through
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Subscription
from gateway.mqtt.topics import split_share
from gateway.mqtt.tree import TopicTree
from gateway.tickets import Ticket

Filters: TypeAlias = TopicTree[tuple[str, Subscription]]


class _Filed(NamedTuple):
    """A session of this line, under these filters."""

    line: int
    filters: list[str]


class _Given(NamedTuple):
    """A message in an appendix that its gateway was given before, as this entry: it may have it."""

    number: int
    session: Session
    message: Message


@dataclass(slots=True)
class Absent:
    """All of them. Fulfils `Routes.absent` (`outlets`). `_given` is by gateway, `_to_tell` what one
    that was silent is told when it speaks anew: which of its sessions went elsewhere, by client id."""

    broker: BrokerState
    registry: Registry
    leftovers: Leftovers
    couriers: Couriers
    _tree: Filters = field(default_factory=TopicTree)
    _filed: dict[str, _Filed] = field(default_factory=dict)
    _moved: dict[str, str] = field(default_factory=dict)  # to where, before the registry says so
    _given: dict[str, list[_Given]] = field(default_factory=dict)
    _to_tell: dict[str, dict[str, Through]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._filed)

    def outlets(self, topic: str) -> Sequence[Outlet]:
        """The sessions that want this topic, each as a place to put a message."""
        if not self._filed:
            return ()
        return [
            _Absentee(self, client_id, subscriptions)
            for client_id, subscriptions in self._match(self._tree, topic).items()
        ]

    def _match(self, tree: Filters, topic: str) -> dict[str, list[Subscription]]:
        wants: dict[str, list[Subscription]] = {}
        for client_id, subscription in tree.match(topic):
            wants.setdefault(client_id, []).append(subscription)
        return {each: found for each, found in wants.items() if self._may_read(each, topic)}

    def _may_read(self, client_id: str, topic: str) -> bool:
        entry = self.registry.entry(client_id)
        if entry is None:
            return False
        rights = self.broker.access.rights(entry.user, client_id)
        return rights is None or rights.may_read(topic)

    def restored(self) -> None:
        """The disk has said all: some may be of gateways that nobody here knows."""
        self._file_all(self.broker.elsewhere.is_lost)

    def gateway_lost(self, gateway: str) -> None:
        """A gateway is dead."""
        self._file_all(lambda owner: owner == gateway)

    def _file_all(self, is_wanted: Callable[[str], bool]) -> None:
        for client_id, owner in self.registry.owners():
            if is_wanted(owner):
                self._file(client_id)

    def gateway_found(self, gateway: str) -> None:
        """A gateway says itself what its sessions want, or begins anew with what others said to it."""
        for client_id in list(self._filed):
            entry = self.registry.entry(client_id)
            if entry is not None and entry.owner == gateway:
                self.drop(client_id)

    def registered(self, client_ids: Iterable[str]) -> None:
        """The registry has news of these sessions. One that has a new gateway is not dropped yet: until
        that says Moved what comes from here is not for the session there."""
        is_lost = self.broker.elsewhere.is_lost
        for client_id in client_ids:
            self._moved.pop(client_id, None)
            entry = self.registry.entry(client_id)
            filed = self._filed.get(client_id)
            if entry is None or (filed is not None and filed.line != entry.line):
                self.drop(client_id)  # it is over, whatever is called so now
            if entry is not None and is_lost(entry.owner):
                self._file(client_id)

    def keep_for(self, gateway: str, messages: Sequence[tuple[int, Message, list[Ticket]]]) -> None:
        """That gateway was given these before, and is gone."""
        if not messages:
            return
        owners = self.registry.owners()
        of_gateway = [client_id for client_id, owner in owners if owner == gateway]
        self._keep(gateway, of_gateway, messages)

    def _keep(
        self,
        gateway: str,
        client_ids: Iterable[str],
        messages: Iterable[tuple[int, Message, list[Ticket]]],
    ) -> None:
        tree: Filters = TopicTree()
        for client_id in client_ids:
            for each in self._wanted(client_id):
                tree.add(each.topic_filter, client_id, (client_id, each))
        given = self._given.setdefault(gateway, [])
        for number, message, tickets in messages:
            for client_id, subscriptions in self._match(tree, message.topic).items():
                kept = self.append(client_id, subscriptions, message, tickets)
                if kept is not None:
                    given.append(_Given(number, *kept))

    def kept_there(self, gateway: str, number: int) -> None:
        """It is back, and has what it was given up to this number: that is not wanted from here, where
        the session is there still."""
        had: list[_Given] = []
        left: list[_Given] = []
        for each in self._given.pop(gateway, []):
            entry = self.registry.entry(each.session.client_id)
            is_there = entry is not None and entry.owner == gateway and each.number <= number
            (had if is_there else left).append(each)
        self._take_back(had)
        left = [each for each in left if self._waits(each)]
        if left:  # if its disk is a new one, the copy of the old one may have them
            self._given[gateway] = left

    def copied(self, client_id: str, owner: str, start: str, number: int) -> None:
        """The session is served from the copy of its owner's store, which has what this gateway, as of
        that start, gave it up to this number. Anything else that the owner was given, and is not known
        to keep, is kept here for the session."""
        if start != self.broker.elsewhere.own_start():
            number = 0
        given = self._given.pop(owner, [])
        had = [each for each in given if each.session.client_id == client_id]
        had = [each for each in had if each.number <= number]
        self._take_back(had)
        self._given[owner] = [each for each in given if each not in had]
        unkept = self.broker.elsewhere.unkept(owner)
        self._keep(owner, [client_id], [(n, message, []) for n, message in unkept if n > number])

    def tell(self, client_id: str, owner: str, token: int) -> None:
        """The session went elsewhere while its owner could not be asked: that is told what it was given
        and is not to give on, and that no more for the session comes from here. It is told again when it
        begins to speak anew: the first time may have gone with its death."""
        start = self.broker.elsewhere.own_start()
        given = [each for each in self._given.get(owner, []) if each.session.client_id == client_id]
        through = Through(client_id, token, tuple(entry_name(start, each.number) for each in given))
        self._to_tell.setdefault(owner, {})[client_id] = through
        if not self.broker.elsewhere.is_lost(owner):
            self.broker.elsewhere.tell(owner, through)

    def gateway_came(self, gateway: str) -> None:
        """A gateway begins to speak: before anything newer it hears what went elsewhere meanwhile."""
        for client_id, through in self._to_tell.pop(gateway, {}).items():
            entry = self.registry.entry(client_id)
            if entry is not None and entry.owner != gateway:
                self.broker.elsewhere.tell(gateway, through)

    def _take_back(self, given: Iterable[_Given]) -> None:
        had: dict[Session, set[Message]] = {}
        for each in given:
            if self._waits(each):
                had.setdefault(each.session, set()).add(each.message)
        for session, messages in had.items():
            session.take_back(messages)

    def _waits(self, given: _Given) -> bool:
        client_id = given.session.client_id
        return given.session in (
            self.broker.sessions.get(client_id) if self.leftovers.has(client_id) else None,
            self.broker.aside.get(client_id),
        )

    def _wanted(self, client_id: str) -> list[Subscription]:
        """What the registry knows that the session subscribes to for itself."""
        entry = self.registry.entry(client_id)
        wanted = [] if entry is None else entry.subscriptions()
        return [each for each in wanted if not split_share(each.topic_filter)[0]]

    def _file(self, client_id: str) -> None:
        entry = self.registry.entry(client_id)
        self.drop(client_id)
        moved = self._moved.get(client_id)
        if entry is None or (moved is not None and not self.broker.elsewhere.is_lost(moved)):
            return
        wanted = self._wanted(client_id)
        for each in wanted:
            self._tree.add(each.topic_filter, client_id, (client_id, each))
        self._filed[client_id] = _Filed(entry.line, [each.topic_filter for each in wanted])
        self.broker.routes.cache.clear()

    def moved(self, client_id: str, gateway: str) -> None:
        """That gateway has it, and from here on is told what comes from here."""
        self.drop(client_id)
        entry = self.registry.entry(client_id)
        if entry is not None and entry.owner != gateway:
            self._moved[client_id] = gateway
        self.leftovers.moved(client_id, gateway)

    def drop(self, client_id: str) -> None:
        """It is not absent any more."""
        filed = self._filed.pop(client_id, None)
        if filed is not None:
            for topic_filter in filed.filters:
                self._tree.remove(topic_filter, client_id)
            self.broker.routes.cache.clear()

    def append(
        self,
        client_id: str,
        subscriptions: list[Subscription],
        message: Message,
        tickets: Sequence[Ticket],
    ) -> tuple[Session, Message] | None:
        """Keeps the message for the session; the tickets are held until it is on disk. Returns where it
        is, and what; None: it is not kept."""
        session = self._appendix(client_id, message)
        if session is None:
            return None
        target: Target | None = Target(session, subscriptions[0])
        for each in subscriptions[1:]:
            assert target is not None, "it was made above"
            target.widen(each)
        if target is not None and target.picky and client_id == message.publisher:
            target = target.own  # [MQTT-3.8.3-3]
        if target is None or not min(message.qos, target.qos):
            return None
        retain, before = message.retain and target.retain_as_published, len(session.backlog)
        make = (lambda: tickets[0]) if tickets else None
        deliver_to(self.broker, target, message, retain, make)
        for ticket in tickets[1:]:
            self.broker.journal.wait(ticket)
        if len(session.backlog) == before:
            return None
        return session, (session.backlog.behind or session.backlog.line)[-1][0]

    def _appendix(self, client_id: str, message: Message) -> Session | None:
        """Where what is for the session is kept. None: nowhere, for too much waits for its gateway."""
        broker = self.broker
        session = broker.sessions.get(client_id)
        passage = None if session is None else session.passage
        if passage is not None and not passage.own and not self.leftovers.has(client_id):
            session = broker.aside.get(client_id)  # it is on its way here, and may not come
        is_here = session is not None and session.number
        entry = self.registry.entry(client_id)
        if is_here and (entry is None or not self.leftovers.has(client_id)):
            return session
        if entry is None or not self.couriers.takes(entry.owner, message):
            return None
        return session if is_here else self.leftovers.begin(client_id, entry)


@dataclass(slots=True)
class _Absentee:
    """One session, as a place to put a message. Fulfils `Outlet`."""

    absent: Absent
    client_id: str
    subscriptions: list[Subscription]

    def offer(self, message: Message, stamp: Stamp | None, ticket: Ticket | None) -> None:
        if message.qos:
            tickets = () if ticket is None else (ticket,)
            self.absent.append(self.client_id, self.subscriptions, message, tickets)

    def offer_shared(self, message: Message, name: str, moves: int, ticket: Ticket | None) -> None:
        raise AssertionError("no shared subscription is filed here")

    def reachable(self) -> bool:
        return False
