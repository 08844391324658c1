"""Clients of numbered messages that are other people's libraries, as their users would write them.

The same face as `numbers.py`: a publisher has `number` and `acknowledged`, a subscriber `came`. paho
keeps one memory over all connections, so that it says the same packets again.
"""

import itertools
import socket
import threading
import time
from random import Random

from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTTMessage, error_string
from paho.mqtt.client import Client as Paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.numbered.peer import RETRY_S, Address, Habits

LOOP_S = 0.02
KEEP_ALIVE_S = 2  # a gateway from which nothing comes is left after twice that at most


class _PahoPeer:
    """One paho client that goes from gateway to gateway, on a thread of its own.

    `begin` is called when a CONNACK came, `idle` when there is time to say something.
    """

    def __init__(
        self, address: Address, client_id: str, habits: Habits, roams: Random | None = None
    ) -> None:
        self.client_id = client_id
        self.address = address
        self.connections = self.moves = self.lost_sessions = self.refused = 0
        self.path: list[str] = []  # where it was served, and why it left
        self.problem = ""
        self.paho = Paho(
            *(CallbackAPIVersion.VERSION2, client_id, False), reconnect_on_failure=False
        )
        self.paho.connect_timeout = habits.patience_s
        self.paho.on_connect = self._on_connect
        self._habits = habits
        self._roams = roams
        self._doors = itertools.cycle((*habits.others, address))
        self._connected = False
        self._move_at = 0.0
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def start(self) -> None:
        self._wanted.set()
        self._thread.start()

    def end(self) -> None:
        self._wanted.clear()
        self._thread.join(20)
        assert not self._thread.is_alive(), self.client_id
        assert not self.problem, f"{self.client_id}: {self.problem}"

    def begin(self, present: bool) -> None:
        """Connected; paho says again what was not acknowledged."""

    def idle(self) -> None:
        """Nothing came for a moment, or something was handled."""

    def _live(self) -> None:
        pause = threading.Event()
        while self._wanted.is_set():
            try:
                self._connected, self._move_at = False, float("inf")
                self.paho.connect(*self.address, keepalive=KEEP_ALIVE_S)
                self._stay()
            except AssertionError as error:
                self.problem = repr(error)
                return
            except OSError as error:
                self.path.append(f"{time.monotonic():.3f} {error!r}")
                pause.wait(RETRY_S)
            self.address = next(self._doors)

    def _stay(self) -> None:
        """Until the connection ends, or is left without a word."""
        while self._wanted.is_set() and time.monotonic() < self._move_at:
            if (code := self.paho.loop(LOOP_S)) != MQTT_ERR_SUCCESS:
                self.path.append(f"{time.monotonic():.3f} {error_string(code)}")
                return
            if self._connected:
                self.idle()
        self.moves += self._wanted.is_set()
        connection = self.paho.socket()
        if isinstance(connection, socket.socket):
            connection.shutdown(socket.SHUT_RDWR)
        while self.paho.loop(LOOP_S) == MQTT_ERR_SUCCESS:  # until it has seen that
            pass

    def _on_connect(self, _paho, _data, flags, reason, _properties) -> None:  # type: ignore[no-untyped-def]
        if reason.is_failure:
            self.refused += 1
            return
        self.connections += 1
        there = "" if flags.session_present else ", no session"
        self.path.append(f"{time.monotonic():.3f} at {self.address[0]}{there}")
        if self.connections > 1 and not flags.session_present:
            self.lost_sessions += 1
        self._connected = True
        if self._roams is not None:
            self._move_at = time.monotonic() + self._roams.uniform(*self._habits.stay_s)
        self.begin(flags.session_present)


class PahoPublisher(_PahoPeer):
    """Publishes 1, 2, 3, ... until `number_max`; what was not answered paho says again."""

    def __init__(
        self,
        address: Address,
        client_id: str,
        qos: int,
        below: str,
        habits: Habits,
        window: int = 20,
    ) -> None:
        super().__init__(address, client_id, habits)
        self.paho.on_publish = self._on_publish
        self.qos = qos
        self.window = window
        self.topic = f"{below}/{qos}/{client_id}"
        self.number = self.number_max = 0
        self.acknowledged: list[int] = []
        self._open: dict[int, int] = {}  # message id: number

    def is_answered(self) -> bool:
        return not self._open

    def idle(self) -> None:
        while self.number < self.number_max and len(self._open) < self.window:
            self.number += 1
            said = self.paho.publish(self.topic, b"%d" % self.number, self.qos)
            self._open[said.mid] = self.number

    def _on_publish(self, _paho, _data, mid, _reason, _properties) -> None:  # type: ignore[no-untyped-def]
        if mid in self._open:
            self.acknowledged.append(self._open.pop(mid))


class PahoSubscriber(_PahoPeer):
    """`came` is, by topic, every number in the order of its delivery; paho knows QoS 2 it has had."""

    def __init__(
        self,
        address: Address,
        client_id: str,
        qos: int,
        topic_filter: str,
        habits: Habits,
        roams: Random | None = None,
    ) -> None:
        super().__init__(address, client_id, habits, roams)
        self.paho.on_message = self._on_message
        self.paho.on_subscribe = self._on_subscribe
        self.qos = qos
        self.topic_filter = topic_filter
        self.came: dict[str, list[int]] = {}
        self.subscribed = False

    def begin(self, present: bool) -> None:
        if not present:
            self.paho.subscribe(self.topic_filter, self.qos)

    def _on_subscribe(self, *_: object) -> None:
        self.subscribed = True

    def _on_message(self, _paho: Paho, _data: object, message: MQTTMessage) -> None:
        self.came.setdefault(message.topic, []).append(int(message.payload))
