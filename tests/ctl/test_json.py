"""Every command of the table takes --json, and prints one document; a stream one a line."""

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.control_commands import COMMANDS, Command
from gateway.ctl.main import main
from tests.gateways import ClusterOptions, Gateway, free_port, wait_until

pytestmark = pytest.mark.slow
WAIT_S = 10
PASSWORD = "correct horse\n"

# What is typed behind each command, in the order in which it is run: a row for every one of the table.
TYPED = {
    "status": [],
    "clients": [],
    "client": ["pump-7"],
    "sessions": [],
    "retained": ["#"],
    "queue": ["pump-7"],
    "kick": ["pump-7"],
    "trace": ["#", "-n", "2"],
    "log": ["-n", "2"],
    "config": [],
    "doctor": ["--config", "CONFIG"],
    "completion": ["zsh"],
    "user add": ["ann"],
    "user passwd": ["ann"],
    "user list": [],
    "rule add": ["deny", "user", "ann", "write", "secret/#"],
    "rule list": [],
    "rule test": ["ann", "c", "write", "secret/x"],
    "rule remove": ["deny", "user", "ann", "write", "secret/#"],
    "user remove": ["ann"],
    "cluster key rotate": [],
    "cluster key show": [],
    "cluster key finish": [],
    "drain": [],
    "undrain": [],
    "reboot": [],
    "forget": ["gw2", "--force"],
    "cluster rejoin": ["--force"],
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With a client that publishes all the time, and comes back when it is sent away."""
    directory: Path = tmp_path_factory.mktemp("gw")
    cluster = ClusterOptions(link_port=free_port(), discovery=False)
    peer = (f"127.0.0.1:{cluster.link_port}",)
    other = replace(cluster, link_port=free_port(), peers=peer)
    with (
        Gateway("gw1", "127.0.0.1", directory / "1", cluster, port=free_port()) as running,
        Gateway("gw2", "127.0.0.1", directory / "2", other, port=free_port()),
    ):
        (running.control_socket.parent / "reboot").touch()  # so that it is known at once
        wait_until(lambda: running.status()["safe_to_unplug"], "the two are a mesh", WAIT_S)
        client = paho.Client(CallbackAPIVersion.VERSION2, "pump-7")
        here, over = threading.Event(), threading.Event()
        client.on_connect = lambda *_: here.set()
        client.connect(running.host, running.port)
        client.loop_start()
        assert here.wait(WAIT_S)

        def publish() -> None:
            while not over.wait(0.02):
                client.publish("plant/level", "7.5")

        thread = threading.Thread(target=publish)
        thread.start()
        yield running
        over.set()
        thread.join()
        client.disconnect()
        client.loop_stop()


def test_no_command_is_left_out() -> None:
    assert sorted(TYPED) == sorted(command.words for command in COMMANDS)


@pytest.mark.parametrize("words", TYPED)
def test_a_command_prints_json(
    words: str,
    gateway: Gateway,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (command,) = [each for each in COMMANDS if each.words == words]
    typed = [str(gateway.config_path) if word == "CONFIG" else word for word in TYPED[words]]
    monkeypatch.setenv("GWCTL_SOCKET", str(gateway.control_socket))
    typed_in = tmp_path / "typed"
    typed_in.write_text(PASSWORD)
    with typed_in.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        status = main([*words.split(), "--json", *typed])
    written = capfd.readouterr()
    failed = words == "reboot"  # on a box that has no unit for it
    assert (status, written.err) == (int(failed), "")
    for document in documents(command, written.out):
        assert isinstance(document, dict) and document


def documents(command: Command, written: str) -> list[object]:
    if not command.stream:
        return [json.loads(written)]
    lines = written.splitlines()
    assert len(lines) == 2 or "-n" not in TYPED[command.words]
    return [json.loads(line) for line in lines]
