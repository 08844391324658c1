"""Mesh time never goes back, and a stamp is newer than all that were seen."""

import pytest

from gateway.clock import SAVE_STEP_MS, TIME_MS_MAX, MeshClock
from gateway.errors import LinkError
from gateway.ids import Stamp


def test_it_runs_with_the_monotonic_clock_and_jumps_forward_only() -> None:
    clock = MeshClock("a", 0, 50.0)
    assert clock.read(50.0) == 0
    assert clock.read(51.5) == 1500
    clock.seen(1_000_000, 51.5)
    assert clock.read(51.5) == 1_000_000
    clock.seen(3, 51.6)
    assert clock.read(52.5) == 1_001_000


def test_it_does_not_go_back_when_the_monotonic_clock_begins_anew() -> None:
    clock = MeshClock("a", 0, 50_000.0)
    clock.seen(7_000_000, 50_000.0)
    saved = clock.to_save(50_000.0)
    assert saved is not None
    last = clock.stamp(50_020.0)
    assert saved.time_ms > last.time_ms, "used before it was saved"
    after = MeshClock("a", saved.time_ms, 0.5)
    assert after.stamp(0.5) > last


def test_it_is_saved_in_steps_and_always_ahead() -> None:
    clock = MeshClock("a", 0, 0.0)
    saved_ms, saves = 0, 0
    for now in range(600):
        save = clock.to_save(float(now))
        if save is not None:
            saved_ms, saves = save.time_ms, saves + 1
        assert clock.stamp(now + 0.9).time_ms < saved_ms
    assert saves <= 600_000 / (SAVE_STEP_MS / 2) + 2


def test_a_stamp_is_newer_than_one_of_the_same_millisecond_from_elsewhere() -> None:
    clock = MeshClock("a", 0, 0.0)
    clock.seen(1_000, 0.5, counter=7)
    assert clock.stamp(0.5) > Stamp(1_000, 7, "z")


def test_stamps_within_a_millisecond_grow() -> None:
    clock = MeshClock("a", 0, 0.0)
    stamps = [clock.stamp(1.0) for _ in range(5)]
    assert sorted(set(stamps)) == stamps


def test_a_time_that_nothing_could_take_back_is_refused() -> None:
    clock = MeshClock("a", 0, 0.0)
    for time_ms, counter in ((TIME_MS_MAX + 1, 0), (1, TIME_MS_MAX + 1)):
        with pytest.raises(LinkError):
            clock.seen(time_ms, 0.0, counter)
    assert clock.read(0.0) == 0
