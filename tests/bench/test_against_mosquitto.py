"""What the generator counts is what a real broker delivered, as another client saw it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bench import idle
from bench.brokers import Product, Running
from bench.many import Many, ManyRun
from bench.measure import Timing
from bench.numbers import LAP, PAYLOAD_BYTES
from bench.stream import Stream, StreamRun
from tests.bench.conftest import ANY_CORE

SHORT = Timing(warm_up_s=0.01, seconds=0.02)
BOUND_S = 20.0


class Witness:
    """A client of another make, subscribed beside the generator's."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.subscribed = threading.Event()

    def await_count(self, count: int) -> None:
        end = time.monotonic() + BOUND_S
        while len(self.payloads) < count and time.monotonic() < end:
            time.sleep(0.005)


@contextmanager
def witness(address: tuple[str, int], topic: str, qos: int) -> Iterator[Witness]:
    seen = Witness()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda *_: seen.subscribed.set()
    client.on_message = lambda _client, _data, message: seen.payloads.append(message.payload)
    client.connect(*address)
    client.loop_start()
    try:
        client.subscribe(topic, qos)
        assert seen.subscribed.wait(BOUND_S)
        yield seen
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("qos", (0, 1, 2))
def test_the_count_is_that_of_another_client(broker: Running, qos: int) -> None:
    door = broker.doors[0]
    load = Stream(qos, topic=f"bench/witnessed/{qos}", outstanding_max=500)
    with witness(door, load.topic, qos) as seen:
        run = StreamRun(load, door, door)
        try:
            result = run.run(SHORT, broker.pids)
        finally:
            run.close()
        seen.await_count(result.published)
    assert result.faults == ""
    assert len(seen.payloads) == result.published == result.received
    places = [int.from_bytes(payload[4:6], "big") for payload in seen.payloads]
    assert places == [number % LAP for number in range(len(places))]
    assert {len(payload) for payload in seen.payloads} == {PAYLOAD_BYTES}


def test_each_of_twenty_subscribers_is_counted(broker: Running) -> None:
    door = broker.doors[0]
    run = StreamRun(Stream(0, subscribers=20, outstanding_max=100), door, door)
    try:
        result = run.run(SHORT, broker.pids)
    finally:
        run.close()
    assert (result.faults, result.received) == ("", 20 * result.published)


@pytest.mark.parametrize("heard", (True, False))
def test_publishers_that_wait_for_each_puback_are_all_acknowledged(
    broker: Running, heard: bool
) -> None:
    run = ManyRun(Many(publishers=20, heard=heard), broker.doors[0])
    try:
        result = run.run(SHORT, broker.pids)
    finally:
        run.close()
    assert result.faults == ""
    assert result.published > 20
    assert result.received == (result.published if heard else 0)


@pytest.mark.slow
@pytest.mark.parametrize("qos", (0, 1, 2))
def test_a_stream_crosses_two_brokers(product: Product, qos: int) -> None:
    with product.start(2, ANY_CORE) as two:
        run = StreamRun(Stream(qos, outstanding_max=500), two.doors[0], two.doors[1])
        try:
            result = run.run(SHORT, two.pids)
        finally:
            run.close()
    assert (result.faults, result.received) == ("", result.published)
    assert result.published > 0


def test_the_memory_of_a_running_broker_is_measured(broker: Running) -> None:
    assert idle.memory_mb(broker.pids[0], broker.doors[0]).value > 1


@pytest.mark.slow
def test_a_run_ends_every_process_and_removes_every_file(tmp_path: Path, product: Product) -> None:
    folder, figures = tmp_path / "temporary", tmp_path / "figures.json"
    folder.mkdir()
    command = [sys.executable, "-m", "bench", "--rows", "qos1,memory", "--rounds", "1"]
    command += ["--seconds", "0.1", "--json", str(figures)]
    command += ["--broker-command", "mosquitto -c {mosquitto_config}"]
    environment = os.environ | {"TMPDIR": str(folder), "PATH": os.environ["PATH"] + ":/usr/sbin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Every message arrived once, in order, unaltered." in done.stdout
    rows = {row["name"]: row for row in json.loads(figures.read_text())["rows"]}
    assert rows["qos1"]["ratio"] > 0 and rows["memory"]["gateway"] > 0
    assert list(folder.iterdir()) == []
    lines = (
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    )
    assert not [line for line in lines if str(folder) in line]
