"""The metrics port, over real sockets: what a daemon says, refusals, bounds."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Connect, Version
from gateway.shell.metrics import CONNECTIONS_MAX, REQUEST_BYTES_MAX, MetricsServer
from tests.gateways import Gateway, free_port

SAMPLE = re.compile(r'([a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? ([0-9.e+-]+)')


class Measured(Gateway):
    """A gateway with a metrics port."""

    metrics_port = 0

    def toml(self) -> str:
        return super().toml() + f"[metrics]\nport = {self.metrics_port}\n"


def parsed(page: str) -> dict[str, float]:
    """Samples by name and labels; every line must be of the format, each name explained first."""
    kinds: dict[str, str] = {}
    samples: dict[str, float] = {}
    for line in page.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds and kind in ("counter", "gauge")
            assert (kind == "counter") == name.endswith("_total")
            kinds[name] = kind
            continue
        match = SAMPLE.fullmatch(line)
        assert match is not None and match[1] in kinds, line
        samples[match[1] + (match[2] or "")] = float(match[3])
    assert page.endswith("\n")
    return samples


def test_a_gateway_says_what_it_counts(tmp_path: Path) -> None:
    gateway = Measured("gw", "127.0.0.1", tmp_path, port=free_port())
    gateway.metrics_port = free_port()
    with gateway, urlopen(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        samples = parsed(answer.read().decode())
    assert samples['gatewayd_gateways{state="alive"}'] == 1
    assert samples["gatewayd_clients"] == 0
    assert samples["gatewayd_disk_free_bytes"] > 0
    assert 'gatewayd_messages_dropped_total{cause="queue_full"}' in samples
    assert samples["gatewayd_waiting_bytes"] == 0 < samples["gatewayd_waiting_bytes_max"]


def test_bytes_and_connections_of_clients_are_counted(tmp_path: Path) -> None:
    gateway = Measured("gw", "127.0.0.1", tmp_path, port=free_port())
    gateway.metrics_port = free_port()

    def samples() -> dict[str, float]:
        with urlopen(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=5) as answer:
            return parsed(answer.read().decode())

    packet = encode(Connect(Version.MQTT311, "c", True, 0), Version.MQTT311)
    with gateway:
        before = samples()  # the harness has connected, too
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(packet)
            assert client.recv(4) == b"\x20\x02\x00\x00"
            after = samples()
    grown = {name: after[name] - before[name] for name in after}
    assert grown["gatewayd_bytes_received_total"] == len(packet)
    assert grown["gatewayd_bytes_sent_total"] == 4
    assert grown["gatewayd_sockets_opened_total"] == grown["gatewayd_connections_total"] == 1


def serve(test: Callable[[int], Awaitable[None]], timeout_s: float = 5.0) -> None:
    async def run() -> None:
        server, port = MetricsServer(lambda: "a 1\n", timeout_s), free_port()
        await server.listen("127.0.0.1", port)
        try:
            await asyncio.wait_for(test(port), 10)
        finally:
            await server.close()

    asyncio.run(run())


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\n" + b"a" * (REQUEST_BYTES_MAX + 1), b"431"),
    ],
)
def test_only_get_of_one_path_is_answered(request_: bytes, status: bytes) -> None:
    async def test(port: int) -> None:
        assert (await asked(port, request_)).startswith(b"HTTP/1.1 " + status)

    serve(test)


def test_who_sends_no_request_is_told_and_let_go() -> None:
    async def test(port: int) -> None:
        assert (await asked(port, b"GET /met")).startswith(b"HTTP/1.1 408")

    serve(test, timeout_s=0.05)


def test_one_connection_too_many_is_refused_and_the_others_go_on() -> None:
    async def test(port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        assert (await asked(port, b"")).startswith(b"HTTP/1.1 503")
        reader, writer = held[0]
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\na 1\n")
        for _, each in held:
            each.close()

    serve(test)
