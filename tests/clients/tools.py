"""mosquitto_pub and mosquitto_sub, Debian's command-line clients, as a test uses them.

mosquitto_sub subscribes as it starts, and does not say when it has; so it also asks for a retained
message that lies ready for it, and `Subscriber.start` returns when that has come.
"""

import json
import subprocess
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.clients.face import ANSWER_S_MAX, MANY_S_MAX, Inbox, Message, Properties, Version
from tests.gateways import in_namespace

VERSION_WORDS = {Version.MQTT31: "mqttv31", Version.MQTT311: "mqttv311", Version.MQTT5: "mqttv5"}


@dataclass(frozen=True, slots=True)
class Door:
    """Where a broker is, from where (a network namespace, or here), and in which version."""

    host: str
    port: int = 1883
    version: Version = Version.MQTT311
    namespace: str | None = None

    def command(self, program: str, *words: str) -> list[str]:
        where = ["-h", self.host, "-p", str(self.port), "-V", VERSION_WORDS[self.version]]
        return [*in_namespace(self.namespace), program, *where, *words]


def run(door: Door, program: str, *words: str, given: bytes = b"") -> str:
    """Run to the end, which must be a good one; what it wrote."""
    done = subprocess.run(
        door.command(program, *words), input=given, capture_output=True, timeout=MANY_S_MAX
    )
    assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr.decode()}"
    return done.stdout.decode()


def publish(door: Door, topic: str, payload: str | None, qos: int = 0, *words: str) -> None:
    """One message; None is mosquitto_pub's empty one."""
    content = ["-n"] if payload is None else ["-m", payload]
    run(door, "mosquitto_pub", "-t", topic, *content, "-q", str(qos), *words)


def publish_lines(door: Door, topic: str, lines: Sequence[str], qos: int) -> None:
    """One message for each line, through one connection."""
    given = "".join(f"{line}\n" for line in lines).encode()
    run(door, "mosquitto_pub", "-t", topic, "-l", "-q", str(qos), given=given)


@dataclass
class Subscriber:
    """A mosquitto_sub; what it prints becomes messages in `inbox`.

    `with Subscriber(...).start() as subscriber:` ends it in the end.
    """

    door: Door
    topic_filters: Sequence[str]
    qos: int = 0
    words: Sequence[str] = ()
    inbox: Inbox = field(default_factory=Inbox)

    def start(self, *, wait: bool = True) -> Self:
        ready = f"ready/{uuid.uuid4()}"
        if wait:
            publish(self.door, ready, "ready", 1, "-r")
        filters = [word for name in (*self.topic_filters, ready) for word in ("-t", name)]
        self._process = subprocess.Popen(
            self.door.command(
                "mosquitto_sub", *filters, "-q", str(self.qos), "-F", "%j", *self.words
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._ready = threading.Event()
        self._ready_topic = ready
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if wait:
            came = self._ready.wait(ANSWER_S_MAX)
            publish(self.door, ready, None, 1, "-r")
            assert came, "mosquitto_sub did not subscribe"
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # A user property may come twice, so an object is read as its pairs.
            fields: dict[str, Any] = dict(json.loads(line, object_pairs_hook=list))
            if fields["topic"] == self._ready_topic:
                self._ready.set()
                continue
            payload = (fields["payload"] or "").encode()
            properties = _properties(dict(fields.get("properties", ())))
            message = Message(
                fields["topic"], payload, fields["qos"], bool(fields["retain"]), properties
            )
            self.inbox.put(message)

    def kill(self) -> None:
        """SIGKILL: the kernel closes the socket, no DISCONNECT."""
        self._process.kill()
        self.close()

    def wait(self) -> str:
        """Wait until it ends by itself; what it said on the error output."""
        self._process.wait(ANSWER_S_MAX)
        return self.close()

    def close(self) -> str:
        """End it by SIGTERM, at which it says DISCONNECT."""
        assert self._process.stdout is not None and self._process.stderr is not None
        self._process.terminate()
        try:
            self._process.wait(ANSWER_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(ANSWER_S_MAX)
        self._process.stdout.close()
        with self._process.stderr as errors:
            return "" if errors.closed else errors.read().decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not (self._process.stdout is None or self._process.stdout.closed):
            self.close()


def _properties(given: dict[str, Any]) -> Properties:
    correlation = given.get("correlation-data")
    return Properties(
        content_type=given.get("content-type"),
        response_topic=given.get("response-topic"),
        correlation_data=None if correlation is None else correlation.encode(),
        message_expiry_interval_s=given.get("message-expiry-interval"),
        user_properties=tuple((k, v) for k, v in given.get("user-properties", ())),
    )
