"""The simulated sensor, spoken to as the gateway would."""

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from demo.sensor import Sensor
from tests.brokers import WAIT_S, wait_until

PROGRAM = Path(__file__).parents[2] / "demo" / "sensor.py"
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a sensor whose terminal is linked at tmp_path/sensor."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*options: str) -> subprocess.Popen[bytes]:
        link = tmp_path / "sensor"
        process = subprocess.Popen(
            [sys.executable, PROGRAM, "--link", str(link), *options], stdout=subprocess.DEVNULL
        )
        started.append(process)
        wait_until(link.is_symlink, "the link")
        return process

    yield run
    for process in started:
        process.kill()
        process.wait(WAIT_S)


def open_port(tmp_path: Path) -> serial.Serial:
    return serial.Serial(str(tmp_path / "sensor"), timeout=WAIT_S, exclusive=True)


@pytest.mark.slow
def test_it_speaks_lines_of_json(start: Start, tmp_path: Path) -> None:
    start("--interval", "0.01")
    with open_port(tmp_path) as port:
        port.readline()  # the first may have lost its head
        readings = [json.loads(port.readline()) for _ in range(5)]
    assert set(readings[0]) == {"temperature_c", "humidity_percent", "sequence"}
    sequence = [reading["sequence"] for reading in readings]
    assert sequence == list(range(sequence[0], sequence[0] + 5))


@pytest.mark.slow
def test_it_answers_commands(start: Start, tmp_path: Path) -> None:
    start("--interval", "1000")
    with open_port(tmp_path) as port:
        port.write(b"dance\n")
        lines = [json.loads(port.readline())]
        if "sequence" in lines[0]:  # the reading at the start
            lines = [json.loads(port.readline())]
        port.write(b"interval 0.01\n")
        lines += [json.loads(port.readline()) for _ in range(3)]
    assert lines[0] == {"ok": False, "error": "unknown command: dance"}
    assert lines[1] == {"ok": True, "interval_s": 0.01}
    assert lines[3]["sequence"] == lines[2]["sequence"] + 1


@pytest.mark.slow
def test_the_link_goes_with_it_and_the_port_hangs_up(start: Start, tmp_path: Path) -> None:
    process = start("--interval", "0.01")
    with open_port(tmp_path) as port:
        assert port.readline()
        process.terminate()
        assert process.wait(WAIT_S) == 0
        assert not os.path.lexists(tmp_path / "sensor")
        with pytest.raises(serial.SerialException):
            while port.read(1000):
                pass


@pytest.mark.slow
def test_it_goes_on_when_nobody_reads(start: Start, tmp_path: Path) -> None:
    # 500 lines are several times what a terminal keeps.
    process = start("--interval", "0.001", "--readings", "500")
    assert process.wait(WAIT_S) == 0


def test_the_drift_is_slow_and_the_same_for_the_same_seed() -> None:
    one, other = (Sensor(1.0, random.Random(7)) for _ in range(2))
    readings = [one.reading() for _ in range(2000)]
    assert readings == [other.reading() for _ in range(2000)]
    degrees = [json.loads(reading)["temperature_c"] for reading in readings]
    assert all(15 < value < 27 for value in degrees)
    assert all(abs(b - a) < 1 for a, b in itertools.pairwise(degrees))


@pytest.mark.parametrize("command", [b"interval", b"interval 0", b"interval nan", b"\xff\x00", b""])
def test_what_it_does_not_understand_it_says(command: bytes) -> None:
    answer = json.loads(Sensor(1.0, random.Random(1)).answer(command))
    assert answer["ok"] is False
