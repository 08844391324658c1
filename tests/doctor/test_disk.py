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
