"""gwctl doctor as a process: beside a gateway that runs, and without one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.config_loader import DEFAULT_PATH
from tests.gateways import Gateway, free_port

WAIT_S = 20


def doctor(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """With the file of this name, beside which the control socket stands."""
    return unnamed(config, "--config", str(config), *words)


def unnamed(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The same, and it is not told which file."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.ctl.main", "doctor", *words],
        env=os.environ | {"GWCTL_SOCKET": str(config.with_name("control.sock"))},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def levels(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {check["check"]: check["level"] for check in json.loads(ran.stdout)["checks"]}


@pytest.mark.slow
def test_a_gateway_is_found_well_and_then_missed(tmp_path: Path) -> None:
    port, secure = free_port(), free_port()
    mqtt = {"tls_port": secure}
    with Gateway("gw1", "127.0.0.1", tmp_path, port=port, mqtt=mqtt) as gateway:
        config = gateway.config_path
        ran = doctor(config, "--json")
        assert ran.returncode == 0, ran.stdout
        found = levels(ran)
        names = ("configuration", "gatewayd", f"MQTT port {port}", f"TLS port {secure}")
        assert [found[name] for name in names] == ["ok"] * 4
        assert found[f"certificate on port {secure}"] == "ok"
        assert {"state directory", "clock", "start", "memory", "log"} <= found.keys()
    ran = doctor(config, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["healthy"] is False
    found = levels(ran)
    assert [found[name] for name in names] == ["ok", "error", "error", "error"]


@pytest.mark.slow
def test_a_file_that_changed_since_gatewayd_read_it_is_told(tmp_path: Path) -> None:
    with Gateway("gw1", "127.0.0.1", tmp_path, port=free_port()) as gateway:
        config = gateway.config_path
        text = config.read_text()
        config.write_text(text + "[storage]\nfree_bytes_min = 1048577\n")
        shown = " ".join(doctor(config).stdout.split())
        assert "correct, but gatewayd runs with another storage.free_bytes_min" in shown
        assert "-> systemctl restart gatewayd" in shown
        config.write_text(text.replace("[mqtt]", "[mqtt]\ncolour = 1"))
        ran = doctor(config)
        assert ran.returncode == 1
        assert "gatewayd runs with what it read before" in " ".join(ran.stdout.split())


@pytest.mark.slow
def test_the_file_is_the_one_that_gatewayd_runs_with(tmp_path: Path) -> None:
    with Gateway("gw1", "127.0.0.1", tmp_path, port=free_port()) as gateway:
        config = gateway.config_path
        ran = unnamed(config, "--json")
        assert ran.returncode == 0, ran.stdout
        assert json.loads(ran.stdout)["checks"][0]["text"] == f"{config}: correct"
        text = config.read_text()
        config.write_text(text.replace("[mqtt]", "[mqtt]\ncolour = 1"))
        first = json.loads(unnamed(config, "--json").stdout)["checks"][0]
        assert f"{config.name}:" in first["text"] and "colour" in first["text"]
        assert first["remedy"].endswith("and would not start again")

        other = config.with_name("other.toml")
        other.write_text(text)
        first = json.loads(doctor(other, "--json").stdout)["checks"][0]
        assert first["text"] == f"{other}: correct, but gatewayd runs with {config}"
        other.write_text("[mqtt]\nport = 70000\n")
        first = json.loads(doctor(other, "--json").stdout)["checks"][0]
        assert first["level"] == "error"
        assert first["remedy"] == f"put it right; the gatewayd that answers here runs with {config}"


def test_where_no_gatewayd_answers_the_file_is_that_of_a_box(tmp_path: Path) -> None:
    first = json.loads(unnamed(tmp_path / "no.toml", "--json").stdout)["checks"][0]
    assert DEFAULT_PATH in first["text"]


def test_a_wrong_configuration_is_told_with_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text("[mqtt]\nport = 70000\n")
    ran = doctor(config)
    assert ran.returncode == 1
    assert "oml:2: mqtt.port: 70000" in " ".join(
        ran.stdout.split()
    )  # the path is broken into lines
    assert "-> put it right, then start gatewayd" in ran.stdout
