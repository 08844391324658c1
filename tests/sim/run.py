"""Runs a seed and asks every checker."""

import traceback
from dataclasses import dataclass

from tests.sim.checks import arrived, bounded, once, order, retained, serving
from tests.sim.scenario import Scenario


@dataclass
class Outcome:
    """`trace` is the same for the same seed, everywhere."""

    seed: int
    problems: list[str]
    trace: list[str]
    deliveries: int

    def replay(self) -> str:
        """The command that does it again."""
        return f"python -m tests.sim --seed {self.seed}"


def run(seed: int) -> Outcome:
    """One seed; what the machines themselves assert is a problem like others."""
    scenario = Scenario(seed)
    history = scenario.history
    try:
        scenario.run()
        problems = [
            *serving.check(history),
            *once.check(history),
            *order.check(history),
            *arrived.check(history),
            *retained.check(history, scenario.boxes),
            *bounded.check(scenario.boxes),
        ]
    except Exception:  # whatever escapes a node is a find
        problems = traceback.format_exc().splitlines()
    deliveries = sum(len(session.deliveries) for session in history.sessions)
    return Outcome(seed, problems, scenario.world.trace, deliveries)
