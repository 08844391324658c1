"""What an operator does to a mesh of real gateways while it serves: another key, a gateway less."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import Mesh, People
from tests.chaos.mesh import FOUND_S_MAX, NAMES
from tests.clients.face import Message, Refused
from tests.gateways import Gateway, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("whole_mesh", ["loopback"], indirect=True),
]

DEAD_S_MAX = 4.0
REFUSED_S_MAX = 12.0  # three attempts at the longest back-off


def operator(gateway: Gateway, command: str, /, **arguments: object) -> dict[str, Any]:
    answer = gateway.ask({"command": command, "arguments": arguments})
    assert answer["ok"], answer
    result: dict[str, Any] = answer["result"]
    return result


def refusal(gateway: Gateway, command: str, /, **arguments: object) -> str:
    answer = gateway.ask({"command": command, "arguments": arguments})
    assert not answer["ok"], answer
    return f"{answer['error']}. {answer['remedy']}"


def all_have_it(gateway: Gateway) -> dict[str, Any]:
    """What it shows of keys as soon as it knows that every gateway has the newest."""

    def shown() -> dict[str, Any] | None:
        found = operator(gateway, "cluster key show")
        return None if found["not_yet_at"] else found

    found = wait_until(shown, "all have the new key", FOUND_S_MAX)
    assert found is not None
    return found


def older_keys(gateway: Gateway) -> list[str]:
    found: list[str] = operator(gateway, "cluster key show")["older"]
    return found


def new_key(mesh: Mesh) -> str:
    """Another cluster key on all gateways, and no other; the configurations still have the first."""
    made: str = operator(mesh["gw1"], "cluster key rotate")["key"]
    operator(mesh["gw1"], "cluster key finish")
    for name in NAMES:
        wait_until(lambda: not older_keys(mesh[name]), f"{name} knows", FOUND_S_MAX)  # noqa: B023
    wait_until(mesh.complete, "the links are made anew", FOUND_S_MAX)
    return made


@pytest.fixture
def spare(whole_mesh: Mesh) -> Iterator[Gateway]:
    """A fourth gateway of the same cluster, not started."""
    gateway = whole_mesh.gateway("gw4", whole_mesh.cluster)
    yield gateway
    gateway.close()
    shutil.rmtree(gateway.state_dir)  # the next one has a new card


def test_the_key_is_changed_under_load_and_who_was_away_comes_back(
    mesh: Mesh, people: People
) -> None:
    reader, writer = people.at(mesh["gw1"], "reader"), people.at(mesh["gw2"], "writer")
    reader.subscribe("load/#", 1)
    mesh["gw3"].stop()
    wait_until(lambda: mesh["gw1"].states()["gw3"] == "dead", "gw3 is gone", DEAD_S_MAX + 1)

    made = operator(mesh["gw2"], "cluster key rotate")
    assert made["not_yet_at"] == ["gw3"] and len(made["key"]) == 48
    assert refusal(mesh["gw1"], "cluster key rotate").startswith("the last change of the key")
    assert "not yet at gw3" in refusal(mesh["gw1"], "cluster key finish")
    old = mesh["gw1"].config_path.read_text()
    mesh["gw3"].start()  # with the old key
    wait_until(mesh.complete, "gw3 is back", FOUND_S_MAX)
    for name in NAMES:
        shown = all_have_it(mesh[name])
        assert shown["fingerprint"] == made["fingerprint"] and len(shown["older"]) == 1

    writer.publish([Message("load/1", b"1", 1)])
    finished = operator(mesh["gw1"], "cluster key finish")
    assert finished["not_yet_at"] == []
    for n in range(2, 200):
        writer.publish([Message("load/1", b"%d" % n, 1)])
    assert [int(reader.inbox.next().payload) for _ in range(1, 200)] == list(range(1, 200))
    wait_until(mesh.complete, "the links are made anew", FOUND_S_MAX)
    for name in NAMES:
        wait_until(lambda: not older_keys(mesh[name]), f"{name} knows", FOUND_S_MAX)  # noqa: B023
        assert operator(mesh[name], "cluster key show")["fingerprint"] == made["fingerprint"]
        log = mesh[name].log()
        assert made["key"] not in log and mesh.cluster.key not in log
    assert mesh["gw1"].config_path.read_text() == old

    mesh["gw2"].stop()  # its configuration has the old key, its disk the new one
    mesh["gw2"].start()
    wait_until(mesh.complete, "gw2 is back", FOUND_S_MAX)


def test_a_card_from_before_stays_out_until_it_has_the_new_key_and_another_store(
    mesh: Mesh, people: People, spare: Gateway
) -> None:
    key = new_key(mesh)
    spare.start()  # it has the first key
    wait_until(lambda: "key that is over" in mesh["gw1"].problems(), "it is told", REFUSED_S_MAX)
    wait_until(lambda: "cluster key" in spare.problems(), "it is told there, too", REFUSED_S_MAX)
    assert "write the newest into cluster.key there" in mesh["gw1"].problems()
    assert "give both the mesh's newest cluster.key" in spare.problems()
    assert "gw4" not in mesh["gw1"].states()
    spare.stop()
    spare.cluster = replace(mesh.cluster, key=key)
    spare.start()
    for name in NAMES:
        wait_until(lambda: mesh[name].states().get("gw4") == "alive", "it is a member", FOUND_S_MAX)  # noqa: B023
    assert "gw4 is alive" in refusal(mesh["gw2"], "forget", gateway="gw4")
    people.at(spare, "writer").publish([Message("old/here", b"1", 1, retain=True)])
    spare.stop()
    wait_until(lambda: mesh["gw2"].states()["gw4"] == "dead", "gw4 is gone", DEAD_S_MAX + 1)
    people.at(mesh["gw1"], "cleaner").publish([Message("old/here", b"", 1, retain=True)])
    assert operator(mesh["gw2"], "forget", gateway="gw4")["not_yet_at"] == []
    for name in NAMES:
        assert "gw4" not in mesh[name].states() and "gw4" not in mesh[name].problems()

    spare.start()
    wait_until(lambda: "rejoin" in spare.problems(), "it is told", REFUSED_S_MAX)
    wait_until(lambda: "rejoin" in mesh["gw1"].problems(), "it is told here, too", REFUSED_S_MAX)
    wait_until(lambda: "ALONE since" in spare.problems(), "it knows that it is", REFUSED_S_MAX)
    assert spare.status()["health"] == "degraded"
    assert "gw4" not in mesh["gw1"].states()
    assert operator(mesh["gw1"], "retained", filter="old/#")["retained"] == []
    assert "--force has it begin anew" in refusal(mesh["gw1"], "cluster rejoin")
    said = operator(spare, "cluster rejoin")
    assert "is set aside" in said["done"]
    wait_until(lambda: not spare.running(), "it ends", REFUSED_S_MAX)
    spare.start()  # as systemd does
    wait_until(lambda: mesh["gw1"].states().get("gw4") == "alive", "it is back", FOUND_S_MAX)
    assert (spare.state_dir / "left-1" / "state.db").exists()
    assert operator(mesh["gw1"], "retained", filter="old/#")["retained"] == []
    spare.stop()
    wait_until(lambda: mesh["gw1"].states()["gw4"] == "dead", "gw4 is gone", DEAD_S_MAX + 1)
    operator(mesh["gw1"], "forget", gateway="gw4")


def gwctl(gateway: Gateway, *words: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).parent / "gwctl"
    command = [str(program), *words, "--socket", str(gateway.control_socket)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_one_gateway_at_a_time_is_drained_and_its_clients_go_elsewhere(
    mesh: Mesh, people: People
) -> None:
    def safe(name: str) -> list[str]:
        found: list[str] = mesh[name].status()["safe_to_unplug"]
        return found

    wait_until(lambda: safe("gw1") == list(NAMES), "each may be unplugged", FOUND_S_MAX)
    clients = [people.at(mesh["gw1"], f"client-{n}") for n in range(30)]
    first = gwctl(mesh["gw1"], "drain")
    said, _ = first.communicate(timeout=20)
    assert first.returncode == 0 and "no client is left" in said.splitlines()[-1]
    assert {client.inbox.closed().reason for client in clients} == {0x9C}
    with pytest.raises(Refused):
        people.at(mesh["gw1"], "late")
    people.at(mesh["gw2"], "client-0")
    assert safe("gw2") == safe("gw1") == ["gw1"]
    assert "gw1 is out of service" in mesh["gw3"].problems()

    second = gwctl(mesh["gw2"], "drain")
    assert second.stdout is not None
    assert second.stdout.readline() == "waits for gw1 (drain)\n"
    assert operator(mesh["gw1"], "undrain")["done"] == "clients may come in again"
    said, _ = second.communicate(timeout=20)
    assert "no client is left" in said
    people.at(mesh["gw1"], "late")

    third = gwctl(mesh["gw3"], "drain")
    assert third.stdout is not None
    assert third.stdout.readline() == "waits for gw2 (drain)\n"
    third.send_signal(signal.SIGINT)
    third.communicate(timeout=20)
    assert third.returncode == 0
    operator(mesh["gw2"], "undrain")
    wait_until(lambda: safe("gw1") == list(NAMES), "nobody is out of service", FOUND_S_MAX)
