"""What PUBREC has taken is refused by nobody: another gateway keeps it as soon as its disk can."""

import pytest

from gateway.mqtt.packets import PubComp, Publish, PubRec, PubRel
from tests.mesh.room import Client, Gate, Room


class Failing:
    """The gateways a and b with disks; b has the sessions, away, and its disk fails."""

    def __init__(self, topic_filter: str = "t/#") -> None:
        self.room = room = Room(disks=True)
        self.a, self.b = room.linked("a", "b")
        client = self.b.client("s", clean=False)
        room.settle()
        client.subscribe(topic_filter, 2)
        room.settle()
        client.leave()
        room.wait(6)
        self.fail()

    def fail(self) -> None:
        self.b.disk_fails = True
        writer = self.a.client("first", clean=True)
        self.room.settle()
        writer.publish("t/0", b"refused")
        self.room.wait(2)
        assert self.b.node.broker.state.journal.refusing
        assert writer.kinds() == ["ConnAck"][1:], "it is not acknowledged"
        assert writer.connection.outbox.ended, "its connection is over"

    def works(self) -> None:
        self.b.disk_fails = False
        self.room.wait(2)

    def got(self, gate: Gate) -> list[bytes]:
        client = gate.client("s", clean=False)
        self.room.wait(0.5)
        packets = [*client.welcome, *client.got()]
        came = [each for each in packets if isinstance(each, Publish)]
        for packet in came:
            if packet.qos == 2:
                client.send(PubRec(packet.packet_id))
                self.room.wait(0.5)
                client.send(PubComp(packet.packet_id))
        self.room.wait(0.5)
        return [each.payload for each in came]


def handed_over(gate: Gate, name: str, clean: bool, count: int = 1) -> Client:
    """A client whose messages PUBREC has taken."""
    writer = gate.client(name, clean=clean)
    gate.room.settle()
    writer.got()
    for number in range(count):
        writer.publish("t/1", b"%d" % number, 2)
    gate.room.settle()
    assert writer.kinds() == ["PubRec"] * count
    return writer


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("topic_filter", ["t/#", "$share/g/t/#"])
def test_a_released_message_waits_for_a_disk_that_fails_and_is_not_lost(
    clean: bool, topic_filter: str
) -> None:
    failing = Failing(topic_filter)
    writer = handed_over(failing.a, "writer", clean, count=3)
    for packet_id in (1, 2, 3):
        writer.send(PubRel(packet_id))
    failing.room.wait(3)
    assert writer.kinds() == [], "not completed, and not cut off"
    assert not writer.connection.outbox.ended
    failing.works()
    assert writer.kinds() == ["PubComp"] * 3
    assert failing.got(failing.b)[-3:] == [b"0", b"1", b"2"]


def test_it_is_offered_again_if_that_gateway_begins_anew_meanwhile() -> None:
    failing = Failing()
    room = failing.room
    writer = handed_over(failing.a, "writer", clean=False)
    writer.send(PubRel(1))
    room.wait(3)
    failing.b.restart()
    failing.b.disk_fails = False
    room.line(failing.a, failing.b)
    room.wait(3)
    assert writer.kinds() == ["PubComp"]
    assert failing.got(failing.b) == [b"0"]
