"""Cards that were copied or replaced, in real gateways with real state directories."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients.face import Login, Message, Version
from tests.clients.paho_driver import PahoDriver
from tests.gateways import ClusterOptions, Gateway, free_port, loopback_addresses, wait_until

pytestmark = pytest.mark.slow

SEEN_S_MAX = 12.0  # three attempts at the longest back-off
Make = Callable[..., Gateway]


@pytest.fixture
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes gateways that dial the first one; without mDNS, which has nothing to do with it."""
    directory = tmp_path_factory.mktemp("c")
    port = free_port()
    addresses = loopback_addresses(4)
    made: list[Gateway] = []

    def gateway(name: str, serial: str, folder: str = "") -> Gateway:
        peers = (f"{addresses[0]}:{port}",) if made else ()
        cluster = ClusterOptions(link_port=port, discovery=False, peers=peers)
        place = (addresses[len(made)], directory / (folder or name))
        made.append(
            Gateway(
                name,
                *place,
                cluster,
                mqtt={"allow_anonymous": "everywhere"},
                gateway={"serial_number": serial},
            )
        )
        return made[-1]

    yield gateway
    for each in made:
        each.close()


def row(asked: Gateway, name: str) -> dict[str, object]:
    return next(row for row in asked.status()["gateways"] if row["name"] == name)


def leave_a_message(gateway: Gateway) -> None:
    """A session that is kept, with a message in its queue."""
    driver = PahoDriver()
    away = driver.client(gateway.host, gateway.port, Version.MQTT311)
    away.connect(Login(client_id="away", clean=False))
    away.subscribe("t", 1)
    away.disconnect()
    writer = driver.client(gateway.host, gateway.port, Version.MQTT311)
    writer.connect(Login(client_id="writer"))
    writer.publish([Message("t", b"kept", 1)])
    driver.close()


def sessions(gateway: Gateway) -> list[str]:
    answer = gateway.ask({"command": "sessions"})
    return [each["client"] for each in answer["result"]["sessions"]]


def copied(source: Gateway, target: Gateway) -> None:
    shutil.copytree(source.state_dir, target.state_dir)


def test_a_copied_card_in_another_box_begins_anew_and_says_so(make: Make) -> None:
    first = make("gw1", "box-1").start()
    leave_a_message(first)
    assert sessions(first) == ["away"]
    first.stop()
    copy = make("gw2", "box-2")
    copied(first, copy)
    first.start()
    copy.start()
    assert sessions(first) == ["away"] and sessions(copy) == []
    aside = [path.name for path in copy.state_dir.iterdir() if ".foreign-" in path.name]
    assert len([name for name in aside if name.startswith(("state.db", "broker.db"))]) >= 2
    assert "was made on another box: set aside" in copy.problems()
    wait_until(lambda: copy.states().get("gw1") == "alive", "both are members", SEEN_S_MAX)
    assert row(first, "gw1")["id"] != row(first, "gw2")["id"]
    copy.stop()
    copy.start()
    assert "another box" not in copy.problems()


def test_a_new_card_in_the_same_box_is_the_same_gateway_with_another_store(make: Make) -> None:
    first, second = make("gw1", "box-1").start(), make("gw2", "box-2").start()
    wait_until(lambda: first.states().get("gw2") == "alive", "both are members", SEEN_S_MAX)
    before = row(first, "gw2")["id"]
    leave_a_message(second)
    second.kill()
    shutil.rmtree(second.state_dir)
    second.start()
    wait_until(lambda: first.states() == {"gw1": "alive", "gw2": "alive"}, "it is back", SEEN_S_MAX)
    assert row(first, "gw2")["id"] == before
    assert sessions(second) == []
    driver = PahoDriver()
    reader = driver.client(second.host, second.port, Version.MQTT311)
    reader.connect(Login(client_id="reader"))
    reader.subscribe("t", 1)
    writer = driver.client(first.host, first.port, Version.MQTT311)
    writer.connect(Login(client_id="writer"))
    writer.publish([Message("t", b"new", 1)])
    assert reader.inbox.next().payload == b"new"
    driver.close()


def test_two_live_boxes_with_one_identity_are_told_at_both_and_the_later_stays_out(
    make: Make,
) -> None:
    first, second = make("gw1", "box-1").start(), make("gw2", "box-2").start()
    wait_until(lambda: first.states().get("gw2") == "alive", "both are members", SEEN_S_MAX)
    twin = make("gw3", "box-2")  # somebody copied the serial number, too
    copied(second, twin)
    twin.start()
    wait_until(lambda: "one card is a copy" in twin.problems(), "it is told", SEEN_S_MAX)
    wait_until(lambda: "one card is a copy" in first.problems(), "the others are", SEEN_S_MAX)
    assert "gw3" not in first.states() and first.states()["gw2"] == "alive"
    assert twin.states().get("gw1") != "alive"


def test_addresses_are_needed_once_and_a_gateway_that_is_alone_says_so(make: Make) -> None:
    """They are kept, and told to third ones: after the first meeting nobody is told of anybody."""
    first, second, third = (make(f"gw{n}", f"box-{n}") for n in (1, 2, 3))
    for gateway in (first, second, third):
        gateway.start()
    wait_until(lambda: third.states().get("gw2") == "alive", "they heard of each other", SEEN_S_MAX)
    for gateway in (first, second, third):
        gateway.stop()
        assert gateway.cluster is not None
        gateway.cluster = replace(gateway.cluster, peers=(), expected_gateways=3)
    second.start()
    wait_until(lambda: "ALONE since" in second.problems(), "it knows of others", SEEN_S_MAX)
    words = ["status", "--socket", str(second.control_socket)]
    gwctl = [Path(sys.executable).parent / "gwctl", *words]
    shown = subprocess.run(gwctl, capture_output=True, text=True, timeout=10, check=False)
    assert shown.returncode == 1
    assert "1 of 3 expected gateways are here" in shown.stdout and "ALONE since" in shown.stdout
    third.start()
    wait_until(lambda: second.states().get("gw3") == "alive", "they dial each other", SEEN_S_MAX)
    wait_until(lambda: third.states().get("gw2") == "alive", "they dial each other", SEEN_S_MAX)
    assert "2 of 3 expected gateways are here" in second.problems()
    assert "ALONE" not in second.problems()
