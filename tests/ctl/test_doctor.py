"""gwctl doctor as a process: beside a gateway that runs, and without one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateways import Gateway, free_port

WAIT_S = 20


def doctor(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.ctl.main", "doctor", "--config", str(config), *words],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def levels(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {check["check"]: check["level"] for check in json.loads(ran.stdout)["checks"]}


@pytest.mark.slow
def test_a_gateway_is_found_well_and_then_missed(tmp_path: Path) -> None:
    port = free_port()
    with Gateway("gw1", "127.0.0.1", tmp_path, port=port) as gateway:
        config = gateway.config_path
        ran = doctor(config, "--json")
        assert ran.returncode == 0, ran.stdout
        found = levels(ran)
        names = ("configuration", "gatewayd", f"MQTT port {port}")
        assert [found[name] for name in names] == ["ok", "ok", "ok"]
        assert {"state directory", "clock", "start", "memory", "log"} <= found.keys()
    ran = doctor(config, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["healthy"] is False
    found = levels(ran)
    assert [found[name] for name in names] == ["ok", "error", "error"]


def test_a_wrong_configuration_is_told_with_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text("[mqtt]\nport = 70000\n")
    ran = doctor(config)
    assert ran.returncode == 1
    assert "oml:2: mqtt.port: 70000" in " ".join(
        ran.stdout.split()
    )  # the path is broken into lines
    assert "-> put it right, then start gatewayd" in ran.stdout
