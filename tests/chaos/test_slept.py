"""A gateway that is stopped (SIGSTOP) and goes on; its client is elsewhere by then."""

import socket
import time
from collections import deque
from collections.abc import Iterator

import pytest

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
    Version,
)
from tests.chaos.conftest import Mesh
from tests.chaos.test_copies import stand_in_of
from tests.gateways import Gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("whole_mesh", ["loopback"], indirect=True),
]

DEAD_S = 3.0
COUNT = 100
ANSWER_S_MAX = 8.0
QUIET_S = 1.0


class Raw:
    """A client that says what it is told to, whether anybody listens or not."""

    def __init__(self, gateway: Gateway, client_id: str, clean: bool) -> None:
        self._socket = socket.create_connection((gateway.host, gateway.port), 5)
        self._data = b""
        self._heard: deque[Packet] = deque()
        self.say(Connect(Version.MQTT311, client_id, clean, 0))

    def say(self, packet: Packet) -> None:
        self._socket.sendall(encode(packet, Version.MQTT311))

    def hears(self, within_s: float) -> Iterator[Packet]:
        """What it is told, until nothing comes for so long, or the end of the connection."""
        self._socket.settimeout(within_s)
        while True:
            while self._heard:
                yield self._heard.popleft()
            try:
                more = self._socket.recv(65_536)
            except (TimeoutError, ConnectionResetError):
                return
            if not more:
                return
            self._data += more
            frames, done = split(self._data, 1_000_000)
            whole, self._data = self._data, self._data[done:]
            self._heard += [
                decode(f, whole[start:end], Version.MQTT311) for f, start, end in frames
            ]

    def hears_one(self, kind: type) -> Packet:
        for packet in self.hears(ANSWER_S_MAX):
            if isinstance(packet, kind):
                return packet
        raise AssertionError(f"no {kind.__name__} came")

    def close(self) -> None:
        self._socket.close()


def holders(mesh: Mesh, client_id: str) -> list[str]:
    """The gateways that serve a session."""
    return [
        name
        for name, gateway in mesh.gateways.items()
        if any(
            row["client"] == client_id
            for row in gateway.ask({"command": "sessions"})["result"]["sessions"]
        )
    ]


def test_who_slept_while_its_client_went_elsewhere_does_nothing_before_it_knows(mesh: Mesh) -> None:
    old = Raw(mesh["gw1"], "sleepy", clean=False)
    old.hears_one(ConnAck)
    old.say(Subscribe(1, (Subscription("slept/#", 1),)))
    old.hears_one(SubAck)
    writer = Raw(mesh["gw1"], "writer", clean=True)
    writer.hears_one(ConnAck)
    writer.say(Publish("slept/1", b"first", 1, packet_id=1))
    first = old.hears_one(Publish)
    assert isinstance(first, Publish)
    writer.hears_one(PubAck)
    stand_in_of(mesh, "gw1")
    with mesh["gw1"].frozen():
        for number in range(COUNT):
            writer.say(Publish("slept/1", b"%d" % number, 1, packet_id=number + 2))
        old.say(PubAck(first.packet_id))
        time.sleep(DEAD_S + 1)
        new = Raw(mesh["gw2"], "sleepy", clean=False)
        welcome = new.hears_one(ConnAck)
        assert isinstance(welcome, ConnAck) and welcome.session_present
        again = new.hears_one(Publish)
        assert isinstance(again, Publish) and (again.payload, again.dup) == (b"first", True)
        new.say(PubAck(again.packet_id))
    came: list[int] = []
    for packet in new.hears(ANSWER_S_MAX):
        if isinstance(packet, Publish):
            new.say(PubAck(packet.packet_id))
            came.append(int(packet.payload))
        if len(came) == COUNT:
            break
    came += [int(p.payload) for p in new.hears(QUIET_S) if isinstance(p, Publish)]
    assert came == list(range(COUNT)), "all that was acknowledged, in order, once"
    acks = [packet.packet_id for packet in writer.hears(QUIET_S) if isinstance(packet, PubAck)]
    assert acks == list(range(2, COUNT + 2))
    assert not [p for p in old.hears(QUIET_S) if isinstance(p, Publish)], "it is not its any more"
    assert holders(mesh, "sleepy") == ["gw2"]
    assert "this gateway was not run for" in mesh["gw1"].log()
    for client in (old, writer, new):
        client.close()
