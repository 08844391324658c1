"""How this box is: its load, its temperature, its addresses.

psutil is loaded when somebody asks, so that a start need not wait for it. Must not know who asks.
"""

import shutil
from typing import NamedTuple

_TEMPERATURES = ("cpu_thermal", "coretemp", "k10temp", "soc_thermal")


class Measures(NamedTuple):
    """Shares are percent; `load` is the one minute average per core."""

    load: float
    memory_percent: float
    disk_percent: float
    temperature_c: float | None


def measure(state_dir: str) -> Measures:
    """Reads the system's figures; blocks for a file system call, so not for the loop's thread."""
    import psutil

    disk = shutil.disk_usage(state_dir)
    return Measures(
        load=round(psutil.getloadavg()[0] / (psutil.cpu_count() or 1), 2),
        memory_percent=psutil.virtual_memory().percent,
        disk_percent=round(100 * disk.used / disk.total, 1),
        temperature_c=_temperature_c(),
    )


def _temperature_c() -> float | None:
    import psutil

    sensors = psutil.sensors_temperatures()
    for name in (*_TEMPERATURES, *sensors):
        readings = [sensor.current for sensor in sensors.get(name, ())]
        if readings:
            return max(readings)
    return None


def is_every_address(address: str) -> bool:
    """Whether who listens there listens on all that the box has."""
    return address in ("0.0.0.0", "::")


def addresses() -> list[str]:
    """The IPv4 addresses of this box that others can reach, in the order of the interfaces."""
    import psutil

    found = []
    up = psutil.net_if_stats()
    for interface, entries in psutil.net_if_addrs().items():
        if interface in up and not up[interface].isup:
            continue
        for entry in entries:
            if entry.family.name == "AF_INET" and not entry.address.startswith("127."):
                found.append(entry.address)
    return found
