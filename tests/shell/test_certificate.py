"""What is wrong with certificates, in words; and TLS by the gateway's own on a real daemon."""

import hashlib
import shutil
import socket
import ssl
import subprocess
import sys
from datetime import date
from pathlib import Path

from gateway.config import TlsSection
from gateway.shell.certificate import faults, seconds
from gateway.shell.clients import KEEP_IDLE_S, UNACKNOWLEDGED_MS, watch_for_dead_peers
from tests.authority import Authority
from tests.gateways import Gateway, free_port

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"


def sha256(path: Path) -> str:
    _, head, rest = path.read_text().partition("-----BEGIN CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(head + rest)).hexdigest()


def wrong(**keys: object) -> list[str]:
    """Each problem in one line."""
    tls = TlsSection(**{key: str(value) for key, value in keys.items()})
    return [f"{key}: {text}; {remedy}" for key, text, remedy in faults(tls)]


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=20)


def test_what_belongs_together_has_no_fault(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("gw1")
    assert wrong() == []
    given = {"certificate_file": certificate, "key_file": key}
    assert wrong(**given, client_ca_file=authority.file) == []
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes() + authority.file.read_bytes())
    assert wrong(certificate_file=both) == []


def test_every_mistake_has_its_key_its_reason_and_a_remedy(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (certificate, key), (_, other) = authority.sign("gw1"), authority.sign("gw2")
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("no certificate, and no key\n")
    torn = tmp_path / "torn.pem"
    torn.write_bytes(certificate.read_bytes()[:200])
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked)
    short = (tmp_path / "short.pem", tmp_path / "short.key")
    openssl(
        *("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=gw1"),
        *("-out", short[0], "-keyout", short[1]),
    )
    clients_only = (tmp_path / "client.pem", tmp_path / "client.key")
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=gw1"),
        *("-addext", "extendedKeyUsage=clientAuth"),
        *("-out", clients_only[0], "-keyout", clients_only[1]),
    )
    cases = [
        (missing, key, "certificate_file", "missing.pem cannot be read: No such file", "ls -l"),
        (tmp_path, key, "certificate_file", "cannot be read: Is a directory", "ls -l"),
        (text, key, "certificate_file", "there is no certificate in", "PEM"),
        (torn, key, "certificate_file", "torn.pem cannot be used", "openssl x509"),
        (certificate, missing, "key_file", "missing.pem cannot be read", "ls -l"),
        (certificate, text, "key_file", "there is no private key in", "PEM"),
        (certificate, other, "key_file", "is not that of the certificate", "belong together"),
        (certificate, locked, "key_file", "has a passphrase", "openssl pkey"),
        (*short, "certificate_file", "ee key too small", "openssl x509"),
        (*clients_only, "certificate_file", "unsuitable certificate purpose", "openssl x509"),
    ]
    for a_certificate, a_key, place, reason, remedy in cases:
        (line,) = wrong(certificate_file=a_certificate, key_file=a_key)
        assert line.startswith(f"{place}: ") and reason in line and remedy in line, line
    (line,) = wrong(client_ca_file=key)
    assert line.startswith("client_ca_file: there is no certificate in")
    (line,) = wrong(client_ca_file=authority.file, client_crl_file=certificate)
    assert line.startswith("client_crl_file: there is no X509 CRL in")


def test_all_mistakes_of_a_configuration_are_told_at_once(tmp_path: Path) -> None:
    Authority(tmp_path).sign("gw1")
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[mqtt]\nport = 0\n[tls]\ncertificate_file = "gw1.crt"\nkey_file = "none.key"\n'
        'client_ca_file = "none.pem"\n'
    )
    program = Path(sys.executable).parent / "gatewayd"
    said = subprocess.run(
        [program, "--check", "--config", file], capture_output=True, text=True, timeout=20
    )
    assert said.returncode == 2
    places = [line.partition(": ")[0].rpartition(":")[2] for line in said.stderr.splitlines()]
    assert places == ["2", "5", "6"], said.stderr
    assert "tls.key_file" in said.stderr and f"{tmp_path}/none.key cannot be read" in said.stderr
    shutil.copy(tmp_path / "gw1.key", tmp_path / "none.key")
    file.write_text('[tls]\ncertificate_file = "gw1.crt"\nkey_file = "none.key"\n')
    subprocess.run([program, "--check", "--config", file], check=True, timeout=20)


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
                assert hashlib.sha256(shown).hexdigest() == sha256(path)
                client.sendall(CONNECT)
                assert client.recv(4) == b"\x20\x02\x00\x00"


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
        tls = gw1.status()["tls"]
        assert tls["certificate_sha256"] == sha256(tmp_path / "gw1.pem")
        assert tls["self_made"] and tls["client_certificates"] == "off"
        assert tls["certificate_sha256"] in gw1.log()
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


def test_the_end_of_a_certificate_is_read_as_ssl_reads_it() -> None:
    for month in range(1, 13):
        for day in (1, 9, 10, 28):
            for year in (1999, 2028, 2050, 9999):
                time = f"{date(year, month, day):%b %e} 23:59:58 {year} GMT"
                assert seconds(time) == ssl.cert_time_to_seconds(time)
