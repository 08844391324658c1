"""Certificates of clients, and new certificates of the gateway, on a real daemon with real clients."""

import asyncio
import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from gateway.shell.tls import link_contexts, stretch
from tests.authority import Authority
from tests.gateways import Gateway, free_port, wait_until

TIMEOUT_S = 10
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
Signed = tuple[Path, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_gateway(folder: Path, authority: Authority, **tls: object) -> Gateway:
    """Its certificate is in a copy of its own, for a test to change."""
    certificate, key = authority.sign("gw1")
    for file in (certificate, key):
        shutil.copy(file, folder)
    given = {"certificate_file": "gw1.crt", "key_file": "gw1.key"}
    mqtt: dict[str, object] = {"tls_port": free_port(), "websocket_tls_port": free_port()}
    values = {key: str(value) for key, value in (given | tls).items()}
    return Gateway(
        "gw1", "127.0.0.1", folder, port=free_port(), mqtt=mqtt, sections={"tls": values}
    )


@pytest.fixture(scope="module")
def optional(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("optional")
    with tls_gateway(folder, authority, client_ca_file=authority.file) as gateway:
        yield gateway


def publish(
    gateway: Gateway, authority: Authority, signed: Signed | None, *more: str
) -> subprocess.CompletedProcess[str]:
    """By mosquitto_pub, QoS 1, so that a refusal is seen."""
    words = ["mosquitto_pub", "-h", "localhost", "-p", str(gateway.mqtt["tls_port"]), "-q", "1"]
    words += ["--cafile", str(authority.file), "-t", "t", "-m", "x", "-i", "pub", *more]
    if signed is not None:
        words += ["--cert", str(signed[0]), "--key", str(signed[1])]
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def says(gateway: Gateway, words: str) -> None:
    """The client is gone before the gateway writes why."""
    wait_until(lambda: words in gateway.log(), words, TIMEOUT_S)


def connected(gateway: Gateway, authority: Authority) -> ssl.SSLSocket:
    """A client in the middle of its connection."""
    context = ssl.create_default_context(cafile=str(authority.file))
    plain = socket.create_connection(("127.0.0.1", int(str(gateway.mqtt["tls_port"]))), TIMEOUT_S)
    client = context.wrap_socket(plain, server_hostname="localhost")
    client.sendall(CONNECT)
    assert client.recv(4) == b"\x20\x02\x00\x00"
    return client


def shown(gateway: Gateway) -> str:
    """What a new connection by TLS is shown, as `openssl s_client` sees it."""
    place = f"127.0.0.1:{gateway.mqtt['tls_port']}"
    said = subprocess.run(
        f"openssl s_client -connect {place} </dev/null 2>/dev/null"
        " | openssl x509 -noout -fingerprint -sha256",
        shell=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return said.stdout.strip().partition("=")[2].replace(":", "").lower()


def user_of(gateway: Gateway, authority: Authority, signed: Signed) -> tuple[bool, bool]:
    """Whether who shows this certificate may read under his own name, and under another."""

    async def run() -> tuple[bool, bool]:
        context = ssl.create_default_context(cafile=str(authority.file))
        context.load_cert_chain(*signed)
        port = int(str(gateway.mqtt["tls_port"]))
        async with aiomqtt.Client(
            "localhost", port, tls_context=context, protocol=aiomqtt.ProtocolVersion.V5
        ) as client:
            mine = await client.subscribe("home/scale-7/#", qos=1)
            others = await client.subscribe("home/someone/#", qos=1)
            return mine[0].value == 1, others[0].value == 1

    return asyncio.run(run())


def test_the_common_name_is_the_user_and_the_rules_know_it(
    optional: Gateway, authority: Authority
) -> None:
    words = ["allow", "everybody", "read", "home/%u/#"]
    answer = optional.ask({"command": "rule add", "arguments": {"rule": words}})
    assert answer["ok"], answer
    assert user_of(optional, authority, authority.sign("scale-7")) == (True, False)


def test_a_user_name_that_is_not_the_certificates_is_refused(
    optional: Gateway, authority: Authority
) -> None:
    signed = authority.sign("scale-7")
    assert publish(optional, authority, signed, "-u", "scale-7", "-P", "any").returncode == 0
    refused = publish(optional, authority, signed, "-u", "other", "-P", "any")
    assert refused.returncode != 0 and "bad user name or password" in refused.stderr


def test_a_certificate_is_optional_unless_it_is_required(
    tmp_path: Path, optional: Gateway, authority: Authority
) -> None:
    assert publish(optional, authority, None).returncode == 0
    assert optional.status()["tls"]["client_certificates"] == "optional"
    required = {"client_ca_file": authority.file, "client_certificates": "required"}
    with tls_gateway(tmp_path, authority, **required) as gateway:
        assert publish(gateway, authority, None).returncode != 0
        assert publish(gateway, authority, authority.sign("scale-7")).returncode == 0
        assert gateway.status()["tls"]["client_certificates"] == "required"
        says(gateway, "no TLS with it: peer did not return a certificate")


def test_who_is_signed_by_another_or_has_no_common_name_is_refused(
    tmp_path: Path, optional: Gateway, authority: Authority
) -> None:
    stranger = Authority(tmp_path, "stranger").sign("scale-7")
    assert publish(optional, authority, stranger).returncode != 0
    nameless = authority.sign("Plant and Sons", subject=False)
    assert publish(optional, authority, nameless).returncode != 0
    assert "its certificate has no common name" in optional.log()


@pytest.mark.parametrize("name", ["scale-7", "0011223344556677"])
def test_the_certificate_of_a_link_logs_no_client_in(optional: Gateway, name: str) -> None:
    link = link_contexts(stretch("test", "correct horse battery staple"), name).dialling
    link.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", int(str(optional.mqtt["tls_port"]))), TIMEOUT_S)
    answer = b""
    with contextlib.suppress(OSError), link.wrap_socket(plain) as client:
        client.sendall(CONNECT)
        answer = client.recv(4)  # in TLS 1.3 a refusal comes with the first read
    assert answer == b""
    wait_until(lambda: "no TLS with it" in optional.log(), "it is told", TIMEOUT_S)


def test_a_certificate_that_was_revoked_is_refused_from_the_next_look_on(
    tmp_path: Path, authority: Authority
) -> None:
    kept, stolen = authority.sign("kept"), authority.sign("stolen")
    files = {"client_ca_file": authority.file, "client_crl_file": authority.revoke()}
    with tls_gateway(tmp_path, authority, **files) as gateway:
        for signed in (kept, stolen):
            assert publish(gateway, authority, signed).returncode == 0
        authority.revoke(stolen)
        gateway.send(signal.SIGHUP)
        says(gateway, "were loaded again")
        assert publish(gateway, authority, stolen).returncode != 0
        says(gateway, "certificate revoked")
        assert publish(gateway, authority, kept).returncode == 0


def test_dates_do_not_lock_anybody_out_while_the_clock_may_be_wrong(
    tmp_path: Path, optional: Gateway, authority: Authority
) -> None:
    tomorrow = authority.sign("early", begins_in_days=3)
    past = authority.sign("late", days=-0.5)
    for signed in (tomorrow, past):
        assert publish(optional, authority, signed).returncode == 0
    assert "the clock may be wrong" in optional.problems()
    strict = {"client_ca_file": authority.file}
    gateway = tls_gateway(tmp_path, authority, **strict)
    gateway.sections["tls"]["strict_dates"] = True
    with gateway:
        for signed in (tomorrow, past):
            assert publish(gateway, authority, signed).returncode != 0
        assert publish(gateway, authority, authority.sign("now")).returncode == 0
        says(gateway, "certificate is not yet valid")
        says(gateway, "certificate has expired")
        assert "the clock may be wrong" not in gateway.problems()


def put(signed: Signed, folder: Path) -> None:
    for source, name in zip(signed, ("gw1.crt", "gw1.key"), strict=True):
        shutil.copy(source, folder / name)


def test_a_new_certificate_is_used_and_no_connection_breaks(
    tmp_path: Path, authority: Authority
) -> None:
    with tls_gateway(tmp_path, authority) as gateway:
        before = shown(gateway)
        assert gateway.status()["tls"]["certificate_sha256"] == before
        client = connected(gateway, authority)
        put(authority.sign("renewed"), tmp_path)
        gateway.send(signal.SIGHUP)
        wait_until(lambda: shown(gateway) != before, "the new one is shown", TIMEOUT_S)
        renewed = shown(gateway)
        assert gateway.status()["tls"]["certificate_sha256"] == renewed
        put(authority.sign("again"), tmp_path)  # and nobody says so
        wait_until(lambda: shown(gateway) != renewed, "the next one is shown", TIMEOUT_S)
        client.sendall(b"\xc0\x00")
        assert client.recv(2) == b"\xd0\x00"
        client.close()
        (tmp_path / "gw1.crt").write_text("nonsense")
        gateway.send(signal.SIGHUP)
        wait_until(lambda: "not used" in gateway.problems(), "it is told", TIMEOUT_S)
        assert "there is no certificate in" in gateway.problems()
        connected(gateway, authority).close()
