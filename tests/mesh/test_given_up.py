"""What waits for a gateway that is forgotten reaches its sessions wherever they are then."""

from dataclasses import replace

import pytest

from gateway.mqtt.packets import ConnAck, Publish
from tests.mesh.room import CLUSTER, Gate, Room

DEAD_S = CLUSTER.dead_s + 1.0


class Gone:
    """The gateways a, b, c. c had the session `s`, with two messages in its queue, and is dead for good;
    two more were published at a since. With `copies` c has one, of all that."""

    def __init__(self, copies: bool) -> None:
        room = self.room = Room(disks=not copies)
        long = replace(CLUSTER, copy_after_s=60.0)
        self.a, self.b, self.c = room.linked("a", "b", "c", disk=copies, cluster=long)
        room.wait(DEAD_S)
        client = self.c.client("s", clean=False)
        room.wait(0.3)
        client.subscribe("t/#", 1)
        room.wait(0.3)
        client.leave()
        self.publish(0, 2)
        room.kill(self.c)
        room.wait(DEAD_S)
        self.publish(2, 4)

    def publish(self, first: int, end: int) -> None:
        writer = self.a.client("writer")
        self.room.wait(0.3)
        writer.got()
        for number in range(first, end):
            writer.publish("t/1", b"%d" % number)
        self.room.wait(0.3)
        assert writer.kinds() == ["PubAck"] * (end - first)
        writer.leave()
        self.room.wait(0.3)

    def forget(self) -> None:
        self.b.mesh.operating.forget("c", self.room.now)
        self.room.wait(1)
        for gate in (self.a, self.b):
            assert "c" not in gate.mesh.state.peers

    def got(self, gate: Gate) -> list[bytes]:
        client = gate.client("s", clean=False)
        packets = list(client.welcome)
        for _ in range(20):
            self.room.wait(0.2)
            packets += client.got()
        (answer,) = [each for each in packets if isinstance(each, ConnAck)]
        assert answer.session_present
        return [each.payload for each in packets if isinstance(each, Publish)]


@pytest.mark.parametrize("at", ["a", "b"])
def test_a_session_of_a_forgotten_gateway_comes_from_the_copy_with_all_that_was_published_since(
    at: str,
) -> None:
    gone = Gone(copies=True)
    gone.forget()
    gone.publish(4, 6)
    gate = gone.a if at == "a" else gone.b
    assert gone.got(gate) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    registry = gate.node.broker.state.registry
    assert registry is not None
    entry = registry.entry("s")
    assert entry is not None and entry.owner == at


@pytest.mark.parametrize("at", ["a", "b"])
def test_without_a_copy_what_waits_for_it_here_reaches_the_session_all_the_same(at: str) -> None:
    gone = Gone(copies=False)
    moving = gone.a.node.broker.moving
    assert moving is not None
    gone.room.wait(1.1)
    before = moving.couriers()["c"].messages
    gone.forget()
    gone.publish(4, 6)
    assert before == 2
    gate = gone.a if at == "a" else gone.b
    assert gone.got(gate) == [b"2", b"3", b"4", b"5"]
    gone.room.wait(2)
    assert moving.couriers()["c"].messages == 0
