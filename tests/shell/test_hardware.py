"""What a box says of itself (gateway/shell/hardware.py), beside what psutil reads."""

import socket
from pathlib import Path

import psutil
import pytest

from gateway.shell.hardware import Measures, addresses, measure, memory_percent, temperature_c


def chip(sensors: Path, number: int, name: str, *millidegrees: str) -> None:
    folder = sensors / f"hwmon{number}"
    folder.mkdir()
    (folder / "name").write_text(name + "\n")
    for index, text in enumerate(millidegrees, 1):
        (folder / f"temp{index}_input").write_text(text)
        (folder / f"temp{index}_crit").write_text("105000\n")


def test_a_box_is_measured(tmp_path: Path) -> None:
    measures = measure(str(tmp_path))
    assert isinstance(measures, Measures)
    assert 0 <= measures.load < 1000
    assert measures.memory_percent == pytest.approx(psutil.virtual_memory().percent, abs=10)
    disk = psutil.disk_usage(str(tmp_path))
    assert measures.disk_percent == pytest.approx(100 * disk.used / disk.total, abs=2)


def test_memory_is_what_cannot_be_had_without_swapping() -> None:
    meminfo = "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 750 kB\nHugePages_Total: 0\n"
    assert memory_percent(meminfo) == 25.0


def test_the_processors_sensor_counts_and_of_it_the_warmest_reading(tmp_path: Path) -> None:
    chip(tmp_path, 0, "nvme", "70000\n")
    chip(tmp_path, 1, "cpu_thermal", "51540\n", "52100\n")
    assert temperature_c(tmp_path) == 52.1


def test_where_no_sensor_is_known_as_the_processors_another_is_taken(tmp_path: Path) -> None:
    chip(tmp_path, 0, "rpi_volt")
    chip(tmp_path, 1, "board", "-5000\n")
    assert temperature_c(tmp_path) == -5.0


def test_a_sensor_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    chip(tmp_path, 0, "cpu_thermal", "")
    (tmp_path / "hwmon0" / "temp9_input").mkdir()  # reading it is an error
    assert temperature_c(tmp_path) is None
    assert temperature_c(tmp_path / "none") is None


def test_addresses_are_those_of_interfaces_that_are_up() -> None:
    wanted = [
        entry.address
        for interface, entries in psutil.net_if_addrs().items()
        for entry in entries
        if entry.family is socket.AF_INET
        and not entry.address.startswith("127.")
        and psutil.net_if_stats()[interface].isup
    ]
    assert addresses() == wanted


def test_an_interface_that_is_down_has_no_address_for_others(tmp_path: Path) -> None:
    for interface in psutil.net_if_addrs():
        (tmp_path / interface).mkdir()
        (tmp_path / interface / "operstate").write_text("down\n")
    assert addresses(tmp_path) == []
