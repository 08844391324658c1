"""A client with a persistent session goes round three real gateways, one of which may lose its disk."""

import itertools
import shutil
import socket
import threading
import time

import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.chaos.conftest import Mesh, People
from tests.chaos.mesh import NAMES
from tests.clients.face import ANSWER_S_MAX, Message
from tests.clients.paho_driver import PahoClient
from tests.gateways import Gateway, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("whole_mesh", ["lan"], indirect=True)]

MOVES = 20
EACH = 1_000  # messages of one publisher at one QoS
BURST = 20


class Rover:
    """One paho client, and so one memory of what it has, over all of its connections."""

    def __init__(self) -> None:
        self.came: dict[str, list[int]] = {}
        self.present: list[bool] = []
        self._there = threading.Event()
        self._thread: threading.Thread | None = None
        self._paho = paho = Paho(
            *(CallbackAPIVersion.VERSION2, "rover", False), reconnect_on_failure=False
        )
        paho.on_connect = self._on_connect
        paho.on_subscribe = lambda *_: self._there.set()
        paho.on_message = self._on_message

    def go(self, gateway: Gateway) -> None:
        """Is gone from where it was without a word, and connects at this gateway."""
        self.leave()
        self._there.clear()
        self._paho.connect(gateway.host, gateway.port)
        # not paho's own thread: each start of that leaves two sockets behind
        self._thread = threading.Thread(target=self._paho.loop_forever)
        self._thread.start()
        assert self._there.wait(ANSWER_S_MAX), f"no CONNACK from {gateway.name}"

    def subscribe(self, topic_filter: str) -> None:
        self._there.clear()
        self._paho.subscribe(topic_filter, 2)
        assert self._there.wait(ANSWER_S_MAX)

    def leave(self) -> None:
        connection = self._paho.socket()
        if isinstance(connection, socket.socket):
            connection.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join()

    def _on_connect(self, _paho, _data, flags, reason, _properties) -> None:  # type: ignore[no-untyped-def]
        assert reason.value == 0
        self.present.append(flags.session_present)
        self._there.set()

    def _on_message(self, _paho: Paho, _data: object, message: MQTTMessage) -> None:
        self.came.setdefault(message.topic, []).append(int(message.payload))


def publish_all(client: PahoClient, name: str) -> None:
    """In bursts, so that it goes on for as long as the other roams."""
    for first in range(0, EACH, BURST):
        for qos in (1, 2):
            numbers = range(first, first + BURST)
            client.publish([Message(f"roam/{name}/{qos}", b"%d" % n, qos) for n in numbers])
        time.sleep(0.05)


def test_a_client_that_roams_gets_all_in_order_and_qos_2_once(mesh: Mesh, people: People) -> None:
    rover = Rover()
    doors = itertools.cycle(NAMES)
    rover.go(mesh[next(doors)])
    rover.subscribe("roam/#")
    publishers = [
        threading.Thread(target=publish_all, args=(people.at(mesh[at], f"p-{at}"), at))
        for at in ("gw1", "gw2")
    ]
    for publisher in publishers:
        publisher.start()
    for _ in range(MOVES):
        time.sleep(0.15)
        rover.go(mesh[next(doors)])
    for publisher in publishers:
        publisher.join()
    topics = [f"roam/{at}/{qos}" for at in ("gw1", "gw2") for qos in (1, 2)]

    def is_all_there() -> bool:
        return all(set(rover.came.get(topic, ())) >= set(range(EACH)) for topic in topics)

    wait_until(is_all_there, "all messages at the client that roams", 20)
    rover.leave()
    assert rover.present == [False] + [True] * MOVES
    for topic in topics:
        came = rover.came[topic]
        first_times = list(dict.fromkeys(came))
        assert first_times == list(range(EACH)), f"{topic} is out of order"
        if topic.endswith("2"):
            assert came == first_times, f"{topic} came twice"


@pytest.mark.parametrize("at_stand_in", [True, False])
def test_a_client_finds_all_elsewhere_when_the_disk_of_its_gateway_is_destroyed(
    mesh: Mesh, people: People, at_stand_in: bool
) -> None:
    keeper = mesh.stand_in_of("gw1")
    third = next(each for name, each in mesh.gateways.items() if name != "gw1" and each != keeper)
    rover = Rover()
    rover.go(mesh["gw1"])
    rover.subscribe("roam/#")
    rover.leave()
    for qos in (1, 2):
        writer = people.at(third, f"writer-{qos}")
        writer.publish([Message(f"roam/{qos}", b"%d" % n, qos) for n in range(EACH)])
    mesh.stand_in_of("gw1")
    mesh["gw1"].kill()
    shutil.rmtree(mesh["gw1"].state_dir)
    rover.go(keeper if at_stand_in else third)

    def is_all_there() -> bool:
        return all(len(rover.came.get(f"roam/{qos}", ())) >= EACH for qos in (1, 2))

    wait_until(is_all_there, "all that was acknowledged", 4.0)
    rover.leave()
    assert rover.present[-1]
    assert rover.came == {f"roam/{qos}": list(range(EACH)) for qos in (1, 2)}


def test_what_is_published_for_a_session_whose_gateway_is_destroyed_is_there_when_its_client_comes(
    mesh: Mesh, people: People
) -> None:
    keeper = mesh.stand_in_of("gw1")
    third = next(each for name, each in mesh.gateways.items() if name != "gw1" and each != keeper)
    rover = Rover()
    rover.go(mesh["gw1"])
    rover.subscribe("roam/#")
    rover.leave()
    writers = {qos: people.at(third, f"writer-{qos}") for qos in (1, 2)}

    def write(first: int, end: int) -> None:
        for qos, writer in writers.items():
            writer.publish([Message(f"roam/{qos}", b"%d" % n, qos) for n in range(first, end)])

    write(0, EACH // 2)
    mesh.stand_in_of("gw1")
    mesh["gw1"].kill()
    shutil.rmtree(mesh["gw1"].state_dir)
    write(EACH // 2, EACH * 3 // 4)
    for each in (keeper, third):
        wait_until(lambda: each.states()["gw1"] == "dead", "gw1 is dead", 6)  # noqa: B023
    write(EACH * 3 // 4, EACH)
    rover.go(keeper)

    def is_all_there() -> bool:
        return all(len(rover.came.get(f"roam/{qos}", ())) >= EACH for qos in (1, 2))

    wait_until(is_all_there, "all that was acknowledged", 10)
    rover.leave()
    assert rover.present[-1]
    assert rover.came == {f"roam/{qos}": list(range(EACH)) for qos in (1, 2)}
