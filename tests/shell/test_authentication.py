"""AUTH against a real gatewayd: MQTT.js with a SCRAM of node's own, and scramp over a socket."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scramp import ScramClient

from gateway.broker.scram import METHOD
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import Auth, ConnAck, Connect, Packet, Version
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.gateways import Gateway, loopback_addresses
from tests.requires import needs, prepared
from tests.shell.test_people import publish, said

SCRIPT = Path(__file__).parents[1] / "clients" / "js" / "scram.js"
INSTALL = Path(__file__).parents[1] / "clients" / "javascript.sh"
PASSWORD = "correct hörse"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    (address,) = loopback_addresses(1)
    with Gateway("gw1", address, tmp_path / "gw1") as running:
        said(running, "user", "add", "ann", secret=PASSWORD)
        yield running
        assert "Traceback" not in running.log()


def by_javascript(gateway: Gateway, *words: str) -> dict[str, object]:
    """What MQTT.js tells of: a login, a message to itself, another authentication, the same again."""
    node = needs("node")
    prepared(INSTALL)
    command = [node, str(SCRIPT), gateway.host, str(gateway.port), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


class Line:
    """A socket that speaks packets; the proofs are scramp's."""

    def __init__(self, gateway: Gateway) -> None:
        self.socket = socket.create_connection((gateway.host, gateway.port), 20)
        self._bytes = b""

    def send(self, packet: Packet) -> None:
        self.socket.sendall(encode(packet, Version.MQTT5))

    def read(self) -> Packet:
        while True:
            frames, _ = split(self._bytes, 100_000)
            if frames:
                first, start, end = frames[0]
                packet = decode(first, self._bytes[start:end], Version.MQTT5)
                self._bytes = self._bytes[end:]
                return packet
            data = self.socket.recv(65_536)
            assert data, "closed"
            self._bytes += data


def log_in(gateway: Gateway, user: str, password: str) -> Reason:
    line, scram = Line(gateway), ScramClient([METHOD], user, password)
    with line.socket:
        first = scram.get_client_first().encode()
        given = Properties(authentication_method=METHOD, authentication_data=first)
        line.send(Connect(Version.MQTT5, "", True, 0, None, None, None, given))
        challenge = line.read()
        assert isinstance(challenge, Auth), challenge
        scram.set_server_first((challenge.properties.authentication_data or b"").decode())
        final = scram.get_client_final().encode()
        proof = Properties(authentication_method=METHOD, authentication_data=final)
        line.send(Auth(Reason.CONTINUE_AUTHENTICATION, proof))
        connack = line.read()
        assert isinstance(connack, ConnAck)
        if connack.reason is Reason.SUCCESS:
            scram.set_server_final((connack.properties.authentication_data or b"").decode())
        return connack.reason


def test_mqtt_js_logs_in_and_authenticates_again(gateway: Gateway) -> None:
    assert by_javascript(gateway, "ann", PASSWORD) == {
        "signed": True,
        "message": "to myself",
        "signedAgain": True,
        "messageAgain": "and again",
    }
    for user, password in (("ann", "wrong horse"), ("eve", PASSWORD)):
        refused = by_javascript(gateway, user, password)
        assert refused == {"error": "Connection refused: Not authorized", "code": 0x87}


def test_keys_outlive_a_restart_and_end_with_the_password(gateway: Gateway) -> None:
    assert log_in(gateway, "ann", PASSWORD) is Reason.SUCCESS
    gateway.stop()
    gateway.start()
    assert log_in(gateway, "ann", PASSWORD) is Reason.SUCCESS
    assert "ann - yes" in said(gateway, "user", "list")
    said(gateway, "user", "passwd", "ann", secret="battery staple")
    assert log_in(gateway, "ann", PASSWORD) is Reason.NOT_AUTHORIZED
    assert log_in(gateway, "ann", "battery staple") is Reason.SUCCESS
    assert log_in(gateway, "eve", "battery staple") is Reason.NOT_AUTHORIZED
    assert PASSWORD not in gateway.log() and "battery" not in gateway.log()


def test_a_password_without_keys_is_told_and_still_a_password(gateway: Gateway) -> None:
    told = said(gateway, "user", "add", "bob", secret="tab\tin the password")
    assert "not by SCRAM-SHA-256: the password has a control character" in told
    assert "bob - no: gwctl user passwd" in said(gateway, "user", "list")
    assert publish(gateway, "bob", "tab\tin the password") == ""
    assert log_in(gateway, "bob", "tabin the password") is Reason.NOT_AUTHORIZED
    assert "of bob no keys for SCRAM-SHA-256 are kept" in gateway.log()
    told = said(gateway, "user", "add", "\u2168", secret="correct horse")
    assert "clients write this name 'IX'" in told
