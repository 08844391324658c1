"""Persistent sessions in a room of gateways with disks: what the tests of moving them share."""

from gateway.mesh.frames import Said
from gateway.moves import Move
from gateway.mqtt.packets import (
    PubRel,
)
from tests.mesh.roamer import Roamer, talk
from tests.mesh.room import Client, Gate, Room


def gates(*names: str) -> tuple[Room, list[Gate]]:
    room = Room(disks=True)
    linked = room.linked(*names)
    room.wait(0.5)
    return room, linked


def subscribed(gate: Gate, *filters: str, name: str = "c", qos: int = 2) -> Roamer:
    """A client at a gate, with its subscriptions."""
    roamer = Roamer(name)
    roamer.connect(gate)
    talk(roamer)
    roamer.subscribe(*filters, qos=qos)
    talk(roamer)
    assert roamer.connacks[0].session_present is False
    return roamer


def publish(client: Client, topic: str, *payloads: bytes, qos: int = 1) -> None:
    """QoS 2 with its PUBREL, as if all answers had come."""
    for payload in payloads:
        client.publish(topic, payload, qos)
        if qos == 2:
            client.send(PubRel(client._packet_id))


def owners(room: Room, client_id: str = "c") -> list[str]:
    """Who has the session, as each gate's registry says."""
    found = []
    for gate in room.gates:
        registry = gate.node.broker.state.registry
        assert registry is not None
        entry = registry.entry(client_id)
        found.append("" if entry is None else entry.owner)
    return found


def homes(room: Room, client_id: str = "c") -> list[str]:
    """Where there is a session, and where the disk has one."""
    found = []
    for gate in room.gates:
        session = gate.node.broker.state.sessions.get(client_id)
        if session is not None:
            assert session.passage is None
            found.append(gate.name)
    return found


def at_rest(room: Room) -> bool:
    """Whether nothing moves, and nothing is left of what did."""
    return all(
        gate.node.broker.moving is not None and gate.node.broker.moving.moving() == (0, 0)
        for gate in room.gates
    )


def said(room: Room) -> list[Move]:
    """What was said of moves."""
    return [frame.move for _, _, frame in room.frames if isinstance(frame, Said)]


def numbers(first: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, end)]


def one_turn(room: Room) -> None:
    for gate in room.gates:
        gate.do(room.drain(gate))
    for line in list(room.lines):
        line.carry()
    for gate in room.gates:
        gate.commit()
