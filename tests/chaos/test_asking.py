"""Whoever asks at one gateway is answered by all: listings, a client sent away, a trace."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from gateway.limits import QUESTION_TIMEOUT_S
from tests.chaos.conftest import Mesh, People
from tests.chaos.mesh import NAMES
from tests.clients.face import Message
from tests.gateways import Gateway, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("whole_mesh", ["lan"], indirect=True),
]
WAIT_S = 20


def gwctl(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.ctl.main", *words],
        env={"GWCTL_SOCKET": str(gateway.control_socket)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def document(gateway: Gateway, *words: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(gwctl(gateway, *words, "--json").stdout)
    return said


def where(listing: dict[str, Any], rows: str) -> dict[str, str]:
    return {row["client"]: row["gateway"] for row in listing[rows]}


def test_listings_show_the_clients_of_all_gateways(mesh: Mesh, people: People) -> None:
    for name in NAMES:
        people.at(mesh[name], f"at-{name}")
    for name in NAMES:
        for rows in ("clients", "sessions"):
            listing = document(mesh[name], rows, "--mesh")
            assert where(listing, rows) == {f"at-{each}": each for each in NAMES}
            assert (listing["total"], listing["missing"]) == (3, [])
    ran = gwctl(mesh["gw2"], "clients", "--mesh", "--limit", "1")
    assert ran.returncode == 0
    assert "at-gw1 gw1" in ran.stdout and "1 of 3" in ran.stdout


def test_a_gateway_that_does_not_answer_is_named_in_time(mesh: Mesh, people: People) -> None:
    people.at(mesh["gw2"], "at-gw2")
    with mesh["gw3"].frozen():
        began = time.monotonic()
        ran = gwctl(mesh["gw1"], "clients", "--mesh")
        assert time.monotonic() - began < QUESTION_TIMEOUT_S + 3  # of which gwctl's own start
        assert ran.returncode == 1
        assert "at-gw2 gw2" in ran.stdout and "without gw3: it did not answer" in ran.stdout
    mesh.settle()
    mesh["gw3"].kill()
    wait_until(lambda: mesh["gw1"].states()["gw3"] == "dead", "gw3 is dead", 6)
    listing = document(mesh["gw1"], "clients", "--mesh")
    assert listing["missing"] == [{"gateway": "gw3", "why": "it is dead"}]


def test_a_client_is_found_and_sent_away_from_any_gateway(mesh: Mesh, people: People) -> None:
    roaming = people.at(mesh["gw3"], "roaming")
    roaming.subscribe("t", 1)
    for name in NAMES:
        found = document(mesh[name], "client", "roaming")
        assert (found["gateway"], found["connected"], found["also_at"]) == ("gw3", True, [])
        assert [each["filter"] for each in found["subscriptions"]] == ["t"]
    ran = gwctl(mesh["gw1"], "kick", "roaming")
    assert ran.stdout == "roaming was disconnected at gw3; its session is kept as it asked for\n"
    assert "the operator at gw1 disconnects it" in mesh["gw3"].log()
    again = gwctl(mesh["gw1"], "kick", "roaming")
    assert again.returncode == 1 and "no such client is connected" in again.stderr
    assert gwctl(mesh["gw1"], "client", "nobody").returncode == 1


def test_a_trace_shows_each_message_once_whatever_gateway_took_it(
    mesh: Mesh, people: People
) -> None:
    writers = {name: people.at(mesh[name], f"writer-{name}") for name in NAMES}
    readers = [people.at(mesh[name], f"reader-{name}") for name in NAMES]
    for reader in readers:
        reader.subscribe("traced/#", 2)
    words = ("trace", "traced/#", "--mesh", "--json", "-n", "9")
    watching = subprocess.Popen(
        [sys.executable, "-m", "gateway.ctl.main", *words],
        env={"GWCTL_SOCKET": str(mesh["gw2"].control_socket)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for name in NAMES:
            wait_until(lambda: traces(mesh[name]), f"{name} is watched", WAIT_S)  # noqa: B023
        for name, writer in writers.items():
            writer.publish([Message(f"traced/{name}", b"%d" % qos, qos) for qos in (0, 1, 2)])
        said, _ = watching.communicate(timeout=WAIT_S)
    finally:
        watching.kill()
    lines = [json.loads(line) for line in said.splitlines()]
    assert {(line["gateway"], line["client"], line["topic"], line["qos"]) for line in lines} == {
        (name, f"writer-{name}", f"traced/{name}", qos) for name in NAMES for qos in (0, 1, 2)
    }
    for name in NAMES:
        wait_until(lambda: not traces(mesh[name]), f"{name} is not watched", WAIT_S)  # noqa: B023


def traces(gateway: Gateway) -> bool:
    """Whether somebody watches there."""
    return "runs gwctl trace" in gateway.problems()
