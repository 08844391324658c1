"""paho-mqtt behind the face: one network thread a client, as the library's manual has it."""

import queue
import socket
from collections.abc import Sequence

from paho.mqtt.client import MQTT_ERR_SUCCESS, CallbackOnMessage, MQTTMessage
from paho.mqtt.client import Client as Paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

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


class PahoClient:
    """`paho` is the library's own object, for what only one test needs."""

    def __init__(self, host: str, port: int, version: Version) -> None:
        self.inbox = Inbox()
        self.paho: Paho | None = None
        self._host = host
        self._port = port
        self._version = version
        self._answers: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._present = False
        self.offered: PahoProperties | None = None  # CONNACK's properties

    def connect(
        self,
        login: Login,
        *,
        manual_ack: bool = False,
        loop: bool = True,
        properties: PahoProperties | None = None,
        will_properties: PahoProperties | None = None,
        on_message: CallbackOnMessage | None = None,
    ) -> bool:
        """`manual_ack`: the test acknowledges; `loop` false: nobody pings after CONNACK.

        `properties`, `will_properties` and `on_message` take the place of the face's own.
        """
        self.close()
        self.inbox = Inbox()
        self.paho = paho = self._make(login, manual_ack, will_properties)
        paho.on_message = on_message or self._on_message
        first_only = {} if self._version < Version.MQTT5 else {"clean_start": login.clean}
        paho.connect(
            self._host,
            self._port,
            keepalive=login.keep_alive_s,
            properties=properties or connect_properties(login, self._version),
            **first_only,
        )
        if loop:
            paho.loop_start()
        while not loop and self._answers.empty():
            assert paho.loop(ANSWER_S_MAX) == MQTT_ERR_SUCCESS
        code = self._answer()
        assert isinstance(code, int)
        if code:
            raise Refused(code)
        return self._present

    def _make(self, login: Login, manual_ack: bool, will_properties: PahoProperties | None) -> Paho:
        paho = Paho(
            CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            clean_session=login.clean if self._version < Version.MQTT5 else None,
            protocol=self._version,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        paho.max_inflight_messages_set(100)
        if (will := login.will) is not None:
            properties = will_properties or message_properties(
                will.properties, self._version, PacketTypes.WILLMESSAGE
            )
            paho.will_set(will.topic, will.payload, will.qos, will.retain, properties)
        paho.on_connect = self._on_connect
        paho.on_disconnect = self._on_disconnect
        paho.on_subscribe = lambda _c, _u, _mid, codes, _p: self._answers.put(codes[0].value)
        paho.on_unsubscribe = lambda *_: self._answers.put(0)
        return paho

    def _on_connect(self, _paho, _userdata, flags, reason, properties) -> None:  # type: ignore[no-untyped-def]
        self.offered = properties
        self._present = flags.session_present
        self._answers.put(reason.value)

    def _on_disconnect(self, _paho, _userdata, flags, reason, _properties) -> None:  # type: ignore[no-untyped-def]
        told = flags.is_disconnect_packet_from_server
        self.inbox.close(Closed(reason.value if told else None))

    def _on_message(self, _paho: Paho, _userdata: object, message: MQTTMessage) -> None:
        self.inbox.put(
            Message(
                message.topic,
                message.payload,
                message.qos,
                message.retain,
                received_properties(getattr(message, "properties", None)),
            )
        )

    def _answer(self) -> object:
        return self._answers.get(timeout=ANSWER_S_MAX)

    def subscribe(
        self,
        topic_filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        properties: PahoProperties | None = None,
    ) -> int:
        assert self.paho is not None
        if self._version < Version.MQTT5:
            self.paho.subscribe(topic_filter, qos)
        else:
            options = subscribe_options(qos, no_local, retain_as_published, retain_handling)
            self.paho.subscribe(topic_filter, options=options, properties=properties)
        code = self._answer()
        assert isinstance(code, int)
        return code

    def unsubscribe(self, topic_filter: str) -> None:
        assert self.paho is not None
        self.paho.unsubscribe(topic_filter)
        self._answer()

    def publish(self, messages: Sequence[Message]) -> None:
        assert self.paho is not None
        handed_over = [
            self.paho.publish(
                m.topic, m.payload, m.qos, m.retain, message_properties(m.properties, self._version)
            )
            for m in messages
        ]
        for info in handed_over:
            info.wait_for_publish(MANY_S_MAX)
            assert info.is_published(), "a message was not acknowledged"

    def disconnect(self) -> None:
        assert self.paho is not None
        self.paho.disconnect()
        self.inbox.closed()
        self.close()

    def abort(self) -> None:
        assert self.paho is not None
        connection = self.paho.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        self.inbox.closed()
        self.close()

    def close(self) -> None:
        """Give up the connection, if there is one, and the thread."""
        if self.paho is not None:
            self.paho.disconnect()
            self.paho.loop_stop()
            if (connection := self.paho.socket()) is not None:
                connection.close()
            self.paho = None


class PahoDriver:
    name = "paho"

    def __init__(self) -> None:
        self._clients: list[PahoClient] = []

    def client(self, host: str, port: int, version: Version) -> PahoClient:
        self._clients.append(PahoClient(host, port, version))
        return self._clients[-1]

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def close(self) -> None:
        self.close_clients()
