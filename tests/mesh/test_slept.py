"""A gateway that was not run for a while does nothing before it knows what became of it."""

from dataclasses import replace

from gateway.mesh.copier import Standing
from gateway.mesh.problems import problems
from gateway.mesh.state import SLEPT
from gateway.mqtt.packets import PubAck, Publish
from tests.mesh.room import CLUSTER, Client, Gate, Line, Room

SHORT = replace(CLUSTER, copy_after_s=60.0)
DEAD_S = CLUSTER.dead_s


class Sleeper:
    """The gateways a, b, c, each with a copy at the next one. c sleeps: it is not run, and what comes
    for it waits in its sockets."""

    def __init__(self) -> None:
        self.room = room = Room()
        self.a, self.b, self.c = room.linked("a", "b", "c", disk=True, cluster=SHORT)
        room.wait(DEAD_S + 1)
        assert self.c.mesh.copier.standing is Standing.TOGETHER
        self.links: list[Line] = []

    def sleep(self, seconds: float) -> None:
        self.room.gates.remove(self.c)
        self.links = [line for line in self.room.lines if self.c in line.gates]
        for line in self.links:
            line.muted |= {0, 1}
        self.room.wait(seconds)

    def wake(self) -> None:
        """It is run again; what stands in its links has not been read."""
        self.room.gates.append(self.c)

    def hear(self) -> None:
        """Its links are read: those of who found it dead are over."""
        for line in self.links:
            line.muted.clear()
        self.room.settle()

    def relink(self) -> None:
        for other in (self.a, self.b):
            if other.peer("c").link is None:
                self.room.line(self.c, other)
        self.room.settle()


def enters(gate: Gate, name: str, topic_filter: str) -> Client:
    client = gate.client(name, clean=False)
    gate.room.wait(0.3)
    client.subscribe(topic_filter, 1)
    gate.room.wait(0.3)
    assert client.kinds()[-1] == "SubAck"
    return client


def owners(sleeper: Sleeper, name: str) -> set[str]:
    """Who serves the session, as each gateway sees it."""
    found = set()
    for gate in (sleeper.a, sleeper.b, sleeper.c):
        registry = gate.node.broker.state.registry
        assert registry is not None
        entry = registry.entry(name)
        assert entry is not None
        found.add(entry.owner)
    return found


def test_what_clients_said_waits_until_the_others_have_answered_and_the_client_was_elsewhere() -> (
    None
):
    sleeper = Sleeper()
    room, a, c = sleeper.room, sleeper.a, sleeper.c
    old = enters(c, "s", "t/#")
    writer = c.client("writer")
    room.wait(0.3)
    writer.publish("t/1", b"before")
    room.settle()
    before = [packet for packet in old.got() if isinstance(packet, Publish)]
    assert [packet.payload for packet in before] == [b"before"]
    writer.got()
    sleeper.sleep(DEAD_S + 2)
    new = a.client("s", clean=False)  # its session comes from the copy
    room.wait(1)
    assert owners(sleeper, "s") - {"c"} == {"a"}
    new.got()
    sleeper.wake()
    for number in range(100):  # they stood in its sockets while it slept
        writer.publish("t/1", b"%03d" % number)
    for packet in before:
        old.send(PubAck(packet.packet_id))
    c.do(room.drain(c))
    assert writer.kinds() == [], "nothing is acknowledged"
    assert not old.payloads(), "nothing is delivered, though it takes the session for its own"
    assert SLEPT in c.mesh.state.holding
    sleeper.hear()
    assert writer.kinds() == []
    sleeper.relink()
    room.wait(1.5)
    assert SLEPT not in c.mesh.state.holding
    assert owners(sleeper, "s") == {"a"}
    assert writer.kinds() == ["PubAck"] * 100
    assert new.payloads() == [b"%03d" % number for number in range(100)]
    assert not old.payloads()
    assert any("was not run for" in note for note in c.notes)
    told = [each.text for each in problems(c.mesh.state, "c", room.now)]
    assert any("this gateway was not run for" in text for text in told)


def test_it_goes_on_when_all_have_answered_though_nobody_missed_it() -> None:
    sleeper = Sleeper()
    room, c = sleeper.room, sleeper.c
    client = enters(c, "s", "t/#")
    sleeper.sleep(2.6)  # longer than the suspect time, and not dead
    sleeper.wake()
    client.publish("t/1", b"x")
    c.do(room.drain(c))
    assert client.got() == []
    sleeper.hear()
    room.wait(0.6)  # a heartbeat
    assert SLEPT not in c.mesh.state.holding
    assert sorted(type(packet).__name__ for packet in client.got()) == ["PubAck", "Publish"]
    assert owners(sleeper, "s") == {"c"}


def test_it_goes_on_alone_when_the_others_are_dead() -> None:
    sleeper = Sleeper()
    room, c = sleeper.room, sleeper.c
    client = enters(c, "s", "t/#")
    sleeper.sleep(10.0)
    room.kill(sleeper.a, sleeper.b)
    sleeper.wake()
    client.publish("t/1", b"x")
    room.wait(DEAD_S - 1)
    assert client.got() == [], "they may live"
    room.wait(1.5)
    assert SLEPT not in c.mesh.state.holding
    assert sorted(type(packet).__name__ for packet in client.got()) == ["PubAck", "Publish"]


def test_a_link_that_is_read_first_does_not_hide_that_it_slept() -> None:
    sleeper = Sleeper()
    room, c = sleeper.room, sleeper.c
    client = enters(c, "s", "t/#")
    sleeper.sleep(2.6)
    sleeper.wake()
    between_a = next(line for line in sleeper.links if sleeper.a in line.gates)
    between_a.muted.clear()
    between_a.carry()
    client.publish("t/1", b"x")
    c.do(room.drain(c))
    assert client.got() == []
    assert SLEPT in c.mesh.state.holding
    sleeper.hear()
    room.wait(0.6)
    assert SLEPT not in c.mesh.state.holding


def test_a_turn_that_is_a_little_late_is_no_sleep() -> None:
    sleeper = Sleeper()
    room, c = sleeper.room, sleeper.c
    client = enters(c, "s", "t/#")
    sleeper.sleep(1.2)
    sleeper.wake()
    client.publish("t/1", b"x")
    assert SLEPT not in c.mesh.state.holding
    sleeper.hear()
    room.wait(0.3)
    assert "PubAck" in client.kinds()


def test_a_gateway_that_knows_no_other_waits_for_nobody() -> None:
    room = Room()
    a = room.gate("a", disk=True)
    client = enters(a, "s", "t/#")
    room.gates.remove(a)
    room.wait(20)
    room.gates.append(a)
    client.publish("t/1", b"x")
    room.settle()
    room.wait(0.3)
    assert "PubAck" in client.kinds()
    assert not a.mesh.state.holding
