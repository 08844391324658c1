"""MQTT.js behind the face: one node process for all of its clients, spoken to in JSON lines."""

import base64
import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.clients.face import (
    ANSWER_S_MAX,
    MANY_S_MAX,
    Closed,
    Inbox,
    Login,
    Message,
    Properties,
    Refused,
    Version,
)

ALIASES_MAX = 8
FOLDER = Path(__file__).parent / "js"

_NAMES = {
    "message_expiry_interval_s": "messageExpiryInterval",
    "content_type": "contentType",
    "response_topic": "responseTopic",
}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _outgoing(properties: Properties, version: Version) -> dict[str, object] | None:
    if version < Version.MQTT5:
        return None
    given = {theirs: getattr(properties, ours) for ours, theirs in _NAMES.items()}
    if properties.payload_format_indicator is not None:
        given["payloadFormatIndicator"] = bool(properties.payload_format_indicator)
    if properties.correlation_data is not None:
        given["correlationData"] = _text(properties.correlation_data)
    if properties.user_properties:
        given["userProperties"] = list(properties.user_properties)
    return {name: value for name, value in given.items() if value is not None}


def _incoming(given: dict[str, Any]) -> Properties:
    correlation = given.get("correlationData")
    identifiers = given.get("subscriptionIdentifier", ())
    text = given.get("payloadFormatIndicator")
    return Properties(
        **{ours: given.get(theirs) for ours, theirs in _NAMES.items()},
        payload_format_indicator=None if text is None else int(text),
        correlation_data=None if correlation is None else base64.b64decode(correlation),
        subscription_identifiers=(
            (identifiers,) if isinstance(identifiers, int) else tuple(identifiers)
        ),
        user_properties=tuple(tuple(pair) for pair in given.get("userProperties", ())),
    )


class Node:
    """The node process: calls and their answers, and what happens in between."""

    def __init__(self, node: str) -> None:
        self._process = subprocess.Popen(
            [node, str(FOLDER / "driver.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.inboxes: dict[int, Inbox] = {}
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._calls = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if (call := said.get("call")) is not None:
                self._answers[call].put(said)
                continue
            inbox = self.inboxes[said["client"]]
            if (closed := said.get("closed")) is not None:
                inbox.close(Closed(closed["reason"]))
            else:
                m = said["message"]
                properties = _incoming(m["properties"])
                payload = base64.b64decode(m["payload"])
                inbox.put(Message(m["topic"], payload, m["qos"], m["retain"], properties))

    def call(self, client: int, verb: str, within_s: float = ANSWER_S_MAX, **words: object) -> Any:
        """The result; `Refused` when the server's CONNACK said no, AssertionError for the rest."""
        assert self._process.stdin is not None
        self._calls += 1
        call = self._calls
        self._answers[call] = answers = queue.SimpleQueue()
        request = {"call": call, "client": client, "do": verb, **words}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        try:
            answer = answers.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"MQTT.js: {verb} not done within {within_s} s") from None
        if "error" in answer:
            if isinstance(answer["code"], int):
                raise Refused(answer["code"])
            raise AssertionError(f"MQTT.js: {verb}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(ANSWER_S_MAX)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(ANSWER_S_MAX)
            self._process.stdout.close()


class JavascriptClient:
    def __init__(self, node: Node, host: str, port: int, version: Version) -> None:
        self.inbox = Inbox()
        self._node = node
        self._host = host
        self._port = port
        self._version = version
        self._number = 0  # in the node process; a new one for each connection

    def connect(self, login: Login) -> bool:
        self.close()
        self._number = number = len(self._node.inboxes) + 1
        self.inbox = self._node.inboxes[number] = Inbox()
        options: dict[str, object] = {
            "clientId": login.client_id,
            "clean": login.clean,
            "keepalive": login.keep_alive_s,
            "protocolVersion": int(self._version),
            "protocolId": "MQIsdp" if self._version == Version.MQTT31 else "MQTT",
        }
        if self._version >= Version.MQTT5:
            # Aliases both ways: it assigns them as the server offers, and resolves what it is sent.
            options |= {"autoAssignTopicAlias": True, "autoUseTopicAlias": True}
            options["properties"] = {
                "sessionExpiryInterval": login.session_expiry_s,
                "topicAliasMaximum": ALIASES_MAX,
            }
        will = None if login.will is None else self._message(login.will)
        place = {"host": self._host, "port": self._port}
        present: bool = self._node.call(number, "connect", options=options, will=will, **place)
        return present

    def _message(self, message: Message) -> dict[str, object]:
        given: dict[str, object] = {
            "topic": message.topic,
            "payload": _text(message.payload),
            "qos": message.qos,
            "retain": message.retain,
        }
        if (properties := _outgoing(message.properties, self._version)) is not None:
            given["properties"] = properties
        return given

    def subscribe(
        self,
        topic_filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
    ) -> int:
        options: dict[str, object] = {"qos": qos}
        if self._version >= Version.MQTT5:
            options |= {"nl": no_local, "rap": retain_as_published, "rh": retain_handling}
        granted = self._node.call(self._number, "subscribe", filter=topic_filter, options=options)
        assert isinstance(granted, int)
        return granted

    def unsubscribe(self, topic_filter: str) -> None:
        self._node.call(self._number, "unsubscribe", filter=topic_filter)

    def publish(self, messages: Sequence[Message]) -> None:
        given = [self._message(m) for m in messages]
        self._node.call(self._number, "publish", MANY_S_MAX, messages=given)

    def disconnect(self) -> None:
        self._node.call(self._number, "disconnect")

    def abort(self) -> None:
        self._node.call(self._number, "abort")

    def close(self) -> None:
        if self._number:
            self._node.call(self._number, "close")
            self._number = 0


class JavascriptDriver:
    name = "MQTT.js"

    def __init__(self, node: str) -> None:
        self._node = Node(node)
        self._clients: list[JavascriptClient] = []

    def client(self, host: str, port: int, version: Version) -> JavascriptClient:
        self._clients.append(JavascriptClient(self._node, host, port, version))
        return self._clients[-1]

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def close(self) -> None:
        self.close_clients()
        self._node.close()
