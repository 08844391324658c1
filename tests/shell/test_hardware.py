"""What a box says of itself (gateway/shell/hardware.py)."""

import socket
from pathlib import Path

import psutil
import pytest

from gateway.shell.hardware import Measures, addresses, measure


def test_a_box_is_measured(tmp_path: Path) -> None:
    measures = measure(str(tmp_path))
    assert isinstance(measures, Measures)
    assert 0 <= measures.load < 1000
    assert measures.memory_percent == pytest.approx(psutil.virtual_memory().percent, abs=10)
    disk = psutil.disk_usage(str(tmp_path))
    assert measures.disk_percent == pytest.approx(100 * disk.used / disk.total, abs=2)


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
