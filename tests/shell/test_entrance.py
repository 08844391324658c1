"""What comes before MQTT is bounded by the door, too (gateway/shell/entrance.py), on a real daemon."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateways import Gateway, free_port, wait_until

WITHIN_S = 10
UNAUTHENTICATED_MAX = 100
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
CONNACK = b"\x20\x02\x00\x00"
EVERY_PORT = ("port", "tls_port", "websocket_port", "websocket_tls_port")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    mqtt: dict[str, object] = {key: free_port() for key in EVERY_PORT[1:]}
    mqtt["unauthenticated_max"] = UNAUTHENTICATED_MAX
    folder = tmp_path_factory.mktemp("doors")
    with Gateway("gw1", "127.0.0.1", folder, port=free_port(), mqtt=mqtt) as gateway:
        yield gateway


def dial(gateway: Gateway, key: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(str(gateway.mqtt[key]))), WITHIN_S)


def is_cut(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def untrusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.mark.parametrize("key", EVERY_PORT)
def test_sockets_that_only_stand_there_make_way_on_every_port(gateway: Gateway, key: str) -> None:
    with ExitStack() as opened:
        idle = []
        for number in range(UNAUTHENTICATED_MAX + 3):
            idle.append(opened.enter_context(dial(gateway, key)))
            if number % 50 == 49:
                gateway.status()  # it has accepted them; else the kernel's line may be full
        assert all(is_cut(client) for client in idle[:3])
        with dial(gateway, "tls_port") as plain, untrusting().wrap_socket(plain) as client:
            client.sendall(CONNECT)
            assert client.recv(4) == CONNACK
        idle[-1].settimeout(0.05)
        with pytest.raises(TimeoutError):
            idle[-1].recv(1)  # still there
    assert "too many that did not say who they are" in gateway.problems()


def test_what_is_no_handshake_is_cut_and_counted(gateway: Gateway) -> None:
    with dial(gateway, "tls_port") as client:
        client.sendall(CONNECT)
        assert is_cut(client) or is_cut(client)  # an alert may come first
    wait_until(lambda: "no TLS with it" in gateway.log(), "it is logged", WITHIN_S)


def test_a_handshake_in_small_pieces_and_with_connect_behind_it_is_served(gateway: Gateway) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = untrusting().wrap_bio(incoming, outgoing)
    with dial(gateway, "tls_port") as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    plain.send(bytes([byte]))
                incoming.write(plain.recv(65_536))
            else:
                break
        client.write(CONNECT)  # in one piece with the end of the handshake
        plain.sendall(outgoing.read())
        said = b""
        while len(said) < 4:
            incoming.write(plain.recv(65_536))
            try:
                said += client.read(4)
            except ssl.SSLWantReadError:  # a session ticket
                continue
        assert said == CONNACK


def test_every_port_that_is_in_use_is_told_at_once_with_what_to_do(tmp_path: Path) -> None:
    with ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        ports = [listening.getsockname()[1] for listening in sockets]
        mqtt: dict[str, object] = {"tls_port": ports[1], "websocket_port": ports[2]}
        metrics: dict[str, dict[str, object]] = {"metrics": {"port": ports[3]}}
        gateway = Gateway("gw1", "127.0.0.1", tmp_path, port=ports[0], mqtt=mqtt, sections=metrics)
        gateway.start(wait=False)
        wait_until(lambda: not gateway.running(), "it ends", WITHIN_S)
        assert gateway.state() == "ended with 1"
        log = gateway.log()
        keys = ("mqtt.port", "mqtt.tls_port", "mqtt.websocket_port", "metrics.port")
        for key, port in zip(keys, ports, strict=True):
            assert f"{key}: 127.0.0.1:{port} is in use by another program" in log
            assert f"ss -ltnp 'sport = :{port}'" in log
        gateway.close()
