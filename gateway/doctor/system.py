"""Checks of the box itself: clock, its start and gatewayd's, memory, wear of the card, the log.

`root` stands before every path in /proc, /sys and /run, so that a test can build a box. Must not know
the configuration.
"""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.doctor.finding import Finding, error, ok, warning

YEAR_MIN = 2025  # this version did not exist before
MEMORY_PERCENT_WARNING, MEMORY_PERCENT_ERROR = 10, 4  # available; below, the kernel ends processes
WEAR_WARNING, WEAR_ERROR = 8, 11  # tenths of the life that the maker promises; 11 is past its end
RESTARTED_S = 600  # gatewayd itself is that young, and the box that much older
_TIMEX_BYTES = 512  # more than struct timex of any Linux has
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def clock_state() -> int:
    """What adjtimex(2) returns; -1 where it may not be asked. Changes nothing."""
    library = ctypes.CDLL(None)
    return int(library.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))


def clock(year: int, state: int) -> Finding:
    """`state`: see `clock_state`."""
    if year < YEAR_MIN:
        text = f"the clock says {year}, which is past; certificates and expiry go by it"
        return error("clock", text, "see: timedatectl; let a time server be reached, UDP port 123")
    if state == _TIME_ERROR:
        text = "the clock is not synchronised with a time server"
        return warning(
            "clock", text, "see: timedatectl; let a time server be reached, UDP port 123"
        )
    if state < 0:
        return warning("clock", "the kernel did not say whether the clock is right", "see: date")
    return ok("clock", "synchronised with a time server")


def boot(root: Path) -> Finding:
    seconds = _uptime_s(root)
    if seconds is None:
        return warning("start", "when the box started cannot be read", "see: uptime")
    return ok("start", f"the box started {_long(seconds)} ago")


def gatewayd(root: Path, status: dict[str, Any] | None) -> Iterator[Finding]:
    """What gatewayd says of itself: since when it runs, and whether something is wrong."""
    if status is None:
        return
    up_s, box_s, check = status.get("uptime_s"), _uptime_s(root), "gatewayd's start"
    if isinstance(up_s, (int, float)):
        text = f"it started {_long(up_s)} ago"
        if box_s is not None and up_s < RESTARTED_S < box_s - up_s:
            text += ", long after the box"
            see = "if nobody restarted it, it failed: see: journalctl -u gatewayd, gwctl log"
            yield warning(check, text, see)
        else:
            yield ok(check, text)
    problems = status.get("problems")
    if status.get("health") == "degraded" and isinstance(problems, list) and problems:
        first = str(problems[0].get("text")) if isinstance(problems[0], dict) else ""
        text = f"it says that something is wrong, the worst first: {first}"
        yield warning("gatewayd's status", text, "see: gwctl status")


def _uptime_s(root: Path) -> float | None:
    try:
        return float((root / "proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _long(seconds: float) -> str:
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    return f"{days:.0f} d {hours:.0f} h {minutes:.0f} min"


def memory(root: Path) -> Finding:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        kilobytes = {
            name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)
        }
        total, available = kilobytes["MemTotal"], kilobytes["MemAvailable"]
        percent = 100 * available / total
    except (OSError, ValueError, IndexError, KeyError, ZeroDivisionError):
        return warning("memory", "how much there is cannot be read", "see: free")
    text = f"{available // 1024} MB of {total // 1024} MB available"
    remedy = "see: gwctl sessions, gwctl retained; lower mqtt.waiting_bytes_max"
    if percent < MEMORY_PERCENT_ERROR:
        return error("memory", text, remedy)
    if percent < MEMORY_PERCENT_WARNING:
        return warning("memory", text, remedy)
    return ok("memory", text)


def wear(root: Path) -> Iterator[Finding]:
    """One finding for each SD or eMMC card; only eMMC cards tell how worn they are."""
    for device in sorted((root / "sys/block").glob("mmcblk[0-9]/device")):
        yield _wear_of(device, device.parent.name)


def _wear_of(device: Path, name: str) -> Finding:
    check = f"card {name}"
    try:
        life = max(int(word, 16) for word in (device / "life_time").read_text().split())
        spare = int((device / "pre_eol_info").read_text(), 16)
    except (OSError, ValueError):
        return ok(check, "does not tell how worn it is; SD cards never do")
    # JEDEC eMMC 5.0: life in tenths from 1, 0 unknown; spare blocks 1 normal, 2 warning, 3 urgent.
    remedy = "copy the data partition to a new card before this one fails"
    text = f"{max(life - 1, 0) * 10} to {life * 10} % of its life is used"
    if life >= WEAR_ERROR or spare >= 3:
        return error(
            check, "its life is used up" if life >= WEAR_ERROR else "no spare blocks", remedy
        )
    if life >= WEAR_WARNING or spare == 2:
        return warning(check, text if spare != 2 else f"{text}, most spare blocks too", remedy)
    return ok(check, text if life else "does not tell how worn it is")


def log(root: Path) -> Finding:
    """Whether the journal is there, and whether it outlives a restart of the box."""
    if not (root / "run/systemd/journal/socket").exists():
        text = "journald does not run: what the daemons say is kept by nobody but gatewayd"
        return warning("log", text, "see: gwctl log; or systemctl start systemd-journald")
    if (root / "var/log/journal").is_dir():
        return ok("log", "journald keeps it on the disk")
    return ok("log", "journald keeps it in memory, until the box starts again")
