"""The checks over real sockets of this machine."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.doctor import network
from gateway.doctor.finding import Level
from tests.gateways import free_port

HERE = "127.0.0.1"


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of a server that reads once, answers once and hangs up."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)
                with suppress(ConnectionResetError):  # who hears nonsense leaves in the middle
                    connection.recv(64)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (b"\x20\x02\x00\x00", Level.OK, "answers"),
        (b"\x20\x02\x00\x05", Level.OK, "not authorised"),
        (b"\x20\x02\x00\x03", Level.WARNING, "code 3"),
        (b"HTTP/1.1 400", Level.ERROR, "no MQTT broker"),
    ],
)
def test_an_mqtt_port_is_judged_by_its_answer(answer: bytes, level: Level, words: str) -> None:
    with answering(answer) as port:
        finding = network.mqtt(HERE, port)
    assert finding.level is level and words in finding.text


def test_a_port_without_anybody_is_an_error() -> None:
    port = free_port()
    assert network.mqtt("0.0.0.0", port).level is Level.ERROR
    assert network.listening("link port", HERE, port).level is Level.ERROR
    with socket.create_server((HERE, 0)) as server:
        there = server.getsockname()[1]
        assert network.listening("link port", "0.0.0.0", there).level is Level.OK


def test_a_control_socket_tells_whether_gatewayd_runs(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert "does not run" in network.control(path).text
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert "does not run" in network.control(path).text
        server.listen()
        assert network.control(path).level is Level.OK
    assert network.control(path).level is Level.ERROR


def test_multicast_is_heard_or_the_remedy_is_told() -> None:
    finding = network.multicast(HERE)
    assert finding.level is Level.OK, finding.text
    nowhere = network.multicast("192.0.2.1")  # no interface of this machine has it
    assert nowhere.level is Level.WARNING and "cluster.peers" in nowhere.remedy
