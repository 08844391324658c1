"""A real systemd keeps the door over a restart, and closes it behind a start that failed.

It boots in a container that sees this machine's own files, and writes into memory. The unit is the
product's, with its user and its sandbox; Debian's Python runs it, for the tests' own one is often where
only root may look.
"""

import contextlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.cgroup import ControlGroup
from tests.image.waiting import wait_until
from tests.requires import missing, needs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

REPOSITORY = Path(__file__).parents[2]
START_S = 30.0
NAME = "gateway-restart"
WISH = "/run/gatewayd/reboot"
PYTHON = "/usr/bin/python3"
LIBRARIES = sysconfig.get_path("purelib")
INSIDE = (
    "/srv/tested"  # where the container has both: they may lie under /tmp, which it has its own of
)
CONFIGURATION = """\
[gateway]
name = "gw1"
serial_number = "test-restart"
[mqtt]
unix_socket = "/run/gatewayd/mqtt.sock"
"""
SET_UP = f"""
set -eu
systemd-sysusers {INSIDE}/repository/systemd/gateway-sysusers.conf
install -m 644 {INSIDE}/repository/systemd/gatewayd.service /etc/systemd/system/
cat >/usr/bin/gatewayd <<END
#!/bin/sh
export PYTHONPATH={INSIDE}/repository:{INSIDE}/libraries PYTHONDONTWRITEBYTECODE=1
exec {PYTHON} -m gateway.shell.daemon "\\$@"
END
chmod 755 /usr/bin/gatewayd
mkdir -p /etc/gateway /etc/systemd/system/gatewayd.service.d
cat >/etc/gateway/gateway.toml <<END
{CONFIGURATION}END
cat >/etc/systemd/system/gatewayd.service.d/test.conf <<END
[Service]
RestartSec=500ms
END
systemctl daemon-reload
systemctl start gatewayd
"""
# What a client does inside: one line of what it got for each round.
CLIENT = """
import socket, subprocess, sys, time
CONNECT = b"\\x10\\x0d\\x00\\x04MQTT\\x04\\x02\\x00\\x00\\x00\\x01c"
def ask(place):
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(20)
        try:
            client.connect(place)
            client.sendall(CONNECT)
            return "served" if client.recv(4) == b"\\x20\\x02\\x00\\x00" else "closed"
        except OSError as error:
            return type(error).__name__
TCP, UNIX = ("127.0.0.1", 1883), "/run/gatewayd/mqtt.sock"
"""
RESTART = """
restart = subprocess.Popen(["systemctl", "restart", "gatewayd"])
said = set()
while restart.poll() is None:
    said |= {ask(TCP), ask(UNIX)}
print(sorted(said))
"""
REFUSED = "ConnectionRefusedError"
CRASH = """
subprocess.run(["systemctl", "kill", "--signal=KILL", "gatewayd"], check=True)
print(ask(TCP), ask(UNIX))
"""


class Machine:
    """A container with a systemd of its own."""

    def __init__(self, folder: Path) -> None:
        self._group = ControlGroup(f"{NAME}-{os.getpid()}")
        self._console = folder / "console.log"
        root = folder / "root"
        root.mkdir()
        begin = (
            f"mount --bind / {root}; exec systemd-nspawn --quiet --register=no --keep-unit"
            f" --volatile=overlay --console=pipe --private-network --link-journal=no"
            f" --bind-ro={REPOSITORY}:{INSIDE}/repository --bind-ro={LIBRARIES}:{INSIDE}/libraries"
            f" --machine={NAME} --directory={root} --boot -- --unit=basic.target"
        )
        apart = ("unshare", "--mount", "--propagation", "private", "bash", "-euc", begin)
        with self._console.open("wb") as log:
            self._process = subprocess.Popen(
                self._group.entering(*apart), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._leader = 0
        wait_until(self._is_up, START_S, "the container is up", self.story)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.story()
        number = self._process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    self._leader = int(child)
        state = self.run("systemctl", "is-system-running") if self._leader else ""
        return state in ("running", "degraded")

    @property
    def leader(self) -> int:
        """The process id of its systemd."""
        return self._leader

    def forget_leader(self) -> None:
        """It was rebooted: whoever it is now, it is ended with the container."""
        self._leader = 0

    def run(self, *command: str, said: str = "") -> str:
        words = ["nsenter", "--all", f"--target={self._leader}", *command]
        done = subprocess.run(
            words, input=said, capture_output=True, text=True, timeout=60, check=False
        )
        return (done.stdout + done.stderr).strip()

    def client(self, does: str) -> str:
        return self.run(PYTHON, "-", said=CLIENT + does)

    def story(self) -> str:
        console = self._console.read_text(errors="replace")
        return console + (self.run("journalctl", "--no-pager") if self._leader else "")

    def close(self) -> None:
        if self._leader and self._process.poll() is None:
            os.kill(self._leader, 9)
        else:
            self._process.kill()
        self._process.wait(20)
        self._group.remove()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    needs("systemd-nspawn")
    if os.geteuid() != 0:
        missing("containers need root")
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True).stdout
    if f" {sys.version_info.major}.{sys.version_info.minor}." not in version:
        missing(f"{PYTHON} is not the version of the tests' Python, whose libraries it needs")
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        said = machine.run("bash", "-s", said=SET_UP)
        assert machine.client("print(ask(TCP), ask(UNIX))") == "served served", said
        yield machine
    finally:
        machine.close()


def test_a_restart_refuses_nobody(machine: Machine) -> None:
    assert machine.client(RESTART) == "['served']", machine.story()


def test_certificates_are_loaded_again_at_a_reload(machine: Machine) -> None:
    assert machine.run("systemctl", "reload", "gatewayd") == ""
    journal = ("journalctl", "--unit=gatewayd", "--output=cat", "--no-pager")
    wait_until(
        lambda: "certificates were loaded again" in machine.run(*journal), 10, "it is logged"
    )


def test_a_crash_refuses_nobody(machine: Machine) -> None:
    assert machine.client(CRASH) == "served served", machine.story()


@pytest.mark.parametrize(
    ("fault", "mending"),
    [
        ("echo '[nonsense]' >>/etc/gateway/gateway.toml", "sed -i '$d' /etc/gateway/gateway.toml"),
        ("mv /usr/bin/gatewayd /usr/bin/away", "mv /usr/bin/away /usr/bin/gatewayd"),
    ],
    ids=["a configuration", "the program"],
)
def test_a_gateway_that_cannot_start_closes_the_door(
    machine: Machine, fault: str, mending: str
) -> None:
    machine.run("bash", "-c", fault)
    try:
        # Who comes before the doors are closed, one after the other, is let go; later ones are refused.
        answers = set(machine.client(CRASH).split())
        assert answers <= {"ConnectionResetError", REFUSED}, machine.story()
        assert machine.client("print(ask(TCP), ask(UNIX))") == " ".join([REFUSED] * 2)
    finally:
        machine.run("bash", "-c", mending)

    def is_served() -> bool:
        return machine.client("print(ask(TCP), ask(UNIX))") == "served served"

    wait_until(is_served, START_S, "it is served again", machine.story)
    assert machine.client(RESTART) == "['served']"


def test_another_address_at_the_same_port_is_had_at_the_restart(machine: Machine) -> None:
    into = "sed -i '/^name/a address = \"127.0.0.1\"' /etc/gateway/gateway.toml"
    machine.run("bash", "-c", into)
    machine.run("systemctl", "restart", "gatewayd")
    assert machine.client("print(ask(TCP), ask(UNIX))") == "served served"
    assert machine.run("ss", "-Hltn", "src 127.0.0.1:1883"), machine.story()
    assert machine.run("systemctl", "show", "gatewayd", "--property=NRestarts") == "NRestarts=0"


def test_a_gateway_that_was_stopped_refuses(machine: Machine) -> None:
    machine.run("systemctl", "stop", "gatewayd")
    assert machine.client("print(ask(TCP))") == REFUSED
    assert machine.run("systemctl", "is-active", "gatewayd") == "inactive"


def test_a_reboot_that_gatewayd_asks_for_is_done(machine: Machine) -> None:
    """The last one: the container is another afterwards."""
    machine.run("systemctl", "start", "gatewayd")
    unit = "gateway-reboot.path"
    machine.run(
        "install", "-m", "644", f"{INSIDE}/repository/systemd/{unit}", "/etc/systemd/system/"
    )
    machine.run("systemctl", "daemon-reload")
    assert machine.run("systemctl", "start", unit) == ""
    denied = machine.run("setpriv", "--reuid=nobody", "--clear-groups", "touch", WISH)
    assert "Permission denied" in denied
    before = machine.leader
    machine.run("setpriv", "--reuid=gateway", "--clear-groups", "touch", WISH)
    wait_until(lambda: not Path(f"/proc/{before}").exists(), START_S, "it goes down", machine.story)
    machine.forget_leader()
