"""A publisher with a session that its gateway keeps: what was not acknowledged it sends again, as MQTT
has it, to whatever gateway it comes back to.

So each of its QoS 2 messages is to arrive once, whatever its gateway forgot. If it is told that it has
no session it begins anew. Writes down what it sent where. Must not know what is checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.mqtt.packets import (
    ConnAck,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
)
from tests.sim.box import Box
from tests.sim.client import FAILURE
from tests.sim.history import History, Kept, Publication
from tests.sim.network import Network
from tests.sim.sockets import Socket
from tests.sim.world import World

WINDOW = 20  # publications without an answer before it waits


@dataclass
class _Pending:
    """One message that is not acknowledged; `released`: PUBREC came for it."""

    publication: Publication
    released: bool = False


class Teller:
    """`name` is its client id and its host; `doors` are the boxes that it may come to."""

    def __init__(
        self, world: World, network: Network, history: History, name: str, doors: Sequence[Box]
    ) -> None:
        self.name = name
        self.box = doors[0]
        self.doors = doors
        self.kept = Kept(name, "" if len(doors) > 1 else doors[0].name)
        history.tellers[name] = self.kept
        self._world, self._network, self._history = world, network, history
        self._socket = Socket(world, network, name, self._handle, self._over)
        self._connected = False
        self._known = False
        self._line = 0  # of order: another one when the session was lost
        self._number = 0
        self._packet_id = 0
        self._pending: dict[int, _Pending] = {}

    @property
    def away(self) -> bool:
        """Whether it has no connection, not even one under way."""
        return self._socket.wire is None

    def connect(self) -> None:
        """Opens a connection to one of its gateways, if that one listens."""
        self.box = self._world.random.choice(self.doors)
        self._socket.open(self.box, self.kept)

    def leave(self) -> None:
        """Drops the connection without a word."""
        self._socket.leave()

    def publish(self, topic: str, qos: int) -> None:
        """Sends one PUBLISH; its payload says which one it is."""
        if not self._connected or len(self._pending) >= WINDOW:
            return
        if self.box.name in self._network.down:
            return  # nothing that it says now is ever heard
        self._number += 1
        publication = Publication(
            *(f"{self.name}/{self._number}", self.name, self._line, self.box.name, topic, qos),
            *(False, self._number, self._world.now),
        )
        self._history.publications.append(publication)
        self._packet_id = self._packet_id % 65_535 + 1
        self._pending[self._packet_id] = _Pending(publication)
        self._socket.say(Publish(topic, publication.ident.encode(), qos, packet_id=self._packet_id))

    def _over(self) -> None:
        self._connected = False
        self.kept.visits[-1].over_at = self._world.now

    def _handle(self, packet: Packet) -> None:
        match packet:
            case ConnAck() if packet.reason < FAILURE:
                self._on_connack(packet)
            case PubAck() | PubComp() if packet.packet_id in self._pending:
                publication = self._pending.pop(packet.packet_id).publication
                publication.acked_at = self._world.now
                publication.refused = packet.reason >= FAILURE
            case PubRec() if packet.reason >= FAILURE:
                publication = self._pending.pop(packet.packet_id).publication
                publication.acked_at, publication.refused = self._world.now, True
            case PubRec() if packet.packet_id in self._pending:
                pending = self._pending[packet.packet_id]
                pending.released = True
                pending.publication.released_at = min(
                    pending.publication.released_at, self._world.now
                )
                self._socket.say(PubRel(packet.packet_id))
            case _:
                self._world.say(f"{self.name} is told {packet}")

    def _on_connack(self, packet: ConnAck) -> None:
        now = self.kept.visits[-1].answered_at = self._world.now
        self._world.say(f"{self.name} is back at {self.box.name}")
        if not packet.session_present:
            if self._known:
                self.kept.lost_at.append((now, now))
            self._pending.clear()
            self._line += 1
        self._known = self._connected = True
        for packet_id, pending in self._pending.items():  # [MQTT-4.4.0-1]
            publication = pending.publication
            publication.again.append(self.box.name)
            if pending.released:
                self._socket.say(PubRel(packet_id))
            else:
                payload, qos = publication.ident.encode(), publication.qos
                self._socket.say(
                    Publish(publication.topic, payload, qos, dup=True, packet_id=packet_id)
                )
