"""One gateway without its world: the broker and the mesh, joined.

The one object that a simulator copies. Shells feed its connections and links, and after `drain` write
what stands in them. A gateway that stands alone does not load the mesh: it is half a megabyte. Must not
know sockets, files or clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from gateway.arrival import Arrival
from gateway.broker.asked import Watched, answer
from gateway.broker.broker import Broker
from gateway.broker.courier import CourierBounds
from gateway.broker.elsewhere import Nowhere
from gateway.broker.journal import Journal
from gateway.broker.levels import Levels
from gateway.broker.outbox import Outbox
from gateway.broker.passage import HERE
from gateway.broker.registry import Registry
from gateway.broker.retained import Retained
from gateway.clock import MeshClock
from gateway.config import ClusterSection, DurabilityRule, MqttSection
from gateway.durability import Durability, durability
from gateway.effects import Effect
from gateway.ids import Stamp
from gateway.moves import Move
from gateway.mqtt.message import Message
from gateway.table import Row, Table
from gateway.tickets import Ticket

if TYPE_CHECKING:
    from gateway.mesh.frames import Member
    from gateway.mesh.identity import Identity
    from gateway.mesh.link import Link
    from gateway.mesh.mesh import Mesh


class Node:
    """The gateway with this id; `mesh` is None for one that stands alone.

    `saved_ms`, `members` and `stand_in` are what the disk keeps of the mesh, `boot` counts the starts
    of this disk; 0: there is no disk, and nothing is kept. `rules` say what answers wait for, by topic.
    """

    def __init__(
        self,
        settings: MqttSection,
        identity: Identity | None,
        random: Random,
        now: float,
        saved_ms: int = 0,
        members: Iterable[Member] = (),
        gateway: str = "",
        boot: int = 0,
        stand_in: str = "",
        rules: Iterable[DurabilityRule] = (),
    ) -> None:
        self.mesh: Mesh | None = None
        gateway = gateway if identity is None else identity.gateway
        self._clock = MeshClock(gateway, saved_ms, now)
        default = Durability.LOCAL if identity is None else durability(identity.cluster.durability)
        levels = Levels(default, [(rule.filter, durability(rule.level)) for rule in rules])
        journal = Journal(boot, self._clock, default) if boot else Journal()
        if identity is None:
            self.broker = Broker(settings, Nowhere(self._clock), random, journal, levels)
            return
        from gateway.mesh.mesh import Mesh

        side = _BrokerSide()
        self.mesh = Mesh(identity, side, random, self._clock, now)
        self.broker = side.broker = Broker(settings, self.mesh.others, random, journal, levels)
        if journal.keeping:
            from gateway.broker.moving import Mover

            journal.copier = self.mesh.copier
            bounds = _courier_bounds(identity.cluster)
            make = partial(Mover, bounds=bounds)
            self.broker.join(Registry(gateway, self.mesh.others, journal), make)
        self.mesh.start(members, stand_in, now)

    def found(self, store: str, number: int, sound: bool) -> None:
        """Before the first batch: whose log is on the disk, the number of its last batch, and whether
        nothing of it is missing."""
        self.broker.journal.on_disk = number
        if self.mesh is not None and self.broker.journal.keeping:
            self.mesh.copier.found(store, number, sound)

    def links(self) -> list[Link]:
        """The links with something to write."""
        return [] if self.mesh is None else self.mesh.writable()

    def deadline(self) -> float:
        """When `wake` is due, in monotonic seconds."""
        deadline = min(self.broker.deadline(), self.broker.journal.deadline())
        return deadline if self.mesh is None else min(deadline, self.mesh.deadline())

    def wake(self, now: float) -> None:
        """A deadline passed."""
        self.broker.wake(now)
        if self.mesh is not None:
            self.mesh.wake(now)

    def drain(self) -> tuple[list[Outbox], list[Link], list[Effect]]:
        """Closes a turn: outboxes and links with something to write, and effects to do, in order."""
        effects: list[Effect] = []
        now = self.broker.state.now
        to_save = self._clock.to_save(now if self.mesh is None else max(now, self.mesh.state.now))
        if to_save is not None:
            effects.append(to_save)
        if self.mesh is not None:
            effects += self.mesh.drain()
        outboxes, more = self.broker.drain()
        return outboxes, self.links(), effects + more

    def stop(self, now: float) -> None:
        """A planned stop: the clients are told. What they leave behind may still go its way."""
        self.broker.stop(now)
        if self.mesh is not None:
            self.mesh.clients_gone()

    def leave(self, now: float) -> None:
        """And then the other gateways."""
        if self.mesh is not None:
            self.mesh.stop(now)


def _courier_bounds(cluster: ClusterSection) -> CourierBounds:
    return CourierBounds(
        cluster.courier_messages_max,
        cluster.courier_bytes_max,
        cluster.courier_age_max_s,
        cluster.courier_full,
        cluster.courier_rate_max,
    )


class _BrokerSide:
    """The broker as the mesh sees it (`gateway/mesh/local.py`)."""

    broker: Broker

    def stores(self) -> bool:
        journal = self.broker.journal
        return journal.keeping and not journal.refusing

    def copied(self, number: int | None, now: float) -> None:
        self.broker.copied(number, now)

    def begin_copy(self, anew: bool) -> int:
        self.broker.begin_copy(anew)
        return self.broker.journal.begun()

    def copy_slice(self, now: float) -> None:
        self.broker.copy_slice(now)

    def end_copy(self) -> None:
        self.broker.journal.end_copy()

    def copy_is_long(self) -> bool:
        return self.broker.journal.copy_is_long()

    @property
    def retained(self) -> Retained:
        return self.broker.retained

    @property
    def tables(self) -> Mapping[str, Table]:
        return self.broker.tables

    def rows_came(self, table: str, rows: Sequence[tuple[str, Row]], now: float) -> None:
        self.broker.rows_came(table, rows, now)

    def arrived(self, messages: list[Message], arrival: Arrival, now: float) -> None:
        self.broker.arrived(messages, arrival, now)

    def position(self, gateway: str, start: str) -> int:
        return self.broker.state.streams.position(gateway, start)

    def keep_position(self, gateway: str, start: str, number: int) -> None:
        self.broker.state.streams.keep(gateway, start, number)

    def caught_up(self, message: Message, stamp: Stamp, now: float) -> None:
        self.broker.caught_up(message, stamp, now)

    def from_gateway(self, gateway: str) -> None:
        self.broker.state.origin = gateway or HERE

    def heard(self, gateway: str, move: Move, now: float) -> None:
        self.broker.state.at(now)
        if self.broker.moving is not None:
            self.broker.moving.heard(gateway, move)

    def gateway_came(self, gateway: str, now: float) -> None:
        self.broker.state.at(now)
        if self.broker.moving is not None:
            self.broker.moving.gateway_came(gateway)

    def gateway_gone(self, gateway: str, now: float) -> None:
        self.broker.state.at(now)
        if self.broker.moving is not None:
            self.broker.moving.gateway_gone(gateway)

    def gateway_lost(self, gateway: str, now: float) -> None:
        self.broker.state.at(now)
        if self.broker.moving is not None:
            self.broker.moving.gateway_lost(gateway)

    def gateway_found(self, gateway: str, now: float) -> None:
        self.broker.state.at(now)
        if self.broker.moving is not None:
            self.broker.moving.gateway_found(gateway)

    def keep_for(
        self, gateway: str, messages: Sequence[tuple[int, Message, list[Ticket]]], now: float
    ) -> bool:
        self.broker.state.at(now)
        if self.broker.moving is None:
            return False
        self.broker.moving.keep_for(gateway, messages)
        return True

    def kept_there(self, gateway: str, number: int, now: float) -> None:
        self.broker.state.at(now)
        if self.broker.moving is not None:
            self.broker.moving.kept_there(gateway, number)

    def turn(self, now: float) -> None:
        if self.broker.moving is not None:
            self.broker.state.at(max(now, self.broker.state.now))
            self.broker.moving.turn()

    def silent_s(self, client_id: str, now: float) -> float:
        return self.broker.silent_s(client_id, now)

    def taken_over(self, client_id: str, where: str, now: float) -> None:
        self.broker.taken_over(client_id, where, now)

    def asked(
        self, what: str, client: str, limit: int, orphans: bool, who: str, now: float
    ) -> dict[str, Any] | None:
        return answer(self.broker, what, client, limit, orphans, who, now)

    def watch(self, filters: Sequence[str], client: str, payload: bool) -> Watched:
        return Watched(self.broker, filters, client, payload)

    def arrived_shared(
        self, message: Message, name: str, ticket: Callable[[], Ticket] | None, now: float
    ) -> None:
        self.broker.arrived_shared(message, name, ticket, now)

    def groups(self) -> list[tuple[str, int, int]]:
        return self.broker.groups()

    def group(self, name: str) -> tuple[int, int]:
        return self.broker.group(name)

    def members_came(self, names: Iterable[str], now: float) -> None:
        self.broker.members_came(names, now)

    def wills(self, now: float) -> Iterator[tuple[str, Message, float, float | None]]:
        return self.broker.wills(now)

    def send_will(self, message: Message, now: float) -> None:
        self.broker.send_will(message, now)

    def came_elsewhere(self, client_id: str, clean: bool, now: float) -> None:
        self.broker.came_elsewhere(client_id, clean, now)

    def drop_wills(self, clients: Sequence[str], now: float) -> None:
        self.broker.drop_wills(clients, now)

    def restamp(self, topic: str, now: float) -> None:
        self.broker.restamp(topic, now)

    def filters(self) -> Sequence[str]:
        return self.broker.filters()

    def interest_changed(self) -> None:
        self.broker.interest_changed()

    def uncrowd(self) -> None:
        self.broker.uncrowd()

    def hold(self) -> None:
        self.broker.hold()

    def unhold(self, now: float) -> None:
        self.broker.unhold(now)

    def insist(self, ticket: Ticket) -> None:
        self.broker.state.journal.wait(ticket, Durability.MESH)

    def mute(self) -> None:
        self.broker.mute()

    def unmute(self) -> None:
        self.broker.unmute()

    def late_after(self, when: float) -> None:
        self.broker.state.late_after = when

    def meet(self) -> None:
        self.broker.meet()

    def met(self, now: float) -> None:
        self.broker.met(now)
