"""A checker is worth what it finds: each planted bug is found, by a seed that finds nothing without it.

`python -m tests.sim.planted` tells how many seeds each takes.
"""

import pytest

from tests.sim.bugs import BUGS, RARE, Bug
from tests.sim.clean import clean
from tests.sim.planted import with_bug

SEEDS_MAX = (
    12  # tried behind the one that is known: any change of the code makes other runs of them
)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_simulator_finds_that(bug: Bug) -> None:
    seeds = dict.fromkeys([bug.seed, *range(1, SEEDS_MAX + 1)])
    found = next((seed for seed in seeds if with_bug(bug, seed).found), None)
    assert found is not None, f"no seed finds that {bug.name}"
    without = clean(found, bug.kind)
    assert not without.problems, "\n".join([f"replay: {without.replay()}", *without.problems])


def test_there_are_bugs_of_all_that_is_promised() -> None:
    assert len(BUGS) >= 16 and len(BUGS + RARE) >= 20
    assert len({bug.name for bug in BUGS + RARE}) == len(BUGS + RARE)
