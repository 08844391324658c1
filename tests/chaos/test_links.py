"""Links of real gateways on a network that fails in part, for a moment, or is slow.

Two that do not reach each other, or one way only, while a third hears both; an outage that is shorter
than a death; six megabytes on 10 Mbit/s.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.conftest import Mesh, People
from tests.chaos.mesh import FOUND_S_MAX, NAMES
from tests.chaos.test_roaming import Rover
from tests.clients.face import Message
from tests.clients.paho_driver import PahoClient
from tests.gateways import Gateway, wait_until
from tests.requires import needs

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("whole_mesh", ["lan"], indirect=True)]

ROAD_S_MAX = 7.0  # silent for 3 s, some tries, TLS is not in it
OUTAGE_S = 1.9  # with what iptables takes it is two
BURST = 10
BIG = 600  # messages of 10 kB
END = b"end"


class Stream(threading.Thread):
    """A client at gw1 that publishes numbers at each QoS, in bursts, until it is told to end."""

    def __init__(self, client: PahoClient, name: str) -> None:
        super().__init__()
        self.count = 0
        self._client = client
        self._name = name
        self._ends = threading.Event()

    def run(self) -> None:
        while not self._ends.wait(0.05):
            numbers = range(self.count, self.count + BURST)
            for qos in (0, 1, 2):
                self._client.publish(
                    [Message(f"{self._name}/{qos}", b"%d" % n, qos) for n in numbers]
                )
            self.count += BURST

    def end(self) -> None:
        self._ends.set()
        self.join()
        # QoS 2, for what is of QoS 2 is seen after what was published behind it otherwise
        self._client.publish([Message(f"{self._name}/end", END, 2)])

    def is_whole_at(self, reader: PahoClient) -> None:
        """All came, once and in order, at a client that is subscribed to all of it."""
        came: dict[str, list[int]] = {f"{self._name}/{qos}": [] for qos in (0, 1, 2)}
        for message in reader.inbox.until(END):
            came[message.topic].append(int(message.payload))
        for topic, numbers in came.items():
            missing = set(range(self.count)) - set(numbers)
            assert not missing, f"{topic} lacks {sorted(missing)[:10]}, {len(missing)} in all"
            assert numbers == list(range(self.count)), f"{topic} came twice, or not in order"


@contextmanager
def cut(mesh: Mesh, one_way: bool) -> Iterator[None]:
    """gw2 does not hear gw1, and if it is not `one_way`, gw1 does not hear gw2."""
    assert mesh.lan is not None
    mesh.lan.deafen("gw2", mesh["gw1"].host)
    if not one_way:
        mesh.lan.deafen("gw1", mesh["gw2"].host)
    try:
        yield
    finally:
        mesh.lan.hear("gw1")
        mesh.lan.hear("gw2")


def over(mesh: Mesh, name: str, other: str) -> str:
    """By which gateway one reaches another, as its status says."""
    rows = {row["name"]: row for row in mesh[name].status()["gateways"]}
    assert rows[other]["state"] != "dead", f"{name} takes {other} for dead"
    return str(rows[other]["over"])


def is_round(mesh: Mesh, relay: str) -> bool:
    """Whether gw1 and gw2 are linked, over this one, or, if it is empty, directly."""
    return mesh.complete() and over(mesh, "gw1", "gw2") == over(mesh, "gw2", "gw1") == relay


def said_since(mesh: Mesh, marks: dict[str, int]) -> str:
    """What all logs have beyond these lengths."""
    return "\n".join(gateway.log()[marks[name] :] for name, gateway in mesh.gateways.items())


def test_an_outage_of_two_seconds_makes_nobody_dead(mesh: Mesh, people: People) -> None:
    """TCP alone would be silent for four. It comes first: nothing is being dialled."""
    needs("iptables")
    assert mesh.lan is not None
    reader = people.at(mesh["gw2"], "reader")
    reader.subscribe("outage/#", 2)
    others = [mesh[name].host for name in ("gw1", "gw3")]
    stream = Stream(people.at(mesh["gw1"], "writer"), "outage")
    stream.start()
    marks = {name: len(gateway.log()) for name, gateway in mesh.gateways.items()}
    mesh.lan.deafen("gw2", *others)
    for name in ("gw1", "gw3"):
        mesh.lan.deafen(name, mesh["gw2"].host)
    time.sleep(OUTAGE_S)
    for name in NAMES:
        mesh.lan.hear(name)
    wait_until(mesh.complete, "the mesh is whole", FOUND_S_MAX)
    stream.end()
    stream.is_whole_at(reader)
    assert "is dead" not in said_since(mesh, marks)


@pytest.mark.parametrize("one_way", [False, True])
def test_what_two_have_to_tell_each_other_goes_over_the_third(
    mesh: Mesh, people: People, one_way: bool
) -> None:
    needs("iptables")
    name = "one-way" if one_way else "cut"
    reader = people.at(mesh["gw2"], "reader")
    reader.subscribe(f"{name}/#", 2)
    rover = Rover()
    rover.go(mesh["gw1"])
    topics = [f"{name}/1", f"{name}/2"]
    for topic in topics:
        rover.subscribe(topic)
    roles = {name: mesh.stand_in_of(name).name for name in NAMES}
    stream = Stream(people.at(mesh["gw1"], "writer"), name)
    stream.start()
    with cut(mesh, one_way):
        cut_at = time.monotonic()
        wait_until(lambda: is_round(mesh, "gw3"), "a road over gw3", ROAD_S_MAX)
        print(f"\nlinked over gw3 {time.monotonic() - cut_at:.1f} s after the cut")
        assert "reached over gw3" in mesh["gw1"].problems()
        for each in ("gw2", "gw1", "gw3", "gw2"):
            rover.go(mesh[each])
            time.sleep(0.3)
        seen = people.at(mesh["gw2"], "late")
        seen.subscribe("new/#", 1)
        people.at(mesh["gw1"], "early").publish([Message("new/x", b"1", 1)])
        assert seen.inbox.next().payload == b"1", "SUBACK counts over the road, too"
    wait_until(lambda: is_round(mesh, ""), "a link of their own", FOUND_S_MAX)
    time.sleep(0.3)
    stream.end()
    stream.is_whole_at(reader)
    numbers = list(range(stream.count))

    def is_all_there() -> bool:
        return all(set(rover.came.get(topic, ())) >= set(numbers) for topic in topics)

    wait_until(is_all_there, "all messages at the client that roams", 10)
    rover.leave()
    assert rover.present[1:] == [True] * 4
    assert rover.came[topics[1]] == numbers
    assert list(dict.fromkeys(rover.came[topics[0]])) == numbers
    after = {name: mesh.stand_in_of(name).name for name in NAMES}
    assert after == roles, "no role changes for a cut with a road around it"


def test_six_megabytes_on_ten_megabits_make_nobody_suspect(mesh: Mesh, people: People) -> None:
    needs("tc")
    assert mesh.lan is not None
    writer = people.at(mesh["gw1"], "writer")
    mesh["gw2"].stop()
    for first in range(0, BIG, 50):
        numbers = range(first, first + 50)
        writer.publish([Message(f"big/{n}", bytes(10_000), 1, retain=True) for n in numbers])
    mesh.lan.slow("gw2", "10mbit")
    try:
        mesh["gw2"].start()
        wait_until(mesh.complete, "gw2 is alive again", FOUND_S_MAX)
        marks = {name: len(gateway.log()) for name, gateway in mesh.gateways.items()}
        began_at = time.monotonic()
        wait_until(lambda: retained(mesh["gw2"]) >= BIG, "all retained messages at gw2", 30)
        took_s = time.monotonic() - began_at
        mesh.stand_in_of("gw2")
        print(f"\n6 MB within {took_s:.1f} s, two copies after {time.monotonic() - began_at:.1f} s")
        assert took_s > 4, "the network was slow: longer than a gateway may be silent"
        said = said_since(mesh, marks)
        assert "suspect" not in said and "is dead" not in said
    finally:
        mesh.lan.fast("gw2")


def retained(gateway: Gateway) -> int:
    """How many topics have a retained message there."""
    return int(gateway.status()["broker"]["retained"])
