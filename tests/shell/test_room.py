"""How often the room on the disk is looked at, and what becomes of the ballast."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.shell.disk import Disk, FailureKind
from gateway.shell.room import LOOK_S, NEAR_BYTES, Room

LEAST = 64 << 20
BALLAST = 4096


class Space:
    """A real directory on a file system that says it has `free` bytes."""

    def __init__(self, directory: Path) -> None:
        self.free = 0
        self.broken = False
        self.directory = directory
        self.room = Room(directory, replace(Disk(), statvfs=self._statvfs), LEAST, BALLAST)

    @property
    def has_ballast(self) -> bool:
        path = self.directory / "ballast"
        return path.exists() and path.stat().st_blocks * 512 >= BALLAST

    def _statvfs(self, path: str) -> os.statvfs_result:
        if self.broken:
            raise OSError(5, "broken")
        found = list(os.statvfs(path))
        found[1], found[4] = 1, self.free  # f_frsize, f_bavail
        return os.statvfs_result(found)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return Space(tmp_path)


def test_less_than_the_least_is_a_full_disk_until_there_is_more(space: Space) -> None:
    space.free = LEAST - 1
    problem = space.room.look()
    assert problem is not None
    assert problem.kind is FailureKind.FULL
    assert "64 MB" in problem.text
    space.broken = True
    assert space.room.look() is problem  # not known: as it was
    space.broken, space.free = False, LEAST
    assert space.room.look() is None


def test_the_ballast_is_made_again_when_there_is_plenty_and_not_before(space: Space) -> None:
    space.room.make_ballast()
    assert space.has_ballast
    assert space.room.drop_ballast()
    assert not space.room.drop_ballast()
    space.free = LEAST + 2 * BALLAST
    space.room.look()
    assert not space.has_ballast
    space.free += 1
    space.room.look()
    assert space.has_ballast


def test_plenty_of_room_is_looked_at_once_a_second_and_little_each_time(space: Space) -> None:
    space.free = LEAST + NEAR_BYTES
    space.room.look()
    assert not space.room.is_to_be_looked_at()
    space.room._looked -= LOOK_S
    assert space.room.is_to_be_looked_at()
    space.free -= 1
    space.room.look()
    assert space.room.is_to_be_looked_at()
