"""A bounded number of runs; by hand more: python -m tests.sim --seeds 1000, --disks, --calm."""

import os
import subprocess
import sys

import pytest

from tests.sim.clean import clean
from tests.sim.kinds import Kind

SEEDS = 8
SEEDS_WITH_DISKS = 2
SEEDS_IN_CALM = 2
SEEDS_WITH_A_LOSS = 2
SEEDS_WITH_CUTS = 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_what_is_promised_holds_whatever_goes_wrong(seed: int) -> None:
    outcome = clean(seed, Kind.MEMORY)
    assert outcome.deliveries > 500, "a run in which nothing happens proves nothing"
    assert not outcome.problems, "\n".join([f"replay: {outcome.replay()}", *outcome.problems])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS_WITH_DISKS + 1))
def test_what_is_kept_on_disk_is_delivered_whatever_goes_wrong(seed: int) -> None:
    outcome = clean(seed, Kind.DISKS)
    assert outcome.deliveries > 500, "a run in which nothing happens proves nothing"
    assert not outcome.problems, "\n".join([f"replay: {outcome.replay()}", *outcome.problems])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS_IN_CALM + 1))
def test_sessions_that_roam_lose_nothing_double_nothing_and_keep_the_order(seed: int) -> None:
    outcome = clean(seed, Kind.CALM)
    assert outcome.deliveries > 500, "a run in which nothing happens proves nothing"
    assert not outcome.problems, "\n".join([f"replay: {outcome.replay()}", *outcome.problems])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS_WITH_A_LOSS + 1))
def test_sessions_that_roam_survive_a_disk_that_is_destroyed(seed: int) -> None:
    outcome = clean(seed, Kind.LOSS)
    assert outcome.deliveries > 500, "a run in which nothing happens proves nothing"
    assert not outcome.problems, "\n".join([f"replay: {outcome.replay()}", *outcome.problems])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS_WITH_CUTS + 1))
def test_two_that_lost_each_other_are_served_over_a_third_as_if_nothing_were_wrong(
    seed: int,
) -> None:
    outcome = clean(seed, Kind.PARTIAL if seed % 2 else Kind.PARTIAL_DISKS)
    assert outcome.deliveries > 500, "a run in which nothing happens proves nothing"
    assert not outcome.problems, "\n".join([f"replay: {outcome.replay()}", *outcome.problems])


@pytest.mark.slow
def test_a_seed_is_the_same_run_whatever_the_hashes_are() -> None:
    traces = [_trace(hash_seed) for hash_seed in ("1", "2")]
    assert traces[0] == traces[1]
    assert len(traces[0]) > 1000


def _trace(hash_seed: str) -> list[str]:
    command = [sys.executable, "-m", "tests.sim", "--seed", "2"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.stdout.splitlines()
