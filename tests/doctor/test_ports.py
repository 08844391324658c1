"""The checks of the ports for clients: a real gatewayd, and servers that are none."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.doctor import ports
from gateway.doctor.finding import Level
from tests.gateways import Gateway, free_port
from tests.requires import needs

HERE = "127.0.0.1"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@contextmanager
def answering(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that reads once, answers once and hangs up."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with suppress(OSError), ExitStack() as open_:  # who hears nonsense leaves in the middle
                there = open_.enter_context(connection)
                if context is not None:
                    secured = context.wrap_socket(connection, server_side=True)
                    there = open_.enter_context(secured)
                there.recv(1024)
                there.sendall(answer)
                if answer:
                    there.recv(64)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """TLS by a certificate of OpenSSL's own making, for a day."""
    folder = tmp_path_factory.mktemp("signed")
    subprocess.run(
        [
            *(needs("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=x"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
        timeout=20,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (b"\x20\x02\x00\x00", Level.OK, "answers"),
        (b"\x20\x02\x00\x05", Level.OK, "not authorised"),
        (b"\x20\x02\x00\x03", Level.WARNING, "code 3"),
        (b"HTTP/1.1 400", Level.ERROR, "no MQTT broker"),
        (b"", Level.ERROR, "hung up"),
    ],
)
def test_an_mqtt_port_is_judged_by_its_answer(answer: bytes, level: Level, words: str) -> None:
    with answering(answer) as port:
        finding = ports.mqtt(HERE, port)
    assert finding.level is level and words in finding.text
    assert bool(finding.remedy) == (level is not Level.OK)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "opens no WebSocket"),
        (b"HTTP/1.1 101 X\r\n\r\n\x82\x02\x00\x00", "no MQTT broker"),
        (b"\x20\x02\x00\x00" * 2_000, "opens no WebSocket"),
    ],
)
def test_a_websocket_port_is_judged_by_its_answer(answer: bytes, words: str) -> None:
    with answering(answer) as port:
        finding = ports.websocket(HERE, port)
    assert finding.level is Level.ERROR and words in finding.text


@pytest.mark.parametrize(("answer", "level"), [(b"200 OK", Level.OK), (b"404 No", Level.ERROR)])
def test_a_metrics_port_is_judged_by_its_answer(answer: bytes, level: Level) -> None:
    with answering(b"HTTP/1.1 " + answer + b"\r\n\r\n") as port:
        assert ports.metrics(HERE, port).level is level


def test_a_port_without_anybody_is_an_error() -> None:
    port = free_port()
    findings = [ports.mqtt(HERE, port), ports.websocket(HERE, port), ports.metrics(HERE, port)]
    findings += [*ports.mqtt_tls(HERE, port, NOW), *ports.websocket_tls(HERE, port, NOW)]
    assert [finding.level for finding in findings] == [Level.ERROR] * 5
    assert all("systemctl start gatewayd" in finding.remedy for finding in findings)


def test_a_port_that_speaks_no_tls_is_an_error() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        (finding,) = ports.mqtt_tls(HERE, port, NOW)
    assert finding.level is Level.ERROR and "there is no TLS with it" in finding.text


def test_the_certificate_is_read_though_what_is_behind_it_is_wrong(signed: ssl.SSLContext) -> None:
    with answering(b"SMTP", signed) as port:
        finding, shown = ports.mqtt_tls(HERE, port, datetime.now(UTC))
    assert finding.level is Level.ERROR and "no MQTT broker" in finding.text
    assert (shown.level, shown.check) == (Level.WARNING, f"certificate on port {port}")
    assert "ends in 0 days" in shown.text


def test_a_client_without_a_certificate_is_told_from_a_port_that_fails(
    signed: ssl.SSLContext, tmp_path: Path
) -> None:
    signed.verify_mode = ssl.CERT_REQUIRED
    try:
        with answering(b"\x20\x02\x00\x00", signed) as port:
            finding, _ = ports.mqtt_tls(HERE, port, NOW)
    finally:
        signed.verify_mode = ssl.CERT_NONE
    assert finding.level is Level.OK and "wants a certificate of its clients" in finding.text


def der(begins: datetime, ends: datetime) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("begins_days", "ends_days", "level", "words"),
    [
        (-1, 31, Level.OK, "valid until 2026-12-26"),
        (-1, 29, Level.WARNING, "ends in 29 days, on 2026-12-24"),
        (-9, -1, Level.ERROR, "ended on 2026-11-24"),
        (1, 90, Level.ERROR, "is not valid before 2026-11-26, and the clock says 2026-11-25"),
    ],
)
def test_a_certificate_is_judged_by_its_dates(
    begins_days: int, ends_days: int, level: Level, words: str
) -> None:
    made = der(NOW + timedelta(days=begins_days), NOW + timedelta(days=ends_days))
    finding = ports.certificate("c", made, NOW)
    assert finding.level is level and words in finding.text
    assert bool(finding.remedy) == (level is not Level.OK)


def test_what_is_no_certificate_is_an_error() -> None:
    assert ports.certificate("c", b"\x30\x00", NOW).level is Level.ERROR


@pytest.mark.slow
def test_every_port_of_a_gateway_is_found_well(tmp_path: Path) -> None:
    secure, web, both, page = (free_port() for _ in range(4))
    mqtt: dict[str, object] = {
        "tls_port": secure,
        "websocket_port": web,
        "websocket_tls_port": both,
    }
    mqtt["unix_socket"] = str(tmp_path / "mqtt.sock")
    sections = {"metrics": {"port": page}}
    with Gateway("gw1", HERE, tmp_path, port=free_port(), mqtt=mqtt, sections=sections) as gateway:
        findings = [
            ports.mqtt(HERE, gateway.port),
            ports.websocket(HERE, web),
            ports.metrics(HERE, page),
            *ports.mqtt_tls(HERE, secure, NOW),
            *ports.websocket_tls(HERE, both, NOW),
        ]
        assert ports.local(str(tmp_path / "mqtt.sock")).level is Level.OK
    assert [finding.level for finding in findings] == [Level.OK] * 7, findings
    assert ports.local(str(tmp_path / "none.sock")).level is Level.ERROR
    assert findings[3].text == "answers by TLSv1.3"
    assert findings[4].text == findings[6].text == "valid until 9999-12-31"
