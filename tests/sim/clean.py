"""Runs of the code as it is, each once in a test session: several tests ask for the same seeds."""

from dataclasses import replace
from functools import cache

from tests.sim.kinds import Kind
from tests.sim.run import Outcome, run


@cache
def clean(seed: int, kind: Kind) -> Outcome:
    """Without its trace, which is long."""
    return replace(run(seed, kind), trace=[])
