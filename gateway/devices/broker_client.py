"""The shell of the connection to the broker: aiomqtt, one connection at a time.

Rules: publishes are begun in the order in which they are given and several are under way at once; a
connection that ends takes them all with it, and the station sends them again. Commands are handed
over as they come and never queue here. Must not know what is published or when to try again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import inf

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from gateway.devices.events import (
    Acknowledged,
    BrokerConnected,
    BrokerLost,
    Command,
    Input,
    Message,
)
from gateway.devices.outbox import IN_FLIGHT_MAX
from gateway.devices.station import COMMAND_QOS
from gateway.devices.tasks import start

_KEEP_ALIVE_S = 15  # a broker that hangs is noticed in about twice that
_ANSWER_S = 5.0  # for CONNACK, SUBACK and the end of the connection
_UNDER_WAY_MAX = IN_FLIGHT_MAX + 16  # the status documents travel beside the outbox

# The library logs each loss as an error of its own; BrokerLost says it once.
_LIBRARY_LOG = logging.getLogger("gateway.devices.mqtt")
_LIBRARY_LOG.setLevel(logging.CRITICAL)


class BrokerClient:
    """The connection; `report` is called on the loop with what happens on it."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        will: Message,
        command_topics: Sequence[str],
        report: Callable[[Input], None],
    ) -> None:
        self._host = host
        self._port = port
        self._client_id = client_id
        self._will = will
        self._command_topics = command_topics
        self._report = report
        self._client: aiomqtt.Client | None = None
        self._session: asyncio.Task[None] | None = None
        self._publishing: set[asyncio.Task[None]] = set()

    def connect(self) -> None:
        """Begins to connect; reports BrokerConnected, and BrokerLost at the end of it."""
        assert self._session is None or self._session.done()
        self._session = start(self._run())

    def publish(self, message: Message) -> None:
        """Begins to publish; reports Acknowledged, or nothing when the connection ends before."""
        if self._client is None:  # the loss is reported, and not yet heard of
            return
        task = start(self._publish(self._client, message))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def close(self) -> None:
        """Disconnects in the planned way, so that the broker keeps the will to itself."""
        if self._session is not None and not self._session.done():
            self._session.cancel()
            await asyncio.wait([self._session])

    async def _run(self) -> None:
        detail = "disconnected"
        try:
            async with self._new_client() as client:
                await self._subscribe(client)
                self._client = client
                self._report(BrokerConnected())
                async for _ in client.messages:
                    raise AssertionError("messages are handed over, not queued")
        except aiomqtt.MqttError as error:
            # The library tells a lost connection in words about its own iteration.
            detail = str(error) if self._client is None else "the connection was lost"
        finally:
            self._client = None
            for task in self._publishing:
                task.cancel()
        self._report(BrokerLost(detail))

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        if not self._command_topics:
            return
        wanted = [(topic, COMMAND_QOS) for topic in self._command_topics]
        answers: Sequence[int | ReasonCode] = await client.subscribe(wanted)
        for topic, answer in zip(self._command_topics, answers, strict=True):
            if not isinstance(answer, int) and answer.is_failure:
                raise aiomqtt.MqttError(f"the broker refuses the subscription to {topic}")

    async def _publish(self, client: aiomqtt.Client, message: Message) -> None:
        try:
            # No limit in time: a broker that holds an acknowledgement back is asking for patience,
            # and one that is gone is noticed by keep-alive.
            await client.publish(
                message.topic, message.payload, message.qos, message.retain, timeout=inf
            )
        except aiomqtt.MqttError:
            return  # the end of the connection is on its way to `_run`
        self._report(Acknowledged(message.serial))

    def _new_client(self) -> aiomqtt.Client:
        client = aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._client_id,
            will=aiomqtt.Will(
                self._will.topic, self._will.payload, self._will.qos, self._will.retain
            ),
            clean_session=True,
            timeout=_ANSWER_S,
            keepalive=_KEEP_ALIVE_S,
            max_inflight_messages=_UNDER_WAY_MAX,
            queue_type=self._queue_type(),
            logger=_LIBRARY_LOG,
        )
        client.pending_calls_threshold = _UNDER_WAY_MAX
        return client

    def _queue_type(self) -> type[asyncio.Queue[aiomqtt.Message]]:
        """A queue that keeps nothing: what comes in goes on at once, bounded by the port."""
        loop = asyncio.get_running_loop()
        report = self._report

        class HandOver(asyncio.Queue[aiomqtt.Message]):
            def put_nowait(self, item: aiomqtt.Message) -> None:
                command = Command(str(item.topic), item.payload, item.retain)
                # From the loop, not from here: a mistake of ours must not look like a bad socket.
                loop.call_soon(report, command)

        return HandOver
