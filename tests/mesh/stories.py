"""Random stories of sessions whose gateways die: whole nodes with disks, one seed, and what must hold.

Readers with persistent sessions go from gate to gate, hear some of what they are told, and lose their
network with answers under way; a writer with a persistent session publishes at QoS 2 wherever it is; at
each gate somebody publishes. Meanwhile gates die and come back with their disks, or (`loss`) one with an
empty one, while all say that there are two copies; disks stall; links break, and with `cuts` for longer.
A story takes a few turns between two events, so that each meets everything half done. At the end all
come back, and then these are wrong:

    lost     what was acknowledged while its way to the session was whole, and did not come
    twice    a QoS 2 message that a reader got twice; without `cuts`
    order    of one publisher, where nothing had to be merged
    unrest   one gate has each session, all registries say so, and nothing is left of anything

Must not know how sessions move.
"""

import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from gateway.mesh.life import Life
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Version,
)
from tests.broker.kept import Card
from tests.mesh.roamer import Roamer
from tests.mesh.room import CLUSTER, Gate, Room

STEP_S = 0.02
TOPIC = "t"
SHORT = replace(CLUSTER, copy_after_s=5.0, peers=("192.0.2.200",))
EVENTS = 60


@dataclass(eq=False)
class Said:
    """One message that somebody published. `owed` are readers that must get it, if it is acknowledged
    while nothing happened since `mark`."""

    payload: bytes
    line: tuple[str, int]  # who, and at which QoS
    number: int
    mark: int
    owed: list[str] = field(default_factory=list)
    acked: bool = False


class Teller:
    """A clean client at one gate that publishes."""

    def __init__(self, story: "Story", gate: Gate) -> None:
        self.story, self.gate = story, gate
        self.open: dict[int, Said] = {}
        self._packet_id = 0
        story.tellers_made += 1
        self._name = f"{gate.name}{story.tellers_made}"
        self.connection = gate.node.broker.entrance.open("192.0.2.9", True, gate.room.now)
        self.say(Connect(Version.MQTT5, f"teller-{gate.name}", True, 0))

    def say(self, packet: Packet) -> None:
        self.connection.receive(encode(packet, Version.MQTT5), self.gate.room.now)

    def publish(self, qos: int) -> None:
        self._packet_id += 1
        said = self.story.say((self._name, qos), self.gate)
        self.open[self._packet_id] = said
        self.say(Publish(TOPIC, said.payload, qos, packet_id=self._packet_id))

    def listen(self) -> None:
        data = self.connection.outbox.take()
        for first, start, end in split(data, 20_000_000)[0]:
            packet = decode(first, data[start:end], Version.MQTT5)
            if isinstance(packet, PubRec):
                assert packet.reason < 0x80, packet
                self.say(PubRel(packet.packet_id))
            elif isinstance(packet, PubAck | PubComp):
                assert packet.reason < 0x80, packet
                self.story.acked(self.open.pop(packet.packet_id))


class Traveller(Roamer):
    """A roamer that may hear nothing, or hear and not be heard."""

    def __init__(self, story: "Story", name: str, qos: int) -> None:
        super().__init__(name)
        self.story, self.qos = story, qos
        self.granted = False
        self.said: dict[int, Said] = {}
        self._mute = False

    def say(self, *packets: Packet) -> None:
        if not self._mute:
            super().say(*packets)

    def drop(self, heard: bool) -> None:
        """Its network is gone; with `heard` it has read what came, and its answers are lost."""
        if self.connection is None:
            return
        if heard:
            self._mute = True
            super().listen()
            self._mute = False
        if self.gate in self.story.room.gates:
            self.leave()
        self.connection = None

    def listen(self) -> list[Packet]:
        if self.connection is None or self.gate not in self.story.room.gates:
            return []
        packets = super().listen()
        for packet in packets:
            if isinstance(packet, ConnAck) and self.granted and not packet.session_present:
                self.granted = False
                self.story.began_anew(self)
            if isinstance(packet, SubAck):
                self.granted = True
            elif isinstance(packet, PubComp) and packet.packet_id in self.said:
                self.story.acked(self.said.pop(packet.packet_id))
        return packets

    def _on_publish(self, packet: Publish) -> None:
        before = len(self.got)
        super()._on_publish(packet)
        if self.story.trace:
            new = "" if len(self.got) > before else ", known"
            text = f"{self.name} hears {packet.payload!r} under {packet.packet_id}{new}"
            self.story.note(text)

    def tell(self) -> None:
        if not self.is_connected or self.gate not in self.story.room.gates:
            return
        assert self.gate is not None
        said = self.story.say((self.name, 2), self.gate)
        self.said[self._packet_id + 1] = said
        self.publish(TOPIC, said.payload, 2)


class Story:
    """Everything of one seed; `problems` are what is wrong at the end."""

    def __init__(
        self, seed: int, loss: bool = False, cuts: bool = False, trace: bool = False
    ) -> None:
        self.random = random = Random(seed)
        self.loss, self.cuts, self.trace = loss, cuts, trace
        self.room = room = Room()
        self.mark = 0
        self.count = self.tellers_made = 0
        self.all_said: list[Said] = []
        self.numbers: Counter[tuple[str, int]] = Counter()
        self.log: list[str] = []
        self.wrong: list[str] = []
        self.destroyed = False
        names = "abcd"[: random.choice((2, 3, 3, 4))]
        self.gates = room.linked(*names, disk=True, cluster=SHORT)
        self.dead: list[Gate] = []
        self.torn: set[frozenset[str]] = set()
        room.wait(4.0)
        self.tellers = {gate.name: Teller(self, gate) for gate in self.gates}
        self.readers = [Traveller(self, "r2", 2), Traveller(self, "r1", 1)]
        self.writer = Traveller(self, "w", 2)
        for each in (*self.readers, self.writer):
            each.connect(random.choice(self.gates))
        self.pass_s(1.0)
        for reader in self.readers:
            reader.subscribe(TOPIC, qos=reader.qos)
        self.pass_s(1.0)
        assert all(reader.granted for reader in self.readers)

    # what clients tell

    def say(self, line: tuple[str, int], gate: Gate) -> Said:
        self.count += 1
        self.numbers[line] += 1
        payload = b"%s-%d-%d" % (line[0].encode(), line[1], self.count)
        said = Said(payload, line, self.numbers[line], self.mark)
        if self.is_whole():
            ready = [reader.name for reader in self.readers if reader.granted]
            said.owed = [name for name in ready if self.has_way(gate, name)]
        self.all_said.append(said)
        return said

    def acked(self, said: Said) -> None:
        said.acked = True
        if said.mark != self.mark or not self.is_whole():
            said.owed = []

    def began_anew(self, reader: Traveller) -> None:
        """Nobody who knows the session is there, so that the client makes another one: that is allowed
        only where somebody is missing."""
        self.note(f"{reader.name} begins anew")
        if not self.dead and self.is_whole():
            self.wrong.append(f"{reader.name} began anew at {self.room.now:.2f}")
        for said in self.all_said:
            if reader.name in said.owed:
                said.owed.remove(reader.name)
        reader.subscribe(TOPIC, qos=reader.qos)

    def is_whole(self) -> bool:
        """Whether all that run are linked."""
        for gate in self.room.gates:
            for other in self.room.gates:
                if other is not gate:
                    peer = gate.mesh.state.peers.get(other.name)
                    if peer is None or peer.life is not Life.ALIVE or not peer.synced:
                        return False
        return True

    def has_way(self, gate: Gate, client_id: str) -> bool:
        """Whether the session is at a gate that runs, as the gate knows."""
        registry = gate.node.broker.state.registry
        entry = None if registry is None else registry.entry(client_id)
        for home in self.room.gates:
            if entry is not None and home.name == entry.owner:
                session = home.node.broker.state.sessions.get(client_id)
                if session is not None and session.line == entry.line:
                    return TOPIC in session.subscriptions
        return False

    # time

    def step(self) -> None:
        room, random = self.room, self.random
        room.now = round(room.now + STEP_S, 6)
        self.mend()
        for gate in room.gates:
            if gate.node.deadline() <= room.now:
                gate.node.wake(room.now)
        for gate in room.gates:
            gate.do(room.drain(gate))
            gate.work()
            if self.trace:
                for text in gate.notes:
                    self.note(f"        {gate.name}: {text}")
                gate.notes.clear()
        for line in list(room.lines):
            line.carry()
        for teller in self.tellers.values():
            if teller.gate in room.gates and random.random() < 0.6:
                teller.listen()
        for each in (*self.readers, self.writer):
            if random.random() < 0.5:
                each.listen()

    def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def mend(self) -> None:
        """Gates that run are linked again, sooner or later, unless they are torn apart."""
        gates = self.room.gates
        for at, gate in enumerate(gates):
            for other in gates[at + 1 :]:
                pair = frozenset((gate.name, other.name))
                there = any({g.name for g in line.gates} == pair for line in self.room.lines)
                if not there and pair not in self.torn and self.random.random() < 0.3:
                    one, two = (gate, other) if self.random.random() < 0.5 else (other, gate)
                    self.room.line(one, two)

    # events

    def run(self) -> list[str]:
        for _ in range(EVENTS):
            self.event()
            for _ in range(self.random.choice((0, 1, 2, 3, 5, 8, 15, 30, 100, 200))):
                self.step()
        self.heal()
        return self.problems()

    def note(self, text: str) -> None:
        self.log.append(f"{self.room.now:.2f} {text}")
        if self.trace:
            print(self.log[-1])

    def event(self) -> None:
        kinds = ["publish"] * 6 + ["write"] * 2 + ["go"] * 6 + ["drop"] * 2 + ["start"] * 2
        kinds += ["kill", "kill", "kill", "link", "stall", "work", "work"]
        kinds += ["destroy"] * 2 if self.loss else []
        kinds += ["tear", "join", "join"] if self.cuts else []
        events = {
            "publish": self._publish,
            "write": self._write,
            "go": self._go,
            "drop": self._drop,
            "kill": self._kill,
            "start": self._start,
            "destroy": self._destroy,
            "link": self._link,
            "stall": self._stall,
            "work": self._work,
            "tear": self._tear,
            "join": self._join,
        }
        events[self.random.choice(kinds)]()

    def _publish(self) -> None:
        gate = self.random.choice(self.room.gates)
        count, qos = self.random.choice((1, 2, 5)), self.random.choice((1, 2, 2))
        self.note(f"{count} at {gate.name}, QoS {qos}")
        for _ in range(count):
            self.tellers[gate.name].publish(qos)

    def _write(self) -> None:
        self.note("w writes")
        self.writer.tell()

    def _anybody(self) -> Traveller:
        return self.random.choice((*self.readers, self.writer))

    def _go(self) -> None:
        who, gate = self._anybody(), self.random.choice(self.room.gates)
        self.note(f"{who.name} goes to {gate.name}")
        who.connect(gate)

    def _drop(self) -> None:
        who, heard = self._anybody(), self.random.random() < 0.5
        self.note(f"{who.name} drops, heard={heard}")
        who.drop(heard)

    def _kill(self) -> None:
        if not self.dead and len(self.room.gates) > 1:
            self.kill(self.random.choice(self.room.gates))

    def _start(self) -> None:
        if self.dead:
            self.start(self.dead[0])

    def _destroy(self) -> None:
        """A disk is lost, while all say that there are two copies."""
        gates = self.room.gates
        if self.dead or self.destroyed or len(gates) < 2 or not self.is_whole():
            return
        if not all(gate.mesh.copier.two_copies for gate in gates):
            return
        gate = self.random.choice(gates)
        self.kill(gate)
        self.note(f"the disk of {gate.name} is lost")
        self.destroyed = True
        gate.card, gate.said["store"], gate.said["boot"] = Card(), f"store-{gate.name}-2", 0
        gate.rows, gate.members, gate.dead_s = {}, {}, {}
        gate.stand_in, gate.saved_ms = "", 0
        gate.shelves.copies.clear()
        gate.shelves.lost.clear()

    def _link(self) -> None:
        if self.room.lines:
            line = self.random.choice(self.room.lines)
            self.note("a link breaks between " + " and ".join(g.name for g in line.gates))
            self.mark += 1
            line.cut()

    def _stall(self) -> None:
        gate = self.random.choice(self.room.gates)
        self.note(f"{gate.name} stalls")
        works = self.random.choice(((False, True), (True, False), (False, False)))
        gate.disk_works, gate.copies_work = works

    def _work(self) -> None:
        for gate in self.gates:
            gate.disk_works = gate.copies_work = True

    def _tear(self) -> None:
        if len(self.room.gates) < 2:
            return
        one, two = self.random.sample(self.room.gates, 2)
        self.note(f"torn: {one.name} {two.name}")
        self.torn.add(frozenset((one.name, two.name)))
        self.mark += 1
        for line in list(self.room.lines):
            if {gate.name for gate in line.gates} == {one.name, two.name}:
                line.cut()

    def _join(self) -> None:
        if self.torn:
            self.note("joined")
            self.torn.discard(self.random.choice(sorted(self.torn, key=sorted)))
            self.mark += 1

    def kill(self, gate: Gate) -> None:
        self.note(f"{gate.name} dies")
        self.mark += 1
        self.dead.append(gate)
        self.room.gates.remove(gate)
        for line in [line for line in self.room.lines if gate in line.gates]:
            line.cut()
        for each in (*self.readers, self.writer):
            if each.gate is gate:
                each.connection = None

    def start(self, gate: Gate) -> None:
        self.note(f"{gate.name} starts")
        self.mark += 1
        self.dead.remove(gate)
        gate.disk_works = gate.copies_work = True
        self.room.gates.append(gate)
        gate.restart()
        self.tellers[gate.name] = Teller(self, gate)

    def heal(self) -> None:
        self.note("all is well again")
        self.torn.clear()
        for gate in list(self.dead):
            self.start(gate)
        for gate in self.gates:
            gate.disk_works = gate.copies_work = True
        self.pass_s(12.0)
        for each in (*self.readers, self.writer):
            each.connect(self.random.choice(self.gates))
        self.pass_s(6.0)
        for each in (*self.readers, self.writer):  # what was offered late has come
            if not each.is_connected:
                each.connect(self.random.choice(self.gates))
        self.pass_s(80.0)

    # what is wrong

    def problems(self) -> list[str]:
        found = self.wrong
        for reader in self.readers:
            found += self._of(reader)
        if self.writer._open:
            found.append(f"the writer waits for {len(self.writer._open)} answers")
        for gate in self.gates:
            found += self._left(gate)
        return found

    def _of(self, reader: Traveller) -> list[str]:
        found: list[str] = []
        got = Counter(reader.got)
        known = {said.payload: said for said in self.all_said}
        for said in self.all_said:
            if said.acked and reader.name in said.owed and not got[said.payload]:
                found.append(f"{reader.name} lost {said.payload!r}")
        for payload, times in got.items():
            if payload not in known:
                found.append(f"{reader.name} got the stray {payload!r}")
            elif times > 1 and reader.qos == 2 and known[payload].line[1] == 2 and not self.cuts:
                found.append(f"{reader.name} got {payload!r} {times} times")
        if not any(gate.node.broker.vitals.sessions_merged for gate in self.gates):
            last: Counter[tuple[str, int]] = Counter()
            for payload in dict.fromkeys(reader.got):
                if payload in known:
                    said = known[payload]
                    if said.number < last[said.line] and said.line[1] == 2 and reader.qos == 2:
                        found.append(f"{reader.name} got {payload!r} out of order")
                    last[said.line] = max(last[said.line], said.number)
        return found

    def _left(self, gate: Gate) -> list[str]:
        found: list[str] = []
        state = gate.node.broker.state
        for client in (*self.readers, self.writer):
            assert client.gate is not None and state.registry is not None
            entry = state.registry.entry(client.name)
            if entry is None or entry.owner != client.gate.name:
                found.append(f"{gate.name} says {client.name} is at {entry and entry.owner}")
            session = state.sessions.get(client.name)
            if (session is not None) != (client.gate is gate):
                found.append(f"{gate.name} has a session {client.name}: {session is not None}")
            if session is not None and session.passage is not None:
                found.append(f"{client.name} still moves at {gate.name}: {session.passage}")
            if session is not None and (session.inflight or session.waiting()):
                found.append(f"something waits for {client.name} at {gate.name}")
        moving = gate.node.broker.moving
        if moving is None or moving.moving() != (0, 0):
            found.append(f"{gate.name} has sessions on their way: {moving and moving.moving()}")
        if state.room.used:
            found.append(f"{gate.name} holds {state.room.used} bytes of nothing")
        return found


def main() -> None:
    """python -m tests.mesh.stories [loss] [cuts] [trace] FIRST LAST"""
    words = sys.argv[1:]
    first, last = (int(word) for word in words if word.isdecimal())
    failed = 0
    for seed in range(first, last + 1):
        try:
            story = Story(seed, "loss" in words, "cuts" in words, "trace" in words)
            found = story.run()
        except Exception as error:
            import traceback

            found = [f"{type(error).__name__}: {error}", traceback.format_exc().splitlines()[-3]]
        if found:
            failed += 1
            print(f"seed {seed}:", *found[:8], sep="\n    ", flush=True)
    print(f"{failed} of {last - first + 1} failed")


if __name__ == "__main__":
    main()
