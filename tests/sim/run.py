"""Runs a seed and asks every checker."""

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
    except Exception as error:  # whatever escapes a node is a find
        problems = [f"{type(error).__name__}: {error}"]
        if scenario.world.trace:
            raise_later = error.__traceback__
            while raise_later is not None and raise_later.tb_next is not None:
                raise_later = raise_later.tb_next
            if raise_later is not None:
                code = raise_later.tb_frame.f_code
                problems.append(f"raised in {code.co_filename}:{raise_later.tb_lineno}")
    deliveries = sum(len(session.deliveries) for session in history.sessions)
    return Outcome(seed, problems, scenario.world.trace, deliveries)
