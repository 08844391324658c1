"""Plays a script against the broker alone: no sockets, its disk in memory, its clock turned by hand.

After every action all that was promised of a broker must hold; at the end a good client must be
served. Anything else is raised.
"""

import json
from dataclasses import replace
from random import Random

from gateway.broker.connection import CHUNKS_MAX, Connection, State
from gateway.config import MqttSection
from gateway.errors import ProtocolError
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    UnsubAck,
    Version,
)
from tests.broker.kept import KeptWorld
from tests.fuzz.script import CLIENTS, VECTORS, Action, mutated

FROM_A_BROKER = (
    *(ConnAck, Disconnect, PingResp, Publish, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck),
)
SESSION_S = 900  # every session is over after this; longer costs a tick a second
SETTINGS = MqttSection(
    queue_messages_max=50,
    queue_bytes_max=100_000,
    inflight_max=20,
    waiting_bytes_max=150_000,
    unfinished_bytes_max=20_000,
    session_expiry_max_s=SESSION_S,
)
PACKET_BYTES_MAX = 268_435_455
SESSIONS = CLIENTS * 4 + 8  # names of the script's clients, and of what mutated CONNECTs made


class Line:
    """One connection, and what it was told, read as a client reads it."""

    def __init__(self, connection: Connection, version: Version) -> None:
        self.connection = connection
        self.version = version
        self.unread = b""
        self.admitted = False

    def read(self) -> None:
        """Every answer is a whole packet that a broker may send, in a place where it may."""
        self.unread += self.connection.outbox.take()
        frames, rest = split(self.unread, PACKET_BYTES_MAX)
        assert rest == len(self.unread), "half a packet"
        for first, start, end in frames:
            version = self.connection.version if not self.admitted else self.version
            packet = decode(first, self.unread[start:end], version)
            assert isinstance(packet, FROM_A_BROKER), packet
            assert self.admitted is not isinstance(packet, ConnAck), packet
            if isinstance(packet, ConnAck):
                self.admitted = True
                self.version = version
        self.unread = b""


class Inside:
    """The broker under test."""

    def __init__(self) -> None:
        self.world = KeptWorld(SETTINGS)
        self.lines: dict[int, Line] = {}
        self.failing = False

    def play(self, actions: list[Action]) -> None:
        for action in actions:
            self._do(action)
            self._check()
        self._good_client()

    def _do(self, action: Action) -> None:
        world = self.world
        match action:
            case ["queues", str(policy)]:
                self.world = KeptWorld(replace(SETTINGS, queue_full=policy))
            case ["open", int(client), int(version)]:
                self._lose(client)
                connection = world.broker.open("192.0.2.9", True, world.now)
                self.lines[client] = Line(connection, Version(version))
            case ["say", int(client), str(data)]:
                line = self.lines.get(client)
                if line is not None and line.connection.reading:
                    line.connection.receive(bytes.fromhex(data), world.now)
            case ["lose", int(client)]:
                self._lose(client)
            case ["pass", float(seconds)]:
                world.pass_s(seconds)
                world.settle()
            case ["deaf", int(client), bool(deaf)]:
                line = self.lines.get(client)
                if line is not None:
                    world.broker.congested(line.connection, deaf, world.now)
            case ["fail"]:
                if world.take() is not None:
                    world.fail()
            case ["rewrite"]:
                world.sync(wants_rewrite=True)
            case ["cut"]:
                self.lines.clear()
                world.power_cut()
            case _:
                raise ValueError(f"no such action: {json.dumps(action)}")

    def _lose(self, client: int) -> None:
        line = self.lines.pop(client, None)
        if line is not None:
            line.connection.lost(self.world.now)

    def _check(self) -> None:
        for line in self.lines.values():
            line.read()
            connection = line.connection
            assert len(connection._chunks) <= CHUNKS_MAX + 1
            assert (connection.state is State.CLOSED) == connection.outbox.ended
        self.world.broker.drain()
        sessions = self.world.broker.state.sessions
        assert len(sessions) <= SESSIONS, sorted(sessions)
        for session in sessions.values():
            backlog = session.backlog
            assert backlog.bytes == sum(entry[0].bytes_held() for entry in backlog)
            assert all(entry[1] for entry in backlog.line)
            again = sum(1 for entry in backlog.line if len(entry) == 4)
            assert len(backlog) - again <= SETTINGS.queue_messages_max
            assert len(session.inflight) <= SETTINGS.inflight_max
            assert all(0 < packet_id < 65_536 for packet_id in session.inflight)
            held = sum(message.bytes_held() for message in session.unreleased.values())
            assert session.unreleased_bytes == held <= SETTINGS.queue_bytes_max
        assert self.world.broker.state.room.used == self.world.held_bytes()
        unread = [each.connection for each in self.lines.values() if each.connection._chunks]
        assert set(self.world.broker.state.unfinished._held) == set(unread)

    def _good_client(self) -> None:
        world = self.world
        for client in list(self.lines):
            self._lose(client)
        world.pass_s(10.0)  # the disk is tried again after a failure
        world.broker.state.room.bytes_max = 10_000_000  # for what waits may have filled it
        world.settle()
        world.broker.drain()
        good = world.connected("good")
        good.subscribe("good/+", 2)
        good.publish("good/x", b"yes", 1)
        world.settle()
        assert b"yes" in good.acknowledge(), "a good client is not served"
        good.disconnect()
        world.pass_s(SESSION_S + 1.0)
        world.settle()
        assert world.broker.clients() == 0
        assert not world.broker.state.sessions, "sessions outlive their expiry"
        assert not world.broker.state.silent, "members of groups outlive their sessions"
        assert not world.broker.state.wills, "wills outlive their sessions"
        assert not world.broker.filters(), "subscriptions outlive their sessions"


def codec(seed: int, rounds: int) -> None:
    """Vectors with bytes changed: whatever decodes says the same when it is written and read again."""
    random = Random(seed)
    for _ in range(rounds):
        data = mutated(random, random.choice(VECTORS))
        version = random.choice(list(Version))
        try:
            frames, _ = split(data, PACKET_BYTES_MAX)
            for first, start, end in frames:
                packet = decode(first, data[start:end], version)
                if isinstance(packet, Connect):
                    version = packet.version
                written = encode(packet, version)
                ((again, begin, stop),), _ = split(written, PACKET_BYTES_MAX)
                assert decode(again, written[begin:stop], version) == packet, data.hex()
        except ProtocolError:
            continue
