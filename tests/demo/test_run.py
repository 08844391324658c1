"""`make run`, as a new user meets it: three gateways, a sensor, one killed and started again.

In a network namespace of its own, because its addresses and port are fixed.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import wait_until
from tests.requires import missing, needs

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


class Run:
    """The running command, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = (folder / "run.log").open("wb")
        self.process = subprocess.Popen(
            [
                *("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
                *(sys.executable, "-m", "demo.run"),
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdout=self.log,
            stderr=self.log,
        )

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", *command]

    def status(self) -> dict[str, Any]:
        command = [str(BIN / "gwctl"), "status", "--json"]
        asked = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False
        )
        return json.loads(asked.stdout) if asked.stdout.startswith("{") else {}

    def states(self) -> list[str]:
        return [gateway["state"] for gateway in self.status().get("gateways", [])]

    def start_again(self, number: int) -> subprocess.Popen[bytes]:
        config = self.folder / f"var/gw{number}/gateway.toml"
        command = self.inside(str(BIN / "gatewayd"), "--config", str(config))
        return subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True)

    def pid(self, number: int) -> int:
        return int((self.folder / f"var/gw{number}/state/gatewayd.pid").read_text())


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    for command in ("unshare", "nsenter", "ip", "mosquitto_sub"):
        needs(command)
    if os.geteuid() != 0:
        missing("a network namespace needs root")
    run = Run(tmp_path_factory.mktemp("run"))
    try:
        yield run
    finally:
        run.process.send_signal(signal.SIGINT)
        run.process.wait(30)
        run.log.close()


def test_three_gateways_a_reading_at_the_third_one_killed_and_back(run: Run) -> None:
    wait_until(lambda: run.states() == ["alive"] * 3, "three gateways are alive", 10)

    heard = subprocess.run(
        run.inside("mosquitto_sub", "-h", "127.0.0.3", "-t", "sensors/#", "-C", "2", "-W", "10"),
        capture_output=True,
        text=True,
        check=False,
    )
    readings = [json.loads(line) for line in heard.stdout.splitlines()]
    assert len(readings) == 2, heard
    assert readings[1]["sequence"] == readings[0]["sequence"] + 1
    assert run.status()["serial_ports"][0]["state"] == "open"

    os.kill(run.pid(2), signal.SIGKILL)
    wait_until(lambda: run.states() == ["alive", "dead", "alive"], "the second is dead", 4)
    second = run.start_again(2)
    wait_until(lambda: run.states() == ["alive"] * 3, "the second is back", 10)

    pids = [run.pid(number) for number in (1, 2, 3)]
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(30) == 0
    assert second.wait(5) == 0  # also what was started by hand
    assert [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists()] == []
    assert not (run.folder / "var/gw1/sensor").is_symlink()
