"""The certificate of a gateway, and TLS by it on a real daemon (gateway/shell/certificate.py)."""

import hashlib
import socket
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from gateway.shell.certificate import CertificateError, fingerprint, server_context
from gateway.shell.clients import KEEP_IDLE_S, UNACKNOWLEDGED_MS, watch_for_dead_peers
from tests.gateways import Gateway, free_port

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"


def test_a_certificate_is_made_once_and_nobody_else_reads_its_key(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    server_context(path, ("gw1",), ("127.0.0.1",))
    made = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server_context(path, ("gw2",), ())
    assert path.read_bytes() == made


def test_a_certificate_that_cannot_be_made_is_told_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"could not be made: ValueError: .*nowhere"):
        server_context(tmp_path / "server.pem", ("gw1",), ("nowhere",))


def test_a_bad_certificate_file_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    path.write_text("nonsense")
    with pytest.raises(CertificateError, match=r"server\.pem cannot be used.*move the file away"):
        server_context(path, ("gw1",), ())
    assert path.read_text() == "nonsense"


def test_a_client_that_trusts_the_certificate_connects_by_name_and_address(tmp_path: Path) -> None:
    port = free_port()
    with Gateway("gw1", "127.0.0.1", tmp_path, port=free_port(), mqtt={"tls_port": port}):
        path = tmp_path / "state" / "server.pem"
        for name in ("gw1", "gw1.local", "127.0.0.1"):
            trusting = ssl.create_default_context(cafile=str(path))
            with (
                socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
                trusting.wrap_socket(plain, server_hostname=name) as client,
            ):
                shown = client.getpeercert(binary_form=True)
                assert shown is not None
                assert hashlib.sha256(shown).hexdigest() == fingerprint(path)
                client.sendall(CONNECT)
                assert client.recv(4) == b"\x20\x02\x00\x00"


def test_tls_older_than_1_2_is_not_spoken(tmp_path: Path) -> None:
    context = server_context(tmp_path / "server.pem", ("gw1",), ())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_certificate_is_taken_from_the_network_and_used_as_the_guide_says(
    tmp_path: Path,
) -> None:
    port = free_port()
    with Gateway("gw1", "127.0.0.1", tmp_path, port=free_port(), mqtt={"tls_port": port}) as gw1:
        place = f"127.0.0.1:{port}"
        shown = subprocess.run(
            f"openssl s_client -connect {place} </dev/null 2>/dev/null | openssl x509",
            shell=True,
            check=True,
            capture_output=True,
            timeout=10,
        )
        (tmp_path / "gw1.pem").write_bytes(shown.stdout)
        assert fingerprint(tmp_path / "gw1.pem") in gw1.log()
        say = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "-t", "t", "-m", "x"]
        subprocess.run([*say, "--cafile", str(tmp_path / "gw1.pem")], check=True, timeout=10)


def test_a_socket_inherits_the_watch_for_dead_peers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        watch_for_dead_peers(listening)
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                tcp = socket.IPPROTO_TCP
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert accepted.getsockopt(tcp, socket.TCP_KEEPIDLE) == KEEP_IDLE_S
                assert accepted.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == UNACKNOWLEDGED_MS
