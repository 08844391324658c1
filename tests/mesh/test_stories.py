"""A bounded number of stories; by hand more: python -m tests.mesh.stories [loss] [cuts] 1 300."""

import pytest

from tests.mesh.stories import Story

SEEDS, SEEDS_WITH_A_LOSS, SEEDS_WITH_CUTS = 16, 8, 8


def told(seed: int, **kinds: bool) -> None:
    story = Story(seed, **kinds)
    found = story.run()
    options = "".join(f" {kind}" for kind in kinds)
    replay = f"python -m tests.mesh.stories{options} trace {seed} {seed}"
    assert len(story.all_said) >= 5, "a story in which nothing is said proves nothing"
    assert not found, "\n".join([f"replay: {replay}", *found, *story.log])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_whoever_dies_and_comes_back_sessions_lose_nothing_and_get_qos_2_once(seed: int) -> None:
    told(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS_WITH_A_LOSS + 1))
def test_a_disk_that_is_lost_while_there_are_two_copies_costs_nothing(seed: int) -> None:
    told(seed, loss=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS_WITH_CUTS + 1))
def test_cuts_between_gateways_lose_nothing_and_leave_nothing_behind(seed: int) -> None:
    told(seed, cuts=True)
