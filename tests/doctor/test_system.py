"""The checks of the box, on boxes that are built in a folder."""

from pathlib import Path

import pytest

from gateway.doctor import system
from gateway.doctor.finding import Level


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("year", "state", "level"),
    [
        (1970, 0, Level.ERROR),
        (2030, 5, Level.WARNING),
        (2030, -1, Level.WARNING),
        (2030, 0, Level.OK),
    ],
)
def test_a_clock_is_judged_by_its_year_and_the_kernel(year: int, state: int, level: Level) -> None:
    assert system.clock(year, state).level is level


def test_the_kernel_says_how_its_clock_is() -> None:
    assert system.clock_state() in range(-1, 6)


def test_the_time_since_the_start_is_told(tmp_path: Path) -> None:
    assert system.boot(tmp_path).level is Level.WARNING
    put(tmp_path, "proc/uptime", "93784.5 1000.0\n")
    assert system.boot(tmp_path).text == "the box started 1 d 2 h 3 min ago"


@pytest.mark.parametrize(
    ("available", "level"), [(3, Level.ERROR), (9, Level.WARNING), (10, Level.OK)]
)
def test_memory_is_judged_by_what_is_available(
    tmp_path: Path, available: int, level: Level
) -> None:
    text = f"MemTotal: 1024000 kB\nMemFree: 1 kB\nMemAvailable: {available * 10240} kB\n"
    put(tmp_path, "proc/meminfo", text)
    finding = system.memory(tmp_path)
    assert finding.level is level
    assert finding.text == f"{available * 10} MB of 1000 MB available"


def test_memory_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert system.memory(tmp_path).level is Level.WARNING
    put(tmp_path, "proc/meminfo", "MemTotal: much\n")
    assert system.memory(tmp_path).level is Level.WARNING


@pytest.mark.parametrize(
    ("life", "spare", "level", "words"),
    [
        ("0x01 0x02", "0x01", Level.OK, "10 to 20 %"),
        ("0x00 0x00", "0x01", Level.OK, "does not tell"),
        ("0x08 0x01", "0x01", Level.WARNING, "70 to 80 %"),
        ("0x01 0x01", "0x02", Level.WARNING, "spare blocks too"),
        ("0x01 0x01", "0x03", Level.ERROR, "no spare blocks"),
        ("0x0b 0x01", "0x01", Level.ERROR, "used up"),
    ],
)
def test_the_wear_of_an_emmc_is_judged(
    tmp_path: Path, life: str, spare: str, level: Level, words: str
) -> None:
    put(tmp_path, "sys/block/mmcblk0/device/life_time", life + "\n")
    put(tmp_path, "sys/block/mmcblk0/device/pre_eol_info", spare + "\n")
    (finding,) = system.wear(tmp_path)
    assert (finding.check, finding.level) == ("card mmcblk0", level)
    assert words in finding.text


def test_an_sd_card_tells_nothing_and_a_box_without_one_is_not_blamed(tmp_path: Path) -> None:
    assert list(system.wear(tmp_path)) == []
    put(tmp_path, "sys/block/mmcblk1/device/type", "SD\n")
    (finding,) = system.wear(tmp_path)
    assert finding.level is Level.OK and "SD cards never do" in finding.text


def test_where_the_log_goes_is_told(tmp_path: Path) -> None:
    assert system.log(tmp_path).level is Level.WARNING
    put(tmp_path, "run/systemd/journal/socket", "")
    assert "in memory" in system.log(tmp_path).text
    (tmp_path / "var/log/journal").mkdir(parents=True)
    assert "on the disk" in system.log(tmp_path).text


@pytest.mark.parametrize(
    ("box_s", "gatewayd_s", "level"),
    [
        (90_000, 80_000, Level.OK),
        (700, 650, Level.OK),
        (60, 50, Level.OK),
        (90_000, 59, Level.WARNING),
    ],
)
def test_a_gatewayd_that_started_again_is_told(
    tmp_path: Path, box_s: int, gatewayd_s: int, level: Level
) -> None:
    put(tmp_path, "proc/uptime", f"{box_s}.0 1.0\n")
    status = {"uptime_s": gatewayd_s, "health": "healthy", "problems": []}
    (finding,) = system.gatewayd(tmp_path, status)
    assert finding.level is level
    assert ("journalctl -u gatewayd" in finding.remedy) == (level is Level.WARNING)


def test_what_gatewayd_says_of_itself_is_passed_on(tmp_path: Path) -> None:
    assert list(system.gatewayd(tmp_path, None)) == []
    problems = [{"text": "gw3 is dead"}, {"text": "another"}]
    status = {"uptime_s": 1.0, "health": "degraded", "problems": problems}
    _, finding = system.gatewayd(tmp_path, status)
    assert finding.level is Level.WARNING
    assert "gw3 is dead" in finding.text and "gwctl status" in finding.remedy
