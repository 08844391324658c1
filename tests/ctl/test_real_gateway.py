"""gwctl's commands against a real gatewayd with real clients."""

import contextlib
import json
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.config_document import to_document
from gateway.config_file import parse
from tests.gateways import Gateway, free_port

WAIT_S = 10
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gw")
    with Gateway("gw1", "127.0.0.1", directory, port=free_port()) as running:
        yield running


def gwctl(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.ctl.main", *words],
        env={"GWCTL_SOCKET": str(gateway.control_socket)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def document(gateway: Gateway, *words: str) -> Any:
    ran = gwctl(gateway, *words, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@contextlib.contextmanager
def paho_client(gateway: Gateway, name: str) -> Iterator[None]:
    """A client that comes back whenever it is sent away."""
    client = paho.Client(CallbackAPIVersion.VERSION2, name)
    client.connect(gateway.host, gateway.port)
    client.loop_start()
    yield
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[tuple[paho.Client, list[int]]]:
    """A client that is subscribed, and the reasons for which it was disconnected."""
    ready, gone = threading.Event(), threading.Event()
    reasons: list[int] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, "pump-7", protocol=paho.MQTTv5)
    client.on_connect = lambda *_: client.subscribe("pumps/#", 1)
    client.on_subscribe = lambda *_: ready.set()

    def disconnected(_c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        reasons.append(reason.value)
        gone.set()

    client.on_disconnect = disconnected
    client.reconnect_delay_set(60, 60)
    client.user_data_set(gone)
    client.connect(gateway.host, gateway.port)
    client.loop_start()
    assert ready.wait(WAIT_S)
    yield client, reasons
    client.disconnect()
    client.loop_stop()


def test_a_client_is_listed_shown_and_kicked(
    gateway: Gateway, client: tuple[paho.Client, list[int]]
) -> None:
    mqtt, reasons = client
    assert [row["client"] for row in document(gateway, "clients")["clients"]] == ["pump-7"]
    assert "127.0.0.1" in gwctl(gateway, "clients").stdout
    shown = document(gateway, "client", "pump-7")
    assert [row["filter"] for row in shown["subscriptions"]] == ["pumps/#"]
    assert "pumps/#" in gwctl(gateway, "client", "pump-7").stdout
    kicked = gwctl(gateway, "kick", "pump-7")
    assert (kicked.returncode, kicked.stderr) == (0, "")
    assert "pump-7 was disconnected" in kicked.stdout
    assert mqtt.user_data_get().wait(WAIT_S)
    assert reasons[0] == 0x98
    again = gwctl(gateway, "kick", "pump-7")
    assert again.returncode == 1
    assert "no such client is connected. Do: see: gwctl clients --mesh" in again.stderr


def test_retained_messages_and_queues_are_shown(gateway: Gateway) -> None:
    writer = paho.Client(CallbackAPIVersion.VERSION2, "writer", protocol=paho.MQTTv311)
    writer.connect(gateway.host, gateway.port)
    writer.loop_start()
    writer.publish("plant/level", "7.5", qos=1, retain=True).wait_for_publish(WAIT_S)
    writer.disconnect()
    writer.loop_stop()
    rows = document(gateway, "retained", "plant/#")["retained"]
    assert [(row["topic"], row["payload"], row["bytes"]) for row in rows] == [
        ("plant/level", "7.5", 3)
    ]
    assert "plant/level" in gwctl(gateway, "retained").stdout
    assert gwctl(gateway, "retained", "a/#/b").returncode == 1
    assert gwctl(gateway, "queue", "nobody").returncode == 1
    assert document(gateway, "sessions", "--orphans")["total"] == 0


def test_the_configuration_is_shown_in_a_form_that_can_be_read_again(gateway: Gateway) -> None:
    shown = gwctl(gateway, "config").stdout
    has = document(gateway, "config")
    assert has.pop("file") == str(gateway.config_path)
    assert shown.startswith(f"# {gateway.config_path}\n")
    assert to_document(parse(shown, "shown")) == has
    written = to_document(parse(gateway.config_path.read_text(), "file"))
    assert has == written


def test_the_log_is_shown_and_followed(gateway: Gateway) -> None:
    first = document(gateway, "log", "-n", "1")
    assert first["number"] >= 1 and first["level"] == "info"
    assert "serves MQTT on" in gwctl(gateway, "log").stdout
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.ctl.main", "log", "--follow", "-n", "0"],
        env={"GWCTL_SOCKET": str(gateway.control_socket)},
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        line = ""
        with paho_client(gateway, "log-reader"):
            for _ in range(50):
                if line:
                    break
                gwctl(gateway, "kick", "log-reader")
                ready, _, _ = select.select([following.stdout], [], [], 0.2)
                line = following.stdout.readline() if ready else ""
        assert "gwctl kick: done for 'log-reader'" in line
        following.send_signal(signal.SIGINT)
        assert following.wait(WAIT_S) == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ["kick", "nobody"],
            1,
            "gwctl: no such client is connected. Do: see: gwctl clients --mesh",
        ),
        (["retained", "a/#/b"], 1, "gwctl: "),
        (["clients", "--socket", "/nowhere/control.sock"], 2, "gwctl: no gatewayd runs here"),
        (["status", "--socket", "/nowhere/control.sock"], 2, "gwctl: no gatewayd runs here"),
        (["clients", "--limit", "none"], 64, "usage: gwctl"),
    ],
)
def test_an_error_is_a_sentence_on_stderr_and_no_document(
    gateway: Gateway, words: list[str], status: int, said: str
) -> None:
    ran = gwctl(gateway, *words, "--json")
    assert (ran.returncode, ran.stdout) == (status, "")
    assert ran.stderr.startswith(said) and "gwctl" in ran.stderr.splitlines()[-1]
