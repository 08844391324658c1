"""A client with a session that its gateway keeps: it subscribes, and comes back to what waited for it.

Some always come back to the same gateway, others to any, and some of these before the gateway where they
were knows that they left. Writes down what it sees, over all connections. Must not know what is checked.
"""

from collections.abc import Sequence

from gateway.mqtt.packets import (
    ConnAck,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
)
from tests.sim.box import Box
from tests.sim.client import FAILURE
from tests.sim.history import NEVER, Granted, History, Kept, KeptDelivery
from tests.sim.network import Network
from tests.sim.sockets import Socket
from tests.sim.world import World


class Keeper:
    """`name` is its client id and its host; `wanted` are the filters that it subscribes to, with QoS."""

    def __init__(
        self,
        world: World,
        network: Network,
        history: History,
        box: Box,
        name: str,
        wanted: list[tuple[str, int]],
        doors: Sequence[Box] = (),
    ) -> None:
        """`doors` are the boxes it may come to, if not always to the same."""
        self.name = name
        self.box = box
        self.doors = doors
        self.kept = Kept(name, "" if doors else box.name)
        history.kept.append(self.kept)
        self._world, self._history = world, history
        self._socket = Socket(world, network, name, self._handle, self._over)
        self._wanted = wanted
        self._asked: dict[int, Granted] = {}
        self._connected = False
        self._known_at = 0.0
        self._known = False  # CONNACK came once: the session is the gateway's to keep
        self._held: dict[int, None] = {}
        self._shuns: Box | None = None
        self._lost_at = 0.0
        self.rests_until = 0.0

    @property
    def away(self) -> bool:
        """Whether it has no connection, not even one under way."""
        return self._socket.wire is None

    def begin_anew(self) -> None:
        """Its gateway has lost its session."""
        before = self.kept
        before.ended_at = self._world.now
        self.kept = Kept(self.name, before.box, before.connections, visits=list(before.visits))
        self._history.kept.append(self.kept)
        self._known = False
        self._held.clear()

    def go_elsewhere(self) -> None:
        """Its gateway has lost its session, and there is a copy: it will not go there first."""
        self._shuns, self._lost_at = self.box, self._world.now

    def connect(self) -> None:
        """Opens a connection to its gateway, if that one listens."""
        if self.doors:
            self.box = self._world.random.choice([e for e in self.doors if e is not self._shuns])
        self._socket.open(self.box, self.kept)

    def leave(self) -> None:
        """Drops the connection without a word."""
        self._socket.leave()

    def hurry(self) -> None:
        """Connects anew at once; whoever has the old connection is not told."""
        wire, self._socket.wire = self._socket.wire, None
        self._over()
        if wire is not None:
            wire.abandon(0)
            self.connect()

    def ask(self) -> None:
        """Sends SUBSCRIBE for what it has not got yet."""
        granted = {each.topic_filter for each in self.kept.granted if each.ended_at == NEVER}
        for number, (name, qos) in enumerate(self._wanted, 1):
            if self._connected and name not in granted and number not in self._asked:
                self._asked[number] = Granted(name, qos, self._world.now)
                self._socket.say(Subscribe(number, (Subscription(name, qos),)))
                return

    def _over(self) -> None:
        if self.kept.visits:
            self.kept.visits[-1].over_at = self._world.now
        self._connected = False
        self._asked.clear()

    def _handle(self, packet: Packet) -> None:
        match packet:
            case ConnAck() if packet.reason < FAILURE:
                now = self.kept.visits[-1].answered_at = self._world.now
                if self._known and not packet.session_present:
                    self.kept.lost_at.append((self._known_at, now))
                    for granted in self.kept.granted:
                        granted.ended_at = min(granted.ended_at, now)
                self._known_at = now
                if not packet.session_present:
                    self._held.clear()
                self._known = self._connected = True
                if self._shuns is not None:
                    self._shuns = None
                    self.kept.nowhere.append((self._lost_at, now))
                self._world.say(f"{self.name} is back at {self.box.name}")
            case Publish():
                self._on_publish(packet)
            case PubRel():
                self._held.pop(packet.packet_id, None)
                self._socket.say(PubComp(packet.packet_id))
            case SubAck():
                granted = self._asked.pop(packet.packet_id)
                if packet.reasons[0] < FAILURE:
                    granted.granted_at = self._world.now
                    self.kept.granted.append(granted)
            case _:
                self._world.say(f"{self.name} is told {packet}")

    def _on_publish(self, packet: Publish) -> None:
        ident = packet.payload.decode()
        self._world.say(f"{self.name} gets {ident or 'a deletion'} on {packet.topic}")
        if packet.qos == 1:
            self._socket.say(PubAck(packet.packet_id))
        if packet.qos == 2:
            self._socket.say(PubRec(packet.packet_id))
            if packet.packet_id in self._held:
                return
            self._held[packet.packet_id] = None
        if ident and not packet.retain:
            about = (self._world.now, ident, packet.qos, self.box.name, self.kept.connections)
            self.kept.deliveries.append(KeptDelivery(*about))
