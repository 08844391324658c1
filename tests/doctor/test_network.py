"""The checks over real sockets of this machine."""

import socket
from pathlib import Path

from gateway.doctor import network
from gateway.doctor.finding import Level
from tests.gateways import free_port

HERE = "127.0.0.1"


def test_a_port_without_anybody_is_an_error() -> None:
    port = free_port()
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
