"""The check of the state directory, on a real one."""

from pathlib import Path

import pytest

from gateway.doctor import disk
from gateway.doctor.finding import Level


def test_a_directory_is_written_and_left_as_it_was(tmp_path: Path) -> None:
    finding = disk.state_directory(str(tmp_path))
    assert "a write is safe after" in finding.text
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    finding = disk.state_directory(str(tmp_path / "none"))
    assert finding.level is Level.ERROR and "No such file" in finding.text


@pytest.mark.parametrize(
    ("free_mb", "sync_ms", "level"),
    [
        (49, 1.0, Level.ERROR),
        (499, 1.0, Level.WARNING),
        (500, 251.0, Level.WARNING),
        (500, 250.0, Level.OK),
    ],
)
def test_room_and_speed_are_judged(free_mb: int, sync_ms: float, level: Level) -> None:
    assert disk.judge("/var", free_mb, sync_ms).level is level


@pytest.mark.parametrize(
    ("days", "level"), [(29, Level.ERROR), (364, Level.WARNING), (5_000, Level.OK)]
)
def test_how_long_a_card_lasts_is_judged(days: float, level: Level) -> None:
    (finding,) = disk.life({"store": {"card_life_days": days}})
    assert finding.level is level and f"{days:,} days" in finding.text
    assert bool(finding.remedy) == (level is not Level.OK)


@pytest.mark.parametrize("status", [None, {}, {"store": None}, {"store": {"card_life_days": None}}])
def test_what_is_not_known_of_a_card_is_not_judged(status: dict[str, object] | None) -> None:
    assert list(disk.life(status)) == []
