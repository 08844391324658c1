"""Real brokers as fixtures: started on a free loopback port, killed, started again.

A test that takes `broker` runs once with each of BROKERS. To add one, write a class with the same
methods and put it there.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.requires import needs

WAIT_S = 20.0  # for anything that should happen soon; reached only when it does not happen

CONNECT = bytes.fromhex("10 0d 0004 4d515454 04 02 003c 0001 70")  # MQTT 3.1.1, clean, client "p"
CONNACK = bytes.fromhex("20 02 00 00")


def wait_until(
    condition: Callable[[], object], what: str = "the condition", seconds: float = WAIT_S
) -> None:
    """Returns when the condition holds; fails the test when it does not within the time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.01)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """Debian's broker. Sessions are on disk, so that a restart keeps a subscriber's queue."""

    host = "127.0.0.1"
    option = "-c"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = (folder / "broker.log").open("ab")
        self._config = folder / "broker.conf"
        self._config.write_text(self._settings(folder))
        self._process: subprocess.Popen[bytes] | None = None

    def _settings(self, folder: Path) -> str:
        return (
            f"listener {self.port} {self.host}\n"
            "allow_anonymous true\n"
            "user root\n"
            "persistence true\n"
            f"persistence_location {folder}/\n"
            "autosave_on_changes true\n"
            "autosave_interval 1\n"
            "max_queued_messages 0\n"
        )

    @staticmethod
    def program() -> str:
        """Where it is installed; without it the test ends here."""
        return needs("mosquitto")

    def start(self) -> None:
        """Starts it, again on the same port; returns when it serves."""
        assert self._process is None
        command = [self.program(), self.option, str(self._config)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        wait_until(self._serves, "the broker")

    def kill(self) -> None:
        """Ends it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(WAIT_S)
        self._process = None

    def stop(self) -> None:
        """Ends it in the planned way, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(WAIT_S)
            self._process = None

    def close(self) -> None:
        """After the last use."""
        self.stop()
        self._log.close()

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the broker ended; see broker.log"
        try:
            with socket.create_connection((self.host, self.port), 1) as asking:
                # The kernel accepts before the broker is ready, and until then it ignores SIGTERM.
                asking.sendall(CONNECT)
                return asking.recv(4) == CONNACK
        except OSError:
            return False


class Gatewayd(Mosquitto):
    """Ours. Its sessions live in memory: a restart forgets a subscriber's queue."""

    option = "--config"

    @staticmethod
    def program() -> str:
        return str(Path(sys.executable).parent / "gatewayd")

    def _settings(self, folder: Path) -> str:
        return (
            f'[gateway]\nname = "box"\naddress = "{self.host}"\nserial_number = "{folder}"\n'
            f'state_dir = "{folder}/state"\ncontrol_socket = "{folder}/control.sock"\n'
            f"[mqtt]\nport = {self.port}\ntls_port = 0\n"
        )


BROKERS = {"gateway": Gatewayd, "mosquitto": Mosquitto}
# For a test whose subscriber must find its queue after a restart of the broker.
keeps_sessions = pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker, of each kind in turn."""
    running = BROKERS[request.param](tmp_path)
    running.start()
    try:
        yield running
    finally:
        running.close()


class Listener:
    """A subscriber with a session that outlives the broker's restart; it keeps what it hears."""

    def __init__(
        self, host: str, port: int, *topic_filters: str, client_id: str = "listener"
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._filters = topic_filters
        self._subscribed = threading.Event()
        self._connected = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False
        )
        self._client.reconnect_delay_set(0.05, 0.2)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self._connected.clear()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, m: self.heard.append((m.topic, m.payload))
        self._client.connect(host, port)
        self._client.loop_start()
        assert self._subscribed.wait(WAIT_S)

    def on(self, topic: str) -> list[bytes]:
        """The payloads heard on one topic, in order."""
        return [payload for heard, payload in list(self.heard) if heard == topic]

    def publish(self, topic: str, payload: bytes | str, retain: bool = False) -> None:
        """Publishes at QoS 1; returns when the broker has it, after a restart of the broker too."""
        assert self._connected.wait(WAIT_S)
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(topic, 1) for topic in self._filters])
        self._connected.set()
