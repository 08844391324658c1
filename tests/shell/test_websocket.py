"""MQTT over WebSocket on a real daemon, by real clients and by hand (gateway/shell/websocket.py)."""

import os
import queue
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Connect, PingReq, Publish, Version
from tests.gateways import Gateway, free_port

V311 = Version.MQTT311
WITHIN_S = 10
BINARY, TEXT, CLOSE, PING, PONG = 2, 1, 8, 9, 10
CONNACK, PINGRESP = b"\x20\x02\x00\x00", b"\xd0\x00"
PACKET_BYTES_MAX = 300_000


@dataclass
class Served:
    port: int
    tls_port: int
    certificate: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("ws")
    port, tls_port = free_port(), free_port()
    mqtt: dict[str, object] = {
        "websocket_port": port,
        "websocket_tls_port": tls_port,
        "packet_bytes_max": PACKET_BYTES_MAX,
    }
    with Gateway("gw1", "127.0.0.1", directory, port=free_port(), mqtt=mqtt):
        yield Served(port, tls_port, directory / "state" / "server.pem")


class Raw:
    """A WebSocket client by hand."""

    def __init__(
        self,
        port: int,
        path: str = "/mqtt",
        offered: str = "mqtt",
        more: str = "",
        before: bytes = b"",
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
        self._file = self.socket.makefile("rb")
        protocol = f"Sec-WebSocket-Protocol: {offered}\r\n" if offered else ""
        self.socket.sendall(
            before
            + f"GET {path} HTTP/1.1\r\nHost: gw1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{protocol}{more}\r\n".encode()
        )
        self.head = b"".join(iter(self._file.readline, b"\r\n")).decode().lower()
        self.status = int(self.head.split()[1])

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def say(self, data: bytes, opcode: int = BINARY, final: bool = True) -> None:
        length = (
            bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
        )
        mask = os.urandom(4)
        body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(bytes([opcode | 0x80 * final]) + length + mask + body)

    def hear(self) -> tuple[int, bytes]:
        first, length = self._file.read(2)
        assert first & 0x80, "one whole message"
        if length == 126:
            (length,) = struct.unpack("!H", self._file.read(2))
        return first & 0x0F, self._file.read(length)

    def hear_close(self, answer: bool = False) -> int:
        opcode, body = self.hear()
        assert opcode == CLOSE
        if answer:
            self.say(body, CLOSE)
        assert self._file.read() == b"", "the socket is closed behind it"
        code: int = struct.unpack("!H", body[:2])[0]
        return code


def connect(name: str) -> bytes:
    return encode(Connect(V311, name, True, 0), V311)


@pytest.mark.parametrize("tls", [False, True])
def test_paho_sends_itself_a_message_of_each_qos(served: Served, tls: bool) -> None:
    got: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    ready: queue.SimpleQueue[None] = queue.SimpleQueue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, transport="websockets")
    client.ws_set_options(path="/mqtt")
    if tls:
        client.tls_set(ca_certs=str(served.certificate))
    client.on_connect = lambda *_: client.subscribe(f"paho/{tls}", 2)
    client.on_subscribe = lambda *_: ready.put(None)
    client.on_message = lambda _, __, message: got.put(message.payload)
    client.connect("127.0.0.1", served.tls_port if tls else served.port)
    client.loop_start()
    try:
        ready.get(timeout=WITHIN_S)
        payloads = [b"zero", b"one" * 50_000, b"two"]
        for qos, payload in enumerate(payloads):
            client.publish(f"paho/{tls}", payload, qos)
        assert sorted(got.get(timeout=WITHIN_S) for _ in payloads) == sorted(payloads)
    finally:
        client.disconnect()
        client.loop_stop()


def test_mqtt_is_the_protocol_chosen_whatever_else_is_offered(served: Served) -> None:
    # [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    with Raw(served.port, offered="mqttv3.1, mqtt", more="Origin: http://elsewhere\r\n") as raw:
        assert raw.status == 101
        assert "sec-websocket-protocol: mqtt\r\n" in raw.head


@pytest.mark.parametrize(
    ("path", "offered", "status"),
    [("/", "mqtt", 404), ("/mqtt2", "mqtt", 404), ("/mqtt", "", 400), ("/mqtt", "chat", 400)],
)
def test_another_path_or_protocol_is_refused(
    served: Served, path: str, offered: str, status: int
) -> None:
    with Raw(served.port, path, offered) as raw:
        assert raw.status == status


def test_a_request_without_end_is_refused(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=WITHIN_S) as raw:
        raw.sendall(b"GET /mqtt HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert raw.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 431")


def test_packets_do_not_end_where_frames_end(served: Served) -> None:
    # [MQTT-6.0.0-2] [MQTT-6.0.0-1]
    with Raw(served.port) as raw:
        packet = connect("frames")
        raw.say(packet[:5], final=False)
        raw.say(packet[5:7], opcode=0, final=True)
        raw.say(packet[7:])
        assert raw.hear() == (BINARY, CONNACK)
        ping = encode(PingReq(), V311)
        raw.say(ping * 3 + ping[:1])
        assert raw.hear() == (BINARY, PINGRESP * 3)
        raw.say(ping[1:])
        assert raw.hear() == (BINARY, PINGRESP)


def test_a_text_frame_closes_the_connection(served: Served) -> None:
    # [MQTT-6.0.0-1]
    with Raw(served.port) as raw:
        raw.say(connect("text"))
        assert raw.hear() == (BINARY, CONNACK)
        raw.say(b"hello", TEXT)
        assert raw.hear_close() == 1003


def test_a_ping_is_answered_with_its_words(served: Served) -> None:
    with Raw(served.port) as raw:
        raw.say(b"there?", PING)
        assert raw.hear() == (PONG, b"there?")


def test_a_frame_without_a_mask_closes_the_connection(served: Served) -> None:
    with Raw(served.port) as raw:
        raw.socket.sendall(b"\x82\x02" + encode(PingReq(), V311))
        assert raw.hear_close() == 1002


def test_a_close_is_answered(served: Served) -> None:
    with Raw(served.port) as raw:
        raw.say(connect("closing"))
        assert raw.hear() == (BINARY, CONNACK)
        raw.say(struct.pack("!H", 1000), CLOSE)
        assert raw.hear_close() == 1000


def test_what_the_broker_refuses_is_closed_by_a_frame(served: Served) -> None:
    with Raw(served.port) as raw:
        raw.say(encode(PingReq(), V311))  # before CONNECT
        assert raw.hear_close(answer=True) == 1000


def test_a_packet_over_the_limit_is_refused_before_it_has_come(served: Served) -> None:
    with Raw(served.port) as raw:
        raw.say(connect("large"))
        assert raw.hear() == (BINARY, CONNACK)
        whole = encode(Publish("t", b"x" * PACKET_BYTES_MAX, 0), V311)
        raw.say(whole[:100])
        assert raw.hear_close(answer=True) == 1000


def test_answers_to_pings_do_not_pile_up_for_a_client_that_does_not_read(served: Served) -> None:
    frame = b"\x89\xfd" + bytes(4) + b"p" * 125
    with Raw(served.port) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sent = frame * 150_000
        raw.socket.settimeout(None)
        raw.socket.sendall(sent)
        raw.say(struct.pack("!H", 1000), CLOSE)
        heard = sum(len(part) for part in iter(lambda: raw.socket.recv(1 << 20), b""))
        assert 0 < heard < len(sent) * 2 // 3
