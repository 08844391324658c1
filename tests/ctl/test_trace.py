"""gwctl trace against a real gatewayd, and the views of streams."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.broker.traces import FILTERS_MAX, TRACES_MAX
from gateway.control_lines import encode_request
from gateway.ctl.streams import lines
from gateway.ctl.text import plain
from tests.gateways import Gateway, free_port, wait_until

WAIT_S = 10


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gw")
    with Gateway("gw1", "127.0.0.1", directory, port=free_port()) as running:
        yield running


@pytest.fixture
def writer(gateway: Gateway) -> Iterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2, "writer", protocol=paho.MQTTv5)
    ready = threading.Event()
    client.on_connect = lambda *_: ready.set()
    client.connect(gateway.host, gateway.port)
    client.loop_start()
    assert ready.wait(WAIT_S)
    yield client
    client.disconnect()
    client.loop_stop()


def start(gateway: Gateway, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.ctl.main", "trace", *words],
        env={"GWCTL_SOCKET": str(gateway.control_socket)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running(gateway: Gateway) -> int:
    """How many traces the gateway says it has."""
    said = " ".join(problem["text"] for problem in gateway.status()["problems"])
    if "somebody runs gwctl trace" in said:
        return 1
    found = re.search(r"gwctl trace runs (\d+) times", said)
    return int(found[1]) if found else 0


@contextmanager
def trace(gateway: Gateway, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A trace that has begun; it is ended, and the gateway is rid of it, behind the block."""
    with start(gateway, *words) as process:
        wait_until(lambda: running(gateway), "the trace has begun", WAIT_S)
        try:
            yield process
        finally:
            process.kill()
    wait_until(lambda: not running(gateway), "the trace has ended", WAIT_S)


def publish(writer: paho.Client, topic: str, payload: bytes = b"x", **more: Any) -> None:
    writer.publish(topic, payload, qos=1, **more).wait_for_publish(WAIT_S)


@pytest.mark.slow
def test_messages_are_shown_as_they_come_until_there_are_enough(
    gateway: Gateway, writer: paho.Client
) -> None:
    with trace(gateway, "plant/#", "-n", "2") as process:
        publish(writer, "other")
        publish(writer, "plant/level", b"7.5")
        publish(writer, "plant/raw", b"\x00\xff", retain=True)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, err) == (0, "")
    first, second = out.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} in      writer +q1-- plant/level 3B 7\.5", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} in      writer +q1r- plant/raw 2B 0x00ff", second)


@pytest.mark.slow
def test_a_person_is_told_that_it_runs(gateway: Gateway) -> None:
    here, there = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.ctl.main", "trace", "t"],
        env={"GWCTL_SOCKET": str(gateway.control_socket)},
        stdout=there,
        stderr=there,
    ) as process:
        os.close(there)
        assert os.read(here, 100) == b"gwctl: watching; Ctrl-C ends it\r\n"
        os.close(here)  # the terminal is gone
        assert process.wait(WAIT_S) == 0
    wait_until(lambda: not running(gateway), "the trace has ended", WAIT_S)


@pytest.mark.slow
def test_json_is_one_document_a_line(gateway: Gateway, writer: paho.Client) -> None:
    with trace(gateway, "t", "--json", "--count", "1", "--no-payload") as process:
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = 60
        publish(writer, "t", b"secret", properties=properties)
        out, _ = process.communicate(timeout=WAIT_S)
    (line,) = out.splitlines()
    assert "secret" not in line
    document = json.loads(line)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["time"])
    assert [document[key] for key in ("what", "client", "bytes", "expires_s", "payload")] == [
        *("in", "writer", 6, 60.0, None)
    ]


@pytest.mark.slow
def test_a_trace_ends_when_its_time_is_over(gateway: Gateway, writer: paho.Client) -> None:
    with trace(gateway, "t", "--seconds", "1") as process:
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_a_trace_ends_with_ctrl_c(gateway: Gateway) -> None:
    with trace(gateway, "t") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, err) == (0, "")


@pytest.mark.slow
def test_a_trace_ends_when_nobody_reads_it_though_nothing_happens(gateway: Gateway) -> None:
    with trace(gateway, "t") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(WAIT_S) == 0


@pytest.mark.slow
def test_the_gateway_is_rid_of_a_trace_whose_connection_is_gone(gateway: Gateway) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(gateway.control_socket))
        connection.sendall(encode_request("trace", {"filter": ["t"]}))
        wait_until(lambda: running(gateway), "the trace has begun", WAIT_S)
    wait_until(lambda: not running(gateway), "the trace has ended", WAIT_S)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["a/#/b"], "'a/#/b' is no topic filter"),
        (["$share/g/t"], "a shared subscription is no topic filter"),
        ([str(number) for number in range(FILTERS_MAX + 1)], "more than 16 filters"),
    ],
)
def test_what_cannot_be_traced_is_refused(gateway: Gateway, words: list[str], why: str) -> None:
    with start(gateway, *words) as process:
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert why in err and ". Do: " in err


@pytest.mark.slow
def test_there_are_not_more_than_a_few(gateway: Gateway) -> None:
    connections = [socket.socket(socket.AF_UNIX) for _ in range(TRACES_MAX)]
    for connection in connections:
        connection.connect(str(gateway.control_socket))
        connection.sendall(encode_request("trace", {"filter": ["t"]}))
    wait_until(lambda: running(gateway) == TRACES_MAX, "all have begun", WAIT_S)
    with start(gateway, "t") as process:
        _, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, "4 traces are running already" in err) == (1, True)
    for connection in connections:
        connection.close()
    wait_until(lambda: not running(gateway), "all have ended", WAIT_S)


@pytest.mark.slow
def test_a_reader_that_stops_costs_lines_and_no_memory(
    gateway: Gateway, writer: paho.Client
) -> None:
    """The kernel holds some lines, gatewayd a thousand; of the rest there is the number."""
    count = 6_000
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(gateway.control_socket))
        connection.sendall(encode_request("trace", {"filter": ["t"]}))
        wait_until(lambda: running(gateway), "the trace has begun", WAIT_S)
        for number in range(count):
            last = writer.publish("t", b"%d" % number, qos=1)
        last.wait_for_publish(WAIT_S)
        seen = missed = 0
        with connection.makefile("rb") as answers:
            answers.readline()
            while seen + missed < count:
                item = json.loads(answers.readline())["item"]
                missed += item.get("missed", 0)
                seen += "what" in item
    assert missed > 0 and seen >= 1_000 and seen + missed == count


LINE = {
    "time": "2026-11-25T10:02:23.123Z",
    "what": "out",
    "via": "client",
    "client": "pump-7",
    "topic": "a/b",
    "qos": 2,
    "retain": True,
    "dup": True,
    "bytes": 3,
    "payload": "7.5",
    "payload_hex": None,
    "alias": 4,
    "identifiers": [1, 7],
    "expires_s": 61.0,
    "detail": "$share/g/a/b",
}


def view(**change: object) -> list[str]:
    return [plain(line) for line in lines("trace", LINE | change)]


def test_a_line_has_all_that_a_message_has() -> None:
    marks = "(alias 4, identifier 1, 7, expires in 1m, $share/g/a/b)"
    assert view() == [f"10:02:23.123 out     pump-7          q2rd a/b 3B 7.5 {marks}"]


def test_other_gateways_are_told_from_clients() -> None:
    (line,) = view(via="mesh", alias=None, identifiers=[], expires_s=None, detail="to 2 gateways")
    assert line == "10:02:23.123 out     pump-7 (mesh)   q2rd a/b 3B 7.5 (to 2 gateways)"


def test_of_the_whole_mesh_each_line_names_its_gateway() -> None:
    (line,) = view(gateway="gw2", alias=None, identifiers=[], expires_s=None, detail="")
    assert line == "10:02:23.123 gw2      out     pump-7          q2rd a/b 3B 7.5"
    assert [plain(line) for line in lines("trace", {"missed": 12, "gateway": "gw2"})] == [
        "(12 messages at gw2 were left out: too many to show)"
    ]
    gone = {"gateway": "gw3", "why": "its link broke"}
    assert [plain(line) for line in lines("trace", gone)] == ["(without gw3: its link broke)"]


def test_what_was_lost_is_told_where_it_was_lost() -> None:
    assert [plain(line) for line in lines("trace", {"missed": 12})] == [
        "(12 lines were lost: this terminal reads too slowly)"
    ]
    log = {"time": "T", "level": "info", "text": "hello", "missed": 3}
    shown = [plain(line) for line in lines("log", log)]
    assert shown[0].startswith("(3 lines") and shown[1] == "T info     hello"


def test_a_payload_does_not_reach_the_terminal_as_more_than_text() -> None:
    (line,) = view(payload="a\r\n\tb", topic="x\x1b[2Jy")
    assert "a b" in line and "x?[2Jy" in line


def test_a_document_of_another_version_is_shown_as_far_as_it_goes() -> None:
    assert [plain(line) for line in lines("trace", {"what": "in"})] == [
        "- in      -               q--- - -"
    ]
