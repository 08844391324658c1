"""Plays a script against the broker alone: no sockets, its disk in memory, its clock turned by hand.

After every action all that was promised of a broker must hold; at the end a good client must be
served. Anything else is raised.
"""

import json
from dataclasses import replace
from random import Random

from scramp import ScramClient, ScramException

from gateway.broker.connection import CHUNKS_MAX, Connection, State
from gateway.broker.logins import User
from gateway.broker.records import Wish
from gateway.broker.scram import METHOD, make_keys
from gateway.config import MqttSection
from gateway.effects import CheckPassword
from gateway.errors import ProtocolError
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import (
    Auth,
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
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld
from tests.fuzz.script import (
    CLIENT_NONCE,
    CLIENTS,
    PASSWORD,
    SCRAM_FIRST,
    USER,
    VECTORS,
    Action,
    mutated,
)

FROM_A_BROKER = (
    *(
        ConnAck,
        Disconnect,
        PingResp,
        Publish,
        PubAck,
        PubRec,
        PubRel,
        PubComp,
        SubAck,
        UnsubAck,
        Auth,
    ),
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
USERS = {USER: User("hash", keys=make_keys(PASSWORD, bytes(16), 4_096))}
PACKET_BYTES_MAX = 268_435_455
SESSIONS = CLIENTS * 4 + 8  # names of the script's clients, and of what mutated CONNECTs made


class Line:
    """One connection, and what it was told, read as a client reads it."""

    def __init__(self, connection: Connection, version: Version) -> None:
        self.connection = connection
        self.version = version
        self.unread = b""
        self.admitted = False
        self.challenge: bytes | None = None  # the last one of SCRAM

    def read(self) -> None:
        """Every answer is a whole packet that a broker may send, in a place where it may."""
        self.unread += self.connection.outbox.take()
        frames, rest = split(self.unread, PACKET_BYTES_MAX)
        assert rest == len(self.unread), "half a packet"
        for first, start, end in frames:
            version = self.connection.version if not self.admitted else self.version
            packet = decode(first, self.unread[start:end], version)
            assert isinstance(packet, FROM_A_BROKER), packet
            if isinstance(packet, Auth):
                assert self.connection.authentication is not None, packet
                self.challenge = packet.properties.authentication_data
                continue
            assert self.admitted is not isinstance(packet, ConnAck), packet
            if isinstance(packet, ConnAck):
                self.admitted = True
                self.version = version
        self.unread = b""

    def proof(self, right: bool) -> bytes | None:
        """What answers the last challenge; None: nothing can."""
        client = ScramClient([METHOD], USER, PASSWORD if right else "wrong", c_nonce=CLIENT_NONCE)
        client.get_client_first()
        try:
            client.set_server_first((self.challenge or b"").decode())
        except ScramException:
            return None
        return client.get_client_final().encode()


class Inside:
    """The broker under test."""

    def __init__(self) -> None:
        self._begin(KeptWorld(SETTINGS))
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
                self._begin(KeptWorld(replace(SETTINGS, queue_full=policy)))
            case ["open", int(client), int(version)]:
                self._lose(client)
                connection = world.broker.entrance.open("192.0.2.9", True, world.now)
                self.lines[client] = Line(connection, Version(version))
            case ["say", int(client), str(data)]:
                line = self.lines.get(client)
                if line is not None and line.connection.reading:
                    line.connection.receive(bytes.fromhex(data), world.now)
            case ["again", int(client)]:
                self._authenticate_again(client)
            case ["prove", int(client), bool(right)]:
                self._prove(client, right)
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
                world.sync(Wish.NOW)
            case ["cut"]:
                self.lines.clear()
                world.power_cut()
                self._begin(world)
            case _:
                raise ValueError(f"no such action: {json.dumps(action)}")

    def _begin(self, world: KeptWorld) -> None:
        self.world = world
        world.broker.admission.users_changed(USERS, world.now)

    def _authenticate_again(self, client: int) -> None:
        """If the client may: any other is disconnected for it, and mutated packets do that already."""
        line = self.lines.get(client)
        if line is not None and line.connection.authentication is not None:
            self._say_auth(line, Reason.RE_AUTHENTICATE, SCRAM_FIRST)

    def _prove(self, client: int, right: bool) -> None:
        line = self.lines.get(client)
        data = line.proof(right) if line is not None else None
        if line is not None and data is not None:
            self._say_auth(line, Reason.CONTINUE_AUTHENTICATION, data)

    def _say_auth(self, line: Line, reason: Reason, data: bytes) -> None:
        given = Properties(authentication_method=METHOD, authentication_data=data)
        if line.connection.reading:
            packet = encode(Auth(reason, given), Version.MQTT5)
            line.connection.receive(packet, self.world.now)
            line.read()

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
        for effect in self.world.broker.drain()[1]:
            if isinstance(effect, CheckPassword):
                self.world.broker.checked(effect.token, False, self.world.now)
        logins = self.world.broker.state.logins
        under_way = [
            line.connection.authentication
            for line in self.lines.values()
            if (one := line.connection.authentication) is not None and one.exchange is not None
        ]
        assert len(logins.exchanges) == len(under_way), "an exchange outlives its connection"
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
        assert not len(world.broker.state.logins.exchanges), "exchanges outlive their clients"
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
