"""How this box is: its load, its temperature, its addresses.

Read where the kernel shows it: a library for that took 1.3 MB of a gateway's 40, for four numbers;
ifaddr is mDNS's own. Must not know who asks.
"""

import os
from pathlib import Path
from typing import NamedTuple

MEMORY = Path("/proc/meminfo")
SENSORS = Path("/sys/class/hwmon")
INTERFACES = Path("/sys/class/net")
_TEMPERATURES = ("cpu_thermal", "coretemp", "k10temp", "soc_thermal")
_CARRIES = ("up", "unknown", "")  # a tunnel does not say; a second name of an interface is no file


class Measures(NamedTuple):
    """Shares are percent; `load` is the one minute average per core."""

    load: float
    memory_percent: float
    disk_percent: float
    temperature_c: float | None


def measure(state_dir: str) -> Measures:
    """Reads the system's figures; blocks for a file system call, so not for the loop's thread."""
    disk = os.statvfs(state_dir)
    return Measures(
        load=round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
        memory_percent=memory_percent(MEMORY.read_text()),
        disk_percent=round(100 * (disk.f_blocks - disk.f_bfree) / disk.f_blocks, 1),
        temperature_c=temperature_c(SENSORS),
    )


def memory_percent(meminfo: str) -> float:
    """What cannot be had without swapping, from /proc/meminfo."""
    kb = {line.split(":")[0]: int(line.split()[1]) for line in meminfo.splitlines()}
    return round(100 * (1 - kb["MemAvailable"] / kb["MemTotal"]), 1)


def temperature_c(sensors: Path) -> float | None:
    """The warmest reading of the processor's sensor; where none is known as that, of any other."""
    found: dict[str, list[float]] = {}
    for chip in sorted(sensors.glob("hwmon*")):
        for sensor in chip.glob("temp*_input"):
            degrees = _degrees(sensor)
            if degrees is not None:
                found.setdefault(_text(chip / "name"), []).append(degrees)
    return next((max(found[name]) for name in (*_TEMPERATURES, *found) if name in found), None)


def addresses(interfaces: Path = INTERFACES) -> list[str]:
    """The IPv4 addresses of this box that others can reach, in the order of the interfaces."""
    import ifaddr  # it loads ctypes: a start need not wait for it

    return [
        str(each.ip)
        for adapter in ifaddr.get_adapters()
        if _text(interfaces / adapter.name / "operstate") in _CARRIES
        for each in adapter.ips
        if each.is_IPv4 and not str(each.ip).startswith("127.")
    ]


def _degrees(file: Path) -> float | None:
    text = _text(file)
    return int(text) / 1000 if text.lstrip("-").isdecimal() else None


def _text(file: Path) -> str:
    """Empty if there is none: a sensor may be there and not answer, an interface may be gone."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
