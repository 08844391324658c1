"""Who counts as local, and that one client's trouble is no other's (gateway/shell/clients.py)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import cast

import pytest

from gateway.broker.connection import Connection
from gateway.config import MqttSection
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Connect, PingReq, Publish, Subscribe, Subscription, Version
from gateway.node import Node
from gateway.shell.clients import ClientProtocol, is_local
from gateway.shell.runtime import Runtime

V311 = Version.MQTT311
TIMEOUT_S = 10


class Addresses:
    """A transport, as far as `is_local` asks it."""

    def __init__(self, peer: object, own: object) -> None:
        self._said = {"peername": peer, "sockname": own}

    def get_extra_info(self, name: str) -> object:
        return self._said[name]


@pytest.mark.parametrize(
    ("peer", "own", "local"),
    [
        (("127.0.0.1", 40_000), ("127.0.0.1", 1883), True),
        (("127.0.0.3", 40_000), ("127.0.0.1", 1883), True),
        (("192.0.2.7", 40_000), ("192.0.2.7", 1883), True),
        (("192.0.2.8", 40_000), ("192.0.2.7", 1883), False),
        (("::1", 40_000, 0, 0), ("::1", 1883, 0, 0), True),
        (("fe80::1%eth0", 40_000, 0, 2), ("fe80::2%eth0", 1883, 0, 2), False),
        (("::ffff:127.0.0.1", 40_000, 0, 0), ("::ffff:127.0.0.2", 1883, 0, 0), True),
        (("::ffff:192.0.2.8", 40_000, 0, 0), ("::ffff:192.0.2.7", 1883, 0, 0), False),
        ("", "/run/gatewayd/mqtt.sock", True),
        (None, ("192.0.2.7", 1883), False),  # reset before it could be asked for
        (None, None, False),
    ],
)
def test_who_is_on_this_machine(peer: object, own: object, local: bool) -> None:
    assert is_local(cast(asyncio.BaseTransport, Addresses(peer, own))) is local


class Socket:
    """A plain socket to the broker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *packets: object) -> None:
        self.writer.write(b"".join(encode(packet, V311) for packet in packets))  # type: ignore[arg-type]
        await self.writer.drain()

    async def hear(self, expected: bytes) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            assert await self.reader.readexactly(len(expected)) == expected


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Runtime, Callable[[str], Awaitable[Socket]]]]:
    loop = asyncio.get_running_loop()
    node = Node(MqttSection(), None, Random(1), loop.time())
    runtime = Runtime(node, lambda dial: None, lambda effect: None)
    server = await loop.create_server(lambda: ClientProtocol(runtime), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened: list[Socket] = []

    async def connect(client_id: str) -> Socket:
        client = Socket(*await asyncio.open_connection("127.0.0.1", port))
        opened.append(client)
        await client.say(Connect(V311, client_id, True, 0))
        await client.hear(b"\x20\x02\x00\x00")
        return client

    runtime.start()
    try:
        yield runtime, connect
    finally:
        runtime.stop()
        server.close()
        for client in opened:
            client.writer.close()
        async with asyncio.timeout(TIMEOUT_S):
            while node.broker.clients():  # noqa: ASYNC110 (the broker has no event for it)
                await asyncio.sleep(0.01)


# [MQTT-4.2.0-1]
def test_messages_travel_between_sockets() -> None:
    async def run() -> None:
        async with serving() as (_, connect):
            one, two = await connect("one"), await connect("two")
            await one.say(Subscribe(1, (Subscription("t", 0),)))
            await one.hear(b"\x90\x03\x00\x01\x00")
            await two.say(Publish("t", bytes(500_000)), Publish("t", b"x"))
            await one.hear(encode(Publish("t", bytes(500_000)), V311))
            await one.hear(encode(Publish("t", b"x"), V311))

    asyncio.run(run())


def test_a_mistake_of_ours_costs_one_client_its_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with serving() as (_, connect):
            good, bad = await connect("good"), await connect("bad")
            receive = Connection.receive

            def stumble(connection: Connection, data: bytes, now: float) -> None:
                if data == encode(Publish("trap", b""), V311):
                    raise ZeroDivisionError("a mistake")
                receive(connection, data, now)

            monkeypatch.setattr(Connection, "receive", stumble)
            await bad.say(Publish("trap", b""))
            async with asyncio.timeout(TIMEOUT_S):
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await bad.reader.readexactly(1)
            await good.say(PingReq())
            await good.hear(b"\xd0\x00")

    asyncio.run(run())
    assert "a mistake" in caplog.text


def test_a_deadline_that_fails_does_not_stop_the_clock() -> None:
    async def run() -> None:
        async with serving() as (runtime, connect):
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            client = await connect("c")
            timers, fired = runtime.node.broker.state.timers, asyncio.Event()
            timers.set(0.0, lambda now: [][0])
            timers.set(1.0, lambda now: fired.set())
            async with asyncio.timeout(TIMEOUT_S):
                await fired.wait()
            await client.say(PingReq())
            await client.hear(b"\xd0\x00")

    asyncio.run(run())


def test_a_connection_that_cannot_be_written_does_not_keep_the_others_from_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with serving() as (_, connect):
            broken, good, publisher = [await connect(name) for name in ("b", "g", "p")]
            for client in (broken, good):
                await client.say(Subscribe(1, (Subscription("t", 0),)))
                await client.hear(b"\x90\x03\x00\x01\x00")
            flush = ClientProtocol.flush

            def stumble(protocol: ClientProtocol) -> None:
                session = protocol._connection.session  # type: ignore[union-attr]
                if session is not None and session.client_id == "b":
                    raise ZeroDivisionError("a mistake")
                flush(protocol)

            monkeypatch.setattr(ClientProtocol, "flush", stumble)
            await publisher.say(Publish("t", b"x"))
            await good.hear(encode(Publish("t", b"x"), V311))

    asyncio.run(run())
    assert "a mistake" in caplog.text


@pytest.mark.slow
def test_a_client_that_floods_and_does_not_read_is_paused_and_then_served() -> None:
    async def run() -> None:
        async with serving() as (runtime, connect):
            client = await connect("c")
            client.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536
            )
            pings = b"\xc0\x00" * 32_768
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 2_000 * len(pings):
                    client.writer.write(pings)
                    sent += len(pings)
                    async with asyncio.timeout(0.5):
                        await client.writer.drain()
            assert len(runtime.node.broker.state.touched) < 10
            pongs = 0
            async with asyncio.timeout(TIMEOUT_S):
                while pongs < sent:
                    pongs += len(await client.reader.read(1_000_000))

    asyncio.run(run())
