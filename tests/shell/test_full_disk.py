"""A real daemon on a real file system that fills up: what must be kept is refused, the rest goes on."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

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
    UnsubAck,
    Unsubscribe,
    Version,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.gateways import Gateway, free_port, wait_until
from tests.requires import needs

V5 = Version.MQTT5
DISK_MB = 128  # the daemon wants 64 free, and preallocates some
FILLER_BYTES = 56 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "state"
    place.mkdir()
    option = f"size={DISK_MB}m,mode=700"
    subprocess.run([needs("mount"), "-t", "tmpfs", "-o", option, "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


class Client:
    """A 5.0 client that says one thing and reads one answer."""

    def __init__(self, room: ExitStack, port: int, client_id: str, expiry_s: int = 0) -> None:
        self.socket = room.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        self.data = b""
        properties = Properties(session_expiry_interval_s=expiry_s)
        self.connack = self.ask(Connect(V5, client_id, False, 0, properties=properties))
        assert isinstance(self.connack, ConnAck)

    def ask(self, packet: Packet) -> Packet:
        self.socket.sendall(encode(packet, V5))
        return self.read()

    def read(self) -> Packet:
        while True:
            frames, _ = split(self.data, 1_000_000)
            if frames:
                first, start, end = frames[0]
                packet = decode(first, self.data[start:end], V5)
                self.data = self.data[end:]
                return packet
            came = self.socket.recv(65_536)
            assert came, "the gateway hung up"
            self.data += came


def publish(client: Client, topic: str, payload: bytes, number: int) -> Reason:
    answer = client.ask(Publish(topic, payload, 1, packet_id=number))
    assert isinstance(answer, PubAck)
    return answer.reason


@pytest.mark.slow
def test_a_full_disk_refuses_what_must_be_kept_until_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    port = free_port()
    gateway = Gateway("full", "127.0.0.1", tmp_path, port=port)
    with gateway, ExitStack() as room:
        away = Client(room, port, "away", 600)
        assert isinstance(away.ask(Subscribe(1, (Subscription("kept", 1),))), SubAck)
        away.socket.close()
        publisher, live = Client(room, port, "p"), Client(room, port, "live")
        live.ask(Subscribe(1, (Subscription("live", 1),)))
        trimming = Client(room, port, "trimming", 600)
        filters = [f"trimmed/{number}" for number in range(20)]
        trimming.ask(Subscribe(1, tuple(Subscription(each, 1) for each in filters)))
        assert publish(publisher, "kept", b"before", 1) == Reason.SUCCESS

        filler = small_disk / "filler"
        filler.write_bytes(bytes(FILLER_BYTES))
        numbers = iter(range(2, 60_000))
        taken = [b"before"]

        def refused() -> bool:
            number = next(numbers)
            if publish(publisher, "kept", b"%d" % number, number) == Reason.QUOTA_EXCEEDED:
                return True
            taken.append(b"%d" % number)
            return False

        wait_until(refused, "the daemon notices the full disk", 10)
        assert "nothing new is kept" in gateway.problems()
        assert gateway.status()["store"]["state"] == "full"
        stranger = Client(room, port, "stranger", 600)
        assert isinstance(stranger.connack, ConnAck)
        assert stranger.connack.reason == Reason.QUOTA_EXCEEDED
        publish(publisher, "live", b"goes on", 60_001)
        came = live.read()
        assert isinstance(came, Publish)
        assert came.payload == b"goes on"

        commits = gateway.status()["store"]["commits"]
        for each in filters:  # the disk still trims
            assert isinstance(trimming.ask(Unsubscribe(2, (each,))), UnsubAck)
        assert gateway.status()["store"]["commits"] >= commits + len(filters)
        assert gateway.log().count("ERROR less than 64 MB are free") == 1
        filler.unlink()
        wait_until(lambda: not refused(), "there is room again", 20)
        assert gateway.log().count("INFO the disk takes new messages again") == 1
        gateway.kill()
        gateway.start()
        back = Client(room, port, "away", 600)
        assert isinstance(back.connack, ConnAck)
        assert back.connack.session_present
        got = []
        while len(got) < len(taken):
            packet = back.read()
            assert isinstance(packet, Publish)
            got.append(packet.payload)
        assert got == taken
