"""aiomqtt behind the face: one event loop in one thread for all of its clients."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from tests.clients.face import (
    ANSWER_S_MAX,
    MANY_S_MAX,
    Closed,
    Inbox,
    Login,
    Message,
    Refused,
    Version,
)
from tests.clients.paho_properties import (
    connect_properties,
    message_properties,
    received_properties,
    subscribe_options,
)

T = TypeVar("T")
CALLS_MAX = 100  # publish calls under way at once


class LoopThread:
    """An event loop that runs until it is closed; `run` waits for a coroutine on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], within_s: float = MANY_S_MAX) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_S_MAX)
        self._loop.close()


class _Watched(aiomqtt.Client):
    """aiomqtt's client that also remembers what CONNACK and DISCONNECT said."""

    session_present = False
    reason: int | None = None

    def _on_connect(self, client, userdata, flags, reason_code, properties=None) -> None:  # type: ignore[no-untyped-def]
        self.session_present = flags.session_present
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, client, userdata, flags, reason_code, properties=None) -> None:  # type: ignore[no-untyped-def]
        if flags.is_disconnect_packet_from_server:
            self.reason = reason_code.value
        super()._on_disconnect(client, userdata, flags, reason_code, properties)


class AiomqttClient:
    def __init__(self, loop: LoopThread, host: str, port: int, version: Version) -> None:
        self.inbox = Inbox()
        self._loop = loop
        self._host = host
        self._port = port
        self._version = version
        self._client: _Watched | None = None
        self._reader: asyncio.Task[None] | None = None

    def connect(self, login: Login) -> bool:
        return self._loop.run(self._connect(login))

    async def _connect(self, login: Login) -> bool:
        await self._close()
        self.inbox = Inbox()
        newest = self._version >= Version.MQTT5
        client = _Watched(
            self._host,
            self._port,
            identifier=login.client_id,
            protocol=aiomqtt.ProtocolVersion(self._version),
            clean_session=None if newest else login.clean,
            clean_start=login.clean if newest else MQTT_CLEAN_START_FIRST_ONLY,
            keepalive=login.keep_alive_s,
            properties=connect_properties(login, self._version),
            will=self._will(login.will),
            max_inflight_messages=CALLS_MAX,
            max_concurrent_outgoing_calls=CALLS_MAX,
            timeout=ANSWER_S_MAX,
        )
        try:
            await client.__aenter__()
        except aiomqtt.MqttConnectError as refusal:
            code = refusal.rc
            raise Refused(code.value if isinstance(code, ReasonCode) else int(code)) from None
        self._client = client
        self._reader = asyncio.create_task(self._read(client, self.inbox))
        return client.session_present

    def _will(self, will: Message | None) -> aiomqtt.Will | None:
        if will is None:
            return None
        properties = message_properties(will.properties, self._version, PacketTypes.WILLMESSAGE)
        return aiomqtt.Will(will.topic, will.payload, will.qos, will.retain, properties)

    async def _read(self, client: _Watched, inbox: Inbox) -> None:
        try:
            async for m in client.messages:
                assert isinstance(m.payload, bytes)
                properties = received_properties(m.properties)
                inbox.put(Message(str(m.topic), m.payload, m.qos, m.retain, properties))
        except aiomqtt.MqttError:
            inbox.close(Closed(client.reason))

    def subscribe(
        self,
        topic_filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
    ) -> int:
        assert self._client is not None
        if self._version < Version.MQTT5:
            granted = self._loop.run(self._client.subscribe(topic_filter, qos))
        else:
            options = subscribe_options(qos, no_local, retain_as_published, retain_handling)
            granted = self._loop.run(self._client.subscribe(topic_filter, options=options))
        code = granted[0]
        return code.value if isinstance(code, ReasonCode) else int(code)

    def unsubscribe(self, topic_filter: str) -> None:
        assert self._client is not None
        self._loop.run(self._client.unsubscribe(topic_filter))

    def publish(self, messages: Sequence[Message]) -> None:
        self._loop.run(self._publish(messages))

    async def _publish(self, messages: Sequence[Message]) -> None:
        client = self._client
        assert client is not None
        await asyncio.gather(
            *(
                client.publish(
                    m.topic,
                    m.payload,
                    m.qos,
                    m.retain,
                    message_properties(m.properties, self._version),
                    timeout=MANY_S_MAX,
                )
                for m in messages
            )
        )

    def disconnect(self) -> None:
        self._loop.run(self._close())

    def abort(self) -> None:
        self._loop.run(self._abort())

    async def _abort(self) -> None:
        assert self._client is not None and self._reader is not None
        # aiomqtt has no call for this; its paho object holds the socket.
        connection = self._client._client.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        await self._reader
        await self._close()

    async def _close(self) -> None:
        client, reader = self._client, self._reader
        self._client = self._reader = None
        if client is None or reader is None:
            return
        with contextlib.suppress(aiomqtt.MqttError):  # gone already, which is what is wanted
            await client.__aexit__(None, None, None)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    def close(self) -> None:
        self._loop.run(self._close())


class AiomqttDriver:
    name = "aiomqtt"

    def __init__(self) -> None:
        self._loop = LoopThread()
        self._clients: list[AiomqttClient] = []

    def client(self, host: str, port: int, version: Version) -> AiomqttClient:
        self._clients.append(AiomqttClient(self._loop, host, port, version))
        return self._clients[-1]

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def close(self) -> None:
        self.close_clients()
        self._loop.close()
