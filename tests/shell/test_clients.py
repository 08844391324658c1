"""Who counts as local, and that one client's trouble is no other's (gateway/shell/clients.py)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import cast

import pytest

from gateway.broker import connection
from gateway.broker.connection import Connection
from gateway.broker.pace import Pace
from gateway.config import MqttSection
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Publish,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from gateway.mqtt.reasons import Reason
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

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: Version
    ) -> None:
        self.reader, self.writer, self.version = reader, writer, version

    async def say(self, *packets: object) -> None:
        self.writer.write(b"".join(encode(packet, self.version) for packet in packets))  # type: ignore[arg-type]
        await self.writer.drain()

    async def hear(self, expected: bytes) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            assert await self.reader.readexactly(len(expected)) == expected


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Runtime, Callable[..., Awaitable[Socket]]]]:
    loop = asyncio.get_running_loop()
    node = Node(MqttSection(), None, Random(1), loop.time())
    runtime = Runtime(node, lambda dial: None, lambda effect: None)
    server = await loop.create_server(lambda: ClientProtocol(runtime), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened: list[Socket] = []

    async def connect(client_id: str, version: Version = V311) -> Socket:
        """With a will that is its name."""
        client = Socket(*await asyncio.open_connection("127.0.0.1", port), version)
        opened.append(client)
        await client.say(Connect(version, client_id, True, 0, Will("will", client_id.encode())))
        async with asyncio.timeout(TIMEOUT_S):
            first, length = await client.reader.readexactly(2)
            answer = await client.reader.readexactly(length)
        assert (first, answer[1]) == (0x20, 0)
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


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours, over what is published to one topic."""
    decode = connection.decode

    def stumble(first: int, body: bytes, version: Version | None) -> Packet:
        if body.startswith(b"\0\4trap"):
            raise ZeroDivisionError("a mistake")
        return decode(first, body, version)

    monkeypatch.setattr(connection, "decode", stumble)


@pytest.mark.usefixtures("trap")
@pytest.mark.parametrize("version", Version)
def test_a_mistake_of_ours_costs_one_client_its_connection(
    version: Version, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with serving() as (runtime, connect):
            good, bad = await connect("good"), await connect("bad", version)
            await good.say(Subscribe(1, (Subscription("will", 0),)))
            await good.hear(b"\x90\x03\x00\x01\x00")
            await bad.say(Publish("trap", b""))
            async with asyncio.timeout(TIMEOUT_S):
                last = await bad.reader.read()
            if version is Version.MQTT5:
                packet = decode(0xE0, last[2:], version)
                assert isinstance(packet, Disconnect)
                assert packet.reason is Reason.IMPLEMENTATION_SPECIFIC_ERROR
            else:
                assert last == b""
            await good.hear(encode(Publish("will", b"bad"), V311))
            await good.say(PingReq())
            await good.hear(b"\xd0\x00")
            assert runtime.node.broker.vitals.internal_errors == 1

    asyncio.run(run())
    assert "ZeroDivisionError: a mistake" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.usefixtures("trap")
def test_a_mistake_over_what_was_held_back_costs_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with serving() as (runtime, connect):
            bad, broker = await connect("bad", Version.MQTT5), runtime.node.broker
            (line,) = broker._online.values()
            line.pace = Pace(1, 1, runtime.now())
            await bad.say(*[Publish("t", b"")] * 3)
            async with asyncio.timeout(TIMEOUT_S):
                while line.reading:  # noqa: ASYNC110 (it is told to the socket alone)
                    await asyncio.sleep(0.01)
            line._chunks = [encode(Publish("trap", b""), Version.MQTT5)]
            async with asyncio.timeout(TIMEOUT_S):
                last = await bad.reader.read()
            assert last[:1] == b"\xe0" and Reason.IMPLEMENTATION_SPECIFIC_ERROR in last
            assert broker.vitals.internal_errors == 1

    asyncio.run(run())
    assert "ZeroDivisionError: a mistake" in caplog.text


def test_a_client_that_cannot_be_told_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with serving() as (_, connect):
            bad = await connect("bad")

            def stumble(*_: object) -> None:
                raise ZeroDivisionError("a mistake")

            with monkeypatch.context() as patched:
                patched.setattr(Connection, "receive", stumble)
                patched.setattr(Connection, "failed", stumble)
                await bad.say(PingReq())
                async with asyncio.timeout(TIMEOUT_S):
                    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                        await bad.reader.readexactly(1)

    asyncio.run(run())
    assert "the client could not be told" in caplog.text


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
