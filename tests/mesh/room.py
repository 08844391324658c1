"""Gateways in one room: whole nodes, joined by hand, with a clock that is set by hand.

Nothing is random and nothing is late: `settle` carries what stands in the links until all is said. What
was said can be read in `frames` and, one line a frame, in `talk`.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import msgspec

from gateway.broker.connection import Connection
from gateway.broker.journal import Batch
from gateway.broker.records import Wish
from gateway.config import ClusterSection, DurabilityRule, MqttSection
from gateway.effects import (
    BeginCopy,
    Dial,
    DropCopies,
    Effect,
    FindCopies,
    ForgetMember,
    Note,
    ReadCopy,
    SaveKeys,
    SaveMember,
    SaveMeshTime,
    SaveRow,
    SaveStandIn,
    WriteCopy,
)
from gateway.keyring import Key, Keyring
from gateway.mesh.frames import AnyFrame, Frame, Member, Relayed, encode, split
from gateway.mesh.identity import Identity
from gateway.mesh.keys import to_dial_with
from gateway.mesh.link import Link
from gateway.mesh.mesh import Mesh
from gateway.mesh.peer import Peer
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode as encode_packet
from gateway.mqtt.framing import split as split_packets
from gateway.mqtt.packets import (
    Connect,
    Packet,
    PacketType,
    PubAck,
    Publish,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.node import Node
from gateway.table import Row
from tests.broker.kept import Card
from tests.shelves import MemoryShelves

PORT = 7883
STEP_S = 0.1
BLOCKED_BYTES = 262_144  # in a line: what is long waits
SOON_S = 0.05  # what waits for as long as this is on disk at once
TURNS_MAX = 1_000
CLUSTER = ClusterSection("room", "not used here", PORT, discovery=False)


class Gate:
    """One gateway. Its id is its name; a smaller letter is a lower id. With a `card` it has a disk,
    which writes when `sync` is called, or, in a room with disks, by itself; with `disk` one that writes
    by itself, also copies."""

    def __init__(self, room: "Room", name: str, card: Card | None = None, **identity: Any) -> None:
        self.room = room
        self.name = name
        self.card = Card() if room.disks else card
        said = {"store": f"store-{name}", "boot": 1, "nonce": f"nonce-{name}-1", "cluster": CLUSTER}
        self.disk = bool(identity.pop("disk", False))
        if self.disk:
            self.card = Card()
        self.stand_in = ""
        self.shelves = MemoryShelves()
        self.writing: Batch | None = None
        self.disk_works = self.copies_work = True  # if not, nothing becomes of what is written
        self.copies_slow = False  # one thing at a time, of what is to be done with copies
        self._copies_at = 0.0
        self.said = {**said, **identity}
        self.disk_fails = False
        self.saved_ms = 0
        self.members: dict[str, Member] = {}
        self.notes: list[str] = []
        self.dials: list[Dial] = []
        self.keys: tuple[Key, ...] = ()  # on its disk; none: nobody asks for keys
        self.disk_fails = False
        self.rows: dict[tuple[str, str], Row] = {}
        self.dead_s: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """Starts it, or starts it again: its memory is empty."""
        said = self.said
        identity = Identity(
            *(said.get("gateway", self.name), self.name, said["store"], said["boot"]),
            *(said["nonce"], "1.0", self.name, 1883, said["cluster"]),
        )
        settings = MqttSection(allow_anonymous="everywhere")
        members = tuple(self.members.values())
        self.node = Node(
            *(settings, identity, Random(1), self.room.now, self.saved_ms, members),
            boot=0 if self.card is None else said["boot"],
            stand_in=self.stand_in,
            rules=[DurabilityRule(*rule) for rule in said.get("rules", ())],
        )
        rows = [(*key, row) for key, row in self.rows.items()]
        self.mesh.recall(Keyring(self.keys), rows, self.dead_s)
        self.writing = None
        self.shelves.crash()
        if self.card is not None:
            self.card.restore(self.node.broker, self.room.now)
            self.node.found(said["store"], self.card.number, self.card.sound)
        for owner in self.shelves.copies:
            self.mesh.copies.here(owner, True)

    def restart(self) -> None:
        """The process ends and begins anew: its links are over."""
        for line in list(self.room.lines):
            if self in line.gates:
                line.cut()
        self.said["boot"] += 1
        self.said["nonce"] = f"nonce-{self.name}-{self.said['boot']}"
        self.start()

    def sync(self, fails: str = "") -> None:
        """The disk writes what is due now, or `fails` for this reason; all hear what comes of it."""
        assert self.card is not None
        broker = self.node.broker
        batch = broker.journal.take(self.room.now)
        assert batch is not None, "nothing is to be written"
        if fails:
            broker.commit_failed(fails, self.room.now)
        else:
            self.card.write(batch)
            broker.committed(0.001, Wish.NONE, self.room.now)
        self.room.settle()

    @property
    def mesh(self) -> Mesh:
        """Its mesh."""
        assert self.node.mesh is not None
        return self.node.mesh

    def peer(self, name: str) -> Peer:
        """How it sees another one."""
        return self.mesh.state.peers[name]

    def commit(self) -> bool:
        """What is due reaches the disk, or is refused by it; True if there was something."""
        broker, now = self.node.broker, self.room.now
        batch = broker.journal.take(now + SOON_S) if self.room.disks else None
        if batch is None or self.card is None:
            return False
        if self.disk_fails:
            broker.commit_failed("the disk fails", now)
        else:
            self.card.write(batch)
            broker.committed(0.0, Wish.NONE, now)
        return True

    def work(self) -> bool:
        """What the disk does in a turn; whether it did anything."""
        journal = self.node.broker.journal
        if not self.disk:
            return False
        if self.writing is None and self.card is not None:
            self.writing = journal.take(self.room.now)
        done = False
        if self.writing is not None and self.card is not None and self.disk_works:
            batch, self.writing, done = self.writing, None, True
            self.card.write(batch)
            self.node.broker.committed(0.001, Wish.NONE, self.room.now)
        if self.copies_work and not (self.copies_slow and self._copies_at == self.room.now):
            self._copies_at = self.room.now
            done |= self.shelves.work(self.mesh, self.room.now)
        return done

    def do(self, effects: Iterable[Effect]) -> None:
        """What a shell would do, but that nobody is dialled."""
        for effect in effects:
            match effect:
                case FindCopies() | BeginCopy() | WriteCopy() | DropCopies() | ReadCopy():
                    self.shelves.do(effect)
                case Note():
                    self.notes.append(effect.text)
                case Dial():
                    self.dials.append(effect)
                case SaveMeshTime():
                    self.saved_ms = effect.time_ms
                case SaveStandIn():
                    self.stand_in = effect.gateway
                case SaveKeys() if not self.disk_fails:
                    self.keys = effect.keys
                    self.mesh.keys_saved(effect.version, self.room.now)
                case SaveMember():
                    who = effect.gateway
                    where = (effect.name, effect.address, effect.port, effect.store)
                    self.members[who] = Member(who, *where)
                    self.dead_s[who] = effect.dead_s
                case ForgetMember():
                    del self.members[effect.gateway]
                case SaveRow():
                    self.rows[effect.table, effect.key] = effect.row

    def client(
        self,
        name: str,
        version: Version = Version.MQTT311,
        will: Will | None = None,
        clean: bool = True,
        expiry_s: int = 0,
    ) -> "Client":
        """A client that connects here; with an expiry it speaks MQTT 5.0."""
        return Client(self, name, Version.MQTT5 if expiry_s else version, will, clean, expiry_s)


class Line:
    """One connection between two gates; `gates[0]` dialled. What `muted` sides say waits, and what is
    more than `bytes_s` in a second of one direction; 0: it is as fast as may be."""

    def __init__(self, room: "Room", dialling: Gate, accepting: Gate) -> None:
        self.room = room
        self.gates = (dialling, accepting)
        now = room.now
        key = room.key_of(dialling, accepting)
        self.links = (
            dialling.mesh.opened((accepting.name, PORT), accepting.name, True, now, key),
            accepting.mesh.opened((dialling.name, 40_000), dialling.name, False, now, key),
        )
        self.muted: set[int] = set()
        self.waiting = [b"", b""]
        self.bytes_s = 0
        self._room = [0, 0]  # bytes that may still go within this step
        self._room_at = float("-inf")
        self.over = False

    def carry(self) -> bool:
        """Moves what stands in the links; True if there was something."""
        moved = False
        for side, link in enumerate(self.links):
            self.waiting[side] += b"".join(link.out)
            link.out.clear()
            open_ = side not in self.muted and not self.over
            data = self._due(side) if open_ else b""
            link.blocked = len(self.waiting[side]) > BLOCKED_BYTES
            if data:
                self.room.hear(self.gates[side], self.gates[1 - side], data)
                self.gates[1 - side].mesh.receive(self.links[1 - side], data, self.room.now)
                moved = True
        if not self.over and not self.muted and any(link.closed for link in self.links):
            self.cut()
            moved = True
        return moved

    def _due(self, side: int) -> bytes:
        """Takes what may go now."""
        data = self.waiting[side]
        if self.bytes_s:
            if self._room_at < self.room.now:
                self._room_at = self.room.now
                self._room = [round(self.bytes_s * STEP_S)] * 2
            data = data[: self._room[side]]
            self._room[side] -= len(data)
        self.waiting[side] = self.waiting[side][len(data) :]
        return data

    def cut(self) -> None:
        """The connection is over, and both sides know."""
        if self.over:
            return
        self.over = True
        self.room.lines.remove(self)
        for gate, link in zip(self.gates, self.links, strict=True):
            gate.mesh.lost(link, self.room.now)


class Room:
    """`frames` is what was said, by whom to whom. `disks`: the gateways keep sessions."""

    def __init__(self, disks: bool = False) -> None:
        self.disks = disks
        self.now = 1000.0
        self.lines: list[Line] = []
        self.gates: list[Gate] = []
        self.frames: list[tuple[str, str, AnyFrame]] = []
        self.cut_up = False  # frames come in pieces, on lines that are slow

    def gate(self, name: str, card: Card | None = None, **identity: Any) -> Gate:
        """A gateway that starts now."""
        gate = Gate(self, name, card, **identity)
        self.gates.append(gate)
        return gate

    def linked(self, *names: str, **identity: Any) -> list[Gate]:
        """Gateways that are all linked with each other, after their first words."""
        gates = [self.gate(name, **identity) for name in names]
        for number, gate in enumerate(gates):
            for other in gates[number + 1 :]:
                self.line(gate, other)
        self.settle()
        return gates

    def key_of(self, dialling: Gate, accepting: Gate) -> str:
        """The first key that one tries and the other knows; empty: they have none at all."""
        known = {key.fingerprint for key in accepting.mesh.state.keyring.valid()}
        tried = to_dial_with(dialling.mesh.state)
        assert bool(known) == bool(tried) and (not tried or known & set(tried)), "no common key"
        return next((key for key in tried if key in known), "")

    def line(self, dialling: Gate, accepting: Gate) -> Line:
        """A connection, with nothing carried yet."""
        line = Line(self, dialling, accepting)
        self.lines.append(line)
        return line

    def kill(self, *gates: Gate) -> None:
        """They are gone, and nobody is told but by their links; `Gate.restart` brings one back."""
        for gate in gates:
            self.gates.remove(gate)
            for line in [line for line in self.lines if gate in line.gates]:
                line.cut()
        self.settle()

    def settle(self) -> None:
        """Turns, until nothing is said any more."""
        for _ in range(TURNS_MAX):
            done = []
            for gate in self.gates:
                done += self._turn(gate)
                done += [None] * gate.work()
            moved = [line.carry() for line in list(self.lines)]
            moved += [gate.commit() for gate in self.gates]
            if not any(moved) and not done:
                return
        raise AssertionError("they talk without end")

    def _turn(self, gate: Gate) -> list[Effect]:
        effects = self.drain(gate)
        gate.do(effects)
        return effects

    def drain(self, gate: Gate) -> list[Effect]:
        """One turn of a gate."""
        return gate.node.drain()[2]

    def wait(self, seconds: float) -> None:
        """Time passes; everybody is awake."""
        for _ in range(round(seconds / STEP_S)):
            self.now = round(self.now + STEP_S, 6)
            for gate in self.gates:
                if gate.node.deadline() <= self.now:
                    gate.node.wake(self.now)
            self.settle()

    def hear(self, source: Gate, target: Gate, data: bytes) -> None:
        """Writes down what goes over a line, where that is whole frames."""
        if self.cut_up:
            return
        for frame in split(data)[0]:
            self.frames.append((source.name, target.name, frame))

    @property
    def talk(self) -> list[str]:
        """What was said, a line a frame."""
        return [f"{source} > {target}  {_line(frame)}" for source, target, frame in self.frames]


def between(room: Room, one: str, other: str) -> Line:
    """The line between two gates."""
    return next(line for line in room.lines if {gate.name for gate in line.gates} == {one, other})


def chain(room: Room) -> list[Line]:
    """Of a, b, c and d, all linked, only a - c - d - b stays: a and b hear of each other, and no gateway
    hears both. Returns the lines that are to be cut or muted."""
    return [between(room, *pair) for pair in ("ab", "ad", "bc")]


class Client:
    """A client at a gate, its packets by hand."""

    def __init__(
        self,
        gate: Gate,
        name: str,
        version: Version,
        will: Will | None = None,
        clean: bool = True,
        expiry_s: int = 0,
    ) -> None:
        self.gate, self.version, self.name = gate, version, name
        self.connection: Connection = gate.node.broker.entrance.open(
            "192.0.2.1", True, gate.room.now
        )
        self._packet_id = 0
        properties = Properties(session_expiry_interval_s=expiry_s) if expiry_s else NO_PROPERTIES
        self.send(Connect(version, name, clean, 0, will=will, properties=properties))
        self.welcome = self.got()  # CONNACK, and what waited

    def send(self, packet: Packet) -> None:
        """Says a packet."""
        self.connection.receive(encode_packet(packet, self.version), self.gate.room.now)

    def leave(self) -> None:
        """Drops the connection without a word."""
        self.connection.lost(self.gate.room.now)

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Says SUBSCRIBE."""
        self._packet_id += 1
        self.send(Subscribe(self._packet_id, (Subscription(topic_filter, qos),)))

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        expires_s: int | None = None,
    ) -> None:
        """Says PUBLISH."""
        if qos:
            self._packet_id += 1
        properties = Properties(message_expiry_interval_s=expires_s)
        packet_id = self._packet_id if qos else 0
        self.send(Publish(topic, payload, qos, retain, packet_id=packet_id, properties=properties))

    def got(self) -> list[Packet]:
        """What it was told since the last call."""
        outbox = self.connection.outbox
        data = outbox.take() if outbox.ready else b""
        frames, rest = split_packets(data, 20_000_000)
        assert rest == len(data)
        packets = [decode(first, data[start:end], self.version) for first, start, end in frames]
        for packet in packets:
            if isinstance(packet, Publish) and packet.qos == 1:
                self.send(PubAck(packet.packet_id))
        return packets

    def payloads(self) -> list[bytes]:
        """The payloads that it got since the last call."""
        return [packet.payload for packet in self.got() if isinstance(packet, Publish)]

    def kinds(self) -> list[str]:
        """What kinds of packets it was told since the last call."""
        return [type(packet).__name__ for packet in self.got()]


def stranger(room: Room, gate: Gate) -> tuple[Link, Callable[[Frame | bytes], list[AnyFrame]]]:
    """A link to a gateway z that is played by hand, and how to say something and hear the answer."""
    link = gate.mesh.opened(("192.0.2.9", 40_000), "z", False, room.now)

    def say(frame: Frame | bytes) -> list[AnyFrame]:
        data = frame if isinstance(frame, bytes) else encode(frame)
        gate.mesh.receive(link, data, room.now)
        gate.do(room.drain(gate))
        heard = split(b"".join(link.out))[0]
        link.out.clear()
        return heard

    return link, say


def _line(frame: AnyFrame) -> str:
    """A frame in words that a person can compare."""
    if isinstance(frame, Relayed):
        return _relayed_line(frame)
    fields = msgspec.structs.asdict(frame)
    if "buckets" in fields:
        fields["buckets"] = f"{len(fields['buckets'])}"
    for name in ("sent_ms", "echo_ms", "echo_held_ms", "mesh_time_ms"):
        fields.pop(name, None)
    if not fields.get("waits", True):
        del fields["waits"]
    text = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{type(frame).__name__.lower()} {text}".rstrip()


def _relayed_line(frame: Relayed) -> str:
    """With the frames that are in it, if they are whole."""
    inner, end = split(frame.payload)
    said = " | ".join(map(_line, inner)) if end == len(frame.payload) else f"{len(frame.payload)} B"
    marks = ", first" * frame.first + f", over: {frame.over}" * bool(frame.over)
    return f"relayed {frame.origin} to {frame.target}, taken={frame.taken}{marks}: {said}"


__all__ = ["CLUSTER", "PORT", "Client", "Gate", "Line", "PacketType", "Room", "stranger"]
