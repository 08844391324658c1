"""What stands at the door is bounded, and keeps nobody out (gateway/broker/door.py)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from random import Random

import pytest

from gateway.config import MqttSection
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Connect, Version
from gateway.node import Node
from gateway.shell import clients
from gateway.shell.clients import ClientProtocol
from gateway.shell.entrance import Entrance, Way
from gateway.shell.runtime import Runtime

CONNECT = encode(Connect(Version.MQTT311, "c", True, 0), Version.MQTT311)
TIMEOUT_S = 10
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(
    settings: MqttSection, way: Way | None = None
) -> AsyncIterator[tuple[Node, int, list[Pair]]]:
    loop = asyncio.get_running_loop()
    node = Node(settings, None, Random(1), loop.time())
    runtime = Runtime(node, lambda dial: None, lambda effect: None)

    def protocol() -> asyncio.Protocol:
        return ClientProtocol(runtime) if way is None else Entrance(runtime, way)

    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=1024)
    runtime.start()
    opened: list[Pair] = []
    try:
        async with asyncio.timeout(30):
            yield node, server.sockets[0].getsockname()[1], opened
    finally:
        server.close()
        for _, writer in opened:
            writer.close()
        async with asyncio.timeout(TIMEOUT_S):
            while node.broker.clients() or node.broker.state.door.unopened:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        runtime.stop()


async def is_cut(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        with suppress(ConnectionError):
            assert await reader.read(1) == b""


async def let_in(port: int, opened: list[Pair]) -> None:
    opened.append(await asyncio.open_connection("127.0.0.1", port))
    reader, writer = opened[-1]
    client_id = f"c{len(opened)}-{writer.get_extra_info('sockname')[1]}"
    writer.write(encode(Connect(Version.MQTT311, client_id, True, 0), Version.MQTT311))
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"


def test_idle_sockets_make_way_and_keep_no_client_out() -> None:
    async def run() -> None:
        async with serving(MqttSection(unauthenticated_max=200)) as (node, port, opened):
            for _ in range(400):
                opened.append(await asyncio.open_connection("127.0.0.1", port))
            await let_in(port, opened)
            await is_cut(opened[0][0])
            assert len(node.broker.state.door.unopened) == 199
            assert node.broker.vitals.closed_unauthenticated == 201

    asyncio.run(run())


@pytest.mark.parametrize("said", [b"", CONNECT[:1]])
def test_who_does_not_say_who_it_is_is_cut(said: bytes) -> None:
    async def run() -> None:
        async with serving(MqttSection(connect_timeout_s=0.2)) as (node, port, opened):
            opened.append(await asyncio.open_connection("127.0.0.1", port))
            opened[0][1].write(said)
            await is_cut(opened[0][0])
            assert not node.broker.state.door.unopened

    asyncio.run(run())


PROXIES = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (Way(websocket=True), b"GET /mqtt HTTP/1.1\r\n"),
        (Way(proxies=PROXIES), b""),
        (Way(proxies=PROXIES), b"PROXY TCP4 192"),
        (Way(proxies=PROXIES), b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n"),
        (Way(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), b""),
    ],
)
def test_who_does_not_come_through_to_mqtt_is_cut(way: Way, said: bytes) -> None:
    async def run() -> None:
        async with serving(MqttSection(connect_timeout_s=0.2), way) as (node, port, opened):
            opened.append(await asyncio.open_connection("127.0.0.1", port))
            opened[0][1].write(said)
            await is_cut(opened[0][0])
            assert not node.broker.state.door.unopened and not node.broker.state.door.by_address

    asyncio.run(run())


def test_an_address_has_its_share_and_gets_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "is_local", lambda transport: False)  # all is loopback here
    settings = MqttSection(connections_per_address_max=2, allow_anonymous="everywhere")

    async def run() -> None:
        async with serving(settings) as (node, port, opened):
            await let_in(port, opened)
            await let_in(port, opened)
            opened.append(await asyncio.open_connection("127.0.0.1", port))
            await is_cut(opened[2][0])
            assert node.broker.vitals.refused_per_address == 1
            opened[0][1].close()
            while node.broker.clients() > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await let_in(port, opened)
            assert node.broker.state.door.by_address == {"127.0.0.1": 2}

    asyncio.run(run())
