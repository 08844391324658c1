"""Clients that come by a proxy are known by their own address, on a real daemon (entrance.py).

HAProxy is the real one, in front of TCP and TLS, with both versions of the protocol.
"""

import csv
import re
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gateways import Gateway, free_port, wait_until
from tests.requires import needs
from tests.shell.test_entrance import is_cut, untrusting
from tests.shell.test_websocket import Raw

GUIDE = Path(__file__).parents[2] / "docs" / "operating.md"
WITHIN_S = 10
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
CONNACK, NOT_AUTHORIZED = b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"
PER_ADDRESS_MAX = 2
KEYS = ("port", "tls_port", "websocket_port", "websocket_tls_port")
LINE = b"PROXY TCP4 192.0.2.%d 10.0.0.1 40000 1883\r\n"
V2 = bytes.fromhex("0d0a0d0a000d0a515549540a")
LOCAL = V2 + bytes([0x20, 0, 0, 0])


def gateway_behind(folder: Path, proxies: list[str], **mqtt: object) -> Gateway:
    proxy: dict[str, object] = {key: free_port() for key in KEYS}
    return Gateway(
        "gw1",
        "127.0.0.1",
        folder,
        port=free_port(),
        mqtt=dict(mqtt),
        sections={"proxy": proxy | {"addresses": proxies}},
    )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("behind")
    limits: dict[str, object] = {
        "allow_anonymous": "everywhere",
        "connections_per_address_max": PER_ADDRESS_MAX,
    }
    with gateway_behind(folder, ["127.0.0.0/8"], **limits) as gateway:
        yield gateway


def port(gateway: Gateway, key: str) -> int:
    return int(str(gateway.sections["proxy"][key]))


def dial(gateway: Gateway, key: str, *said: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port(gateway, key)), WITHIN_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in said:
        client.sendall(piece)
    return client


def addresses(gateway: Gateway) -> list[str]:
    answer = gateway.ask({"command": "clients", "arguments": {}})
    return [client["address"] for client in answer["result"]["clients"]]


@pytest.mark.parametrize("pieces", [1, 1_000], ids=["whole", "byte by byte"])
def test_the_address_that_is_named_is_the_clients(gateway: Gateway, pieces: int) -> None:
    said = LINE % 7 + CONNECT
    split = [said] if pieces == 1 else [bytes([byte]) for byte in said]
    with dial(gateway, "port", *split) as client:
        assert client.recv(4) == CONNACK
        assert addresses(gateway) == ["192.0.2.7"]


@pytest.mark.parametrize("together", [True, False])
def test_a_handshake_comes_behind_the_header(gateway: Gateway, together: bool) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = untrusting().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    begin = [LINE % 8 + hello] if together else [LINE % 8, hello]
    with dial(gateway, "tls_port", *begin) as plain:
        incoming.write(plain.recv(65_536))
        client.do_handshake()
        client.write(CONNECT)
        plain.sendall(outgoing.read())
        said = b""
        while len(said) < 4:
            incoming.write(plain.recv(65_536))
            try:
                said += client.read(4)
            except ssl.SSLWantReadError:
                continue
        assert said == CONNACK
        assert addresses(gateway) == ["192.0.2.8"]


def test_a_websocket_comes_behind_the_header(gateway: Gateway) -> None:
    with Raw(port(gateway, "websocket_port"), before=LINE % 9) as client:
        assert client.status == 101
        client.say(CONNECT)
        assert client.hear() == (2, CONNACK)
        assert addresses(gateway) == ["192.0.2.9"]


def test_each_client_has_its_own_share_and_the_proxy_has_none(gateway: Gateway) -> None:
    clients = [dial(gateway, "port", LINE % (20 + n // PER_ADDRESS_MAX)) for n in range(10)]
    one_too_many = dial(gateway, "port", LINE % 20)
    assert is_cut(one_too_many)
    for number, client in enumerate(clients):
        client.sendall(CONNECT[:-1] + bytes([65 + number]))
        assert client.recv(4) == CONNACK
        client.close()
    one_too_many.close()
    wait_until(lambda: addresses(gateway) == [], "all are gone", WITHIN_S)
    with dial(gateway, "port", LINE % 20, CONNECT) as client:
        assert client.recv(4) == CONNACK


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (CONNECT, "no PROXY header"),
        (b"PROXY TCP4 192.0.2.300 10.0.0.1 1 2\r\n", "names no address"),
        (b"PROXY UNKNOWN " + b"x" * 200, "more than 107 bytes"),
        (V2 + b"\x21\x11" + struct.pack("!H", 60_000), "more than 4096 bytes"),
    ],
)
def test_what_is_no_header_is_cut_off_and_counted(gateway: Gateway, said: bytes, why: str) -> None:
    with dial(gateway, "port", said) as client:
        assert is_cut(client)
    wait_until(lambda: f"{why}; see its send-proxy" in gateway.log(), why, WITHIN_S)
    assert "from a proxy, without a PROXY header" in gateway.problems()


def test_who_is_no_proxy_is_not_listened_to(tmp_path: Path) -> None:
    with gateway_behind(tmp_path, ["192.0.2.1", "2001:db8::/32"]) as gateway:
        with dial(gateway, "port") as client:
            assert is_cut(client)
        assert "1 to a port for proxies, from elsewhere" in gateway.problems()
        # The other ports know nothing of it.
        direct = socket.create_connection(("127.0.0.1", gateway.port), WITHIN_S)
        with direct:
            direct.sendall(CONNECT)
            assert direct.recv(4) == CONNACK


def test_who_comes_by_a_proxy_is_not_local_but_the_proxy_on_this_box_is(tmp_path: Path) -> None:
    with gateway_behind(tmp_path, ["127.0.0.1"]) as gateway:
        for header, answer in (
            (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", NOT_AUTHORIZED),
            (b"PROXY UNKNOWN\r\n", NOT_AUTHORIZED),
            (LOCAL, CONNACK),
        ):
            with dial(gateway, "port", header, CONNECT) as client:
                assert client.recv(4) == answer, header


@dataclass
class Front:
    """HAProxy's ports, and where it says how it is."""

    plain: int
    tls: int
    stats: Path

    def checked(self) -> str:
        """What HAProxy's check of the gateway says: a column of `show stat`."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(WITHIN_S)
            line.connect(str(self.stats))
            line.sendall(b"show stat\n")
            rows = list(csv.DictReader(line.makefile("r", encoding="ascii")))
        return next(
            row["check_status"]
            for row in rows
            if row["# pxname"] == "plain" and row["svname"] == "gw1"
        )


@pytest.fixture(scope="module", params=["send-proxy", "send-proxy-v2", "send-proxy-v2 crc"])
def front(
    request: pytest.FixtureRequest, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """HAProxy before the gateway."""
    program = needs("haproxy")
    send, _, crc = str(request.param).partition(" ")
    send += " proxy-v2-options crc32c,unique-id" if crc else ""
    folder = tmp_path_factory.mktemp("haproxy")
    ports = Front(free_port(), free_port(), folder / "stats")
    config = folder / "haproxy.cfg"
    (check,) = re.findall(r"( +option tcp-check\n(?: +tcp-check .*\n)+)", GUIDE.read_text())
    config.write_text(
        f"global\n  maxconn 100\n  stats socket {ports.stats}\n"
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
        "  unique-id-format %[uuid]\n"
        f"listen plain\n  bind 127.0.0.1:{ports.plain}\n{check}"
        f"  server gw1 127.0.0.1:{port(gateway, 'port')} {send} check inter 200ms\n"
        f"listen tls\n  bind 127.0.0.1:{ports.tls}\n"
        f"  server gw1 127.0.0.1:{port(gateway, 'tls_port')} {send}\n"
    )
    process = subprocess.Popen([program, "-db", "-f", str(config)])
    try:
        wait_until(lambda: _answers(ports.tls), "HAProxy listens", WITHIN_S)
        yield ports
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_clients_come_through_haproxy_under_their_own_address(
    front: Front, gateway: Gateway
) -> None:
    for source, where in (("127.0.0.31", front.plain), ("127.0.0.32", front.tls)):
        client = socket.create_connection(("127.0.0.1", where), WITHIN_S, (source, 0))
        if where == front.tls:
            client = untrusting().wrap_socket(client)
        with client:
            client.sendall(CONNECT)
            assert client.recv(4) == CONNACK
            assert source in addresses(gateway)


def test_haproxys_check_as_in_the_guide_finds_the_gateway_well(front: Front) -> None:
    wait_until(lambda: front.checked() == "L7OK", "the check succeeds", WITHIN_S)
