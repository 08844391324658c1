"""Gateways as they are flashed: three twins, each with its own installer's file, on one LAN."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.image.installer import InstallerFile, Operator
from tests.image.site import Site, Twin
from tests.image.waiting import wait_until
from tests.requires import needs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MESH_S = 20.0  # from `running` to one mesh, as it is promised
DEAD_S = 15.0
COPIES_S = 60.0  # until each store has its second copy, and the status says so
MISTAKE = '[gateway]\nname = "gw five"\n'
# What may listen: SSH, MQTT, the mesh's links, mDNS.
PORTS = {("tcp", 22), ("tcp", 1883), ("tcp", 7883), ("tcp", 8883), ("udp", 5353)}


def new_twin(site: Site, operator: Operator, number: int, **other: str) -> Twin:
    file = InstallerFile(
        f"gw{number}", operator.public_key, "host0", f"10.77.0.{number}/24", **other
    )
    return site.add(file)


class View:
    """The mesh as one gateway shows it to the operator."""

    def __init__(self, site: Site, operator: Operator, twin: Twin) -> None:
        self._site, self._operator, self._twin = site, operator, twin

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._site.run(*self._operator.ssh(self._twin.address), *words)

    def status(self) -> dict[str, Any]:
        """Empty while the gateway does not answer."""
        answer = self.ask("gwctl", "status", "--json").stdout
        return json.loads(answer) if answer.startswith("{") else {}

    def states(self) -> dict[str, str]:
        return {gateway["name"]: gateway["state"] for gateway in self.status().get("gateways", [])}

    def wait_for(self, states: dict[str, str], within_s: float) -> float:
        return wait_until(lambda: self.states() == states, within_s, f"{states}", self.story)

    def healthy(self) -> subprocess.CompletedProcess[str]:
        """What the operator sees when nothing is wrong any more: two copies take a moment."""
        answers: list[subprocess.CompletedProcess[str]] = []

        def is_healthy() -> bool:
            answers.append(self.ask("gwctl", "status"))
            return answers[-1].returncode == 0

        wait_until(is_healthy, COPIES_S, "nothing is wrong", self.story)
        return answers[-1]

    def story(self) -> str:
        return f"{self._twin.story()}\n{self.ask('gwctl', 'status')}"


@pytest.fixture(scope="module")
def twins(site: Site, operator: Operator) -> list[Twin]:
    """Three of them, running."""
    twins = [new_twin(site, operator, number) for number in (1, 2, 3)]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.wait_for_running()
    return twins


@pytest.fixture(scope="module")
def mesh(site: Site, operator: Operator, twins: list[Twin]) -> list[View]:
    """The three as one mesh, within the time that is promised."""
    views = [View(site, operator, twin) for twin in twins]
    for view in views:
        view.wait_for(dict.fromkeys(("gw1", "gw2", "gw3"), "alive"), MESH_S)
    return views


def test_three_gateways_become_one_mesh_by_themselves(mesh: list[View]) -> None:
    ids = [tuple(gateway["id"] for gateway in view.status()["gateways"]) for view in mesh]
    assert len(set(map(frozenset, ids))) == 1
    assert len(set(ids[0])) == 3


@pytest.mark.usefixtures("mesh")
def test_nothing_failed_at_boot(twins: list[Twin]) -> None:
    for twin in twins:
        assert twin.run("systemctl", "--failed", "--quiet", "--plain").stdout == "", twin.story()
        assert twin.run("systemctl", "is-system-running").stdout.strip() == "running"


@pytest.mark.usefixtures("mesh")
def test_nothing_listens_that_is_not_ours(twins: list[Twin]) -> None:
    listening = twins[0].run("ss", "--no-header", "--numeric", "--listening", "--tcp", "--udp")
    rows = [line.split() for line in listening.stdout.splitlines()]
    assert {(row[0], int(row[4].rpartition(":")[2])) for row in rows} == PORTS


@pytest.mark.usefixtures("mesh")
def test_nobody_has_a_password(twins: list[Twin]) -> None:
    rows = [
        line.split() for line in twins[0].run("passwd", "--all", "--status").stdout.splitlines()
    ]
    assert {"root", "gw", "gateway"} <= {row[0] for row in rows}
    assert {row[1] for row in rows} == {"L"}  # locked


def test_a_message_crosses_from_the_first_to_the_third(site: Site, mesh: list[View]) -> None:
    needs("mosquitto_sub")
    wait_s = 20
    one_message = ("-t", "plant/#", "-q", "1", "-C", "1", "-W", str(wait_s), "-v")
    listener = subprocess.Popen(
        site.inside("mosquitto_sub", "-h", "10.77.0.3", *one_message),
        stdout=subprocess.PIPE,
        text=True,
    )

    def has_arrived() -> bool:
        """Sends until somebody listens: nothing tells when the subscription is known at gw1."""
        topic = ("-t", "plant/door", "-q", "1")
        sent = site.run("mosquitto_pub", "-h", "10.77.0.1", *topic, "-m", "open")
        assert sent.returncode == 0, sent.stderr
        return listener.poll() is not None

    try:
        wait_until(has_arrived, wait_s, "a message arrives", mesh[2].story)
        assert listener.communicate(timeout=1)[0] == "plant/door open\n"
    finally:
        listener.kill()
        listener.wait()


def test_the_operator_gets_the_table_by_ssh(mesh: list[View]) -> None:
    answer = mesh[1].healthy()
    assert "plant: healthy. 3 gateways: 3 alive." in answer.stdout
    assert [line.split()[0] for line in answer.stdout.splitlines()[3:6]] == ["gw1", "gw2", "gw3"]
    assert "\x1b" not in answer.stdout


def test_the_operator_may_have_the_box_checked_though_he_may_read_none_of_it(
    mesh: list[View],
) -> None:
    checks = json.loads(mesh[0].ask("gwctl", "doctor", "--json").stdout)["checks"]
    found = {check["check"]: check for check in checks}
    assert "this user may not read" in found["configuration"]["text"]
    well = ("configuration", "gatewayd", "MQTT port 1883", "TLS port 8883", "link port 7883")
    well += ("certificate on port 8883", "state directory", "log")
    assert {name: found[name]["level"] for name in well} == dict.fromkeys(well, "ok"), checks


def test_the_manual_page_and_completion_lie_in_the_system(twin_system: Path) -> None:
    share = twin_system / "usr/share"
    laid = ("man/man1/gwctl.1", "bash-completion/completions/gwctl.bash")
    assert [name for name in laid if not (share / name).is_file()] == []


def test_the_operator_can_do_nothing_else(
    site: Site, operator: Operator, mesh: list[View], twins: list[Twin]
) -> None:
    assert mesh[0].ask("cat", "/etc/passwd").stdout == ""
    as_root = site.run(*operator.ssh(twins[0].address, user="root"), "true")
    assert as_root.returncode == 255
    assert "Permission denied (publickey)" in as_root.stderr


def test_a_gateway_without_power_is_dead_and_comes_back_as_itself(
    mesh: list[View], twins: list[Twin]
) -> None:
    def third() -> Any:
        return next(gw for gw in mesh[0].status()["gateways"] if gw["name"] == "gw3")

    before = third()
    twins[2].cut_power()
    mesh[0].wait_for({"gw1": "alive", "gw2": "alive", "gw3": "dead"}, DEAD_S)
    twins[2].start()
    twins[2].wait_for_running()
    mesh[0].wait_for(dict.fromkeys(("gw1", "gw2", "gw3"), "alive"), MESH_S)
    assert third()["id"] == before["id"]
    # its SSH key, too: the operator's client would refuse another
    mesh[2].healthy()


def test_a_gateway_with_another_key_stays_out(
    site: Site, operator: Operator, mesh: list[View]
) -> None:
    stranger = new_twin(site, operator, 4, cluster_key="another-key-altogether")
    stranger.start()
    stranger.wait_for_running()

    def problems() -> list[str]:
        return [problem["text"] for problem in mesh[0].status()["problems"]]

    wait_until(
        lambda: any("gw4" in text for text in problems()),
        MESH_S,
        "gw1 tells that gw4 was refused",
        mesh[0].story,
    )
    assert set(mesh[0].states()) == {"gw1", "gw2", "gw3"}
    assert set(View(site, operator, stranger).states()) == {"gw4"}


def test_a_mistake_in_the_installers_file_is_told_beside_it(site: Site, operator: Operator) -> None:
    twin = new_twin(site, operator, 5)
    twin.write(MISTAKE)
    twin.start()
    twin.wait_for_running()
    note = twin.bootcfg / "gateway-errors.txt"
    assert "gateway.toml:2: gateway.name" in note.read_text(), twin.story()
