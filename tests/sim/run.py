"""Runs a seed and asks every checker."""

import traceback
from dataclasses import dataclass

from tests.sim.checks import (
    arrived,
    bounded,
    copies,
    kept,
    once,
    order,
    retained,
    serving,
    shared,
    single,
    wills,
)
from tests.sim.scenario import Scenario


@dataclass
class Outcome:
    """`trace` is the same for the same seed, everywhere."""

    seed: int
    problems: list[str]
    trace: list[str]
    deliveries: int
    disks: bool = False
    calm: bool = False
    loss: bool = False
    partial: bool = False

    def replay(self) -> str:
        """The command that does it again."""
        options = " --disks" * self.disks + " --calm" * self.calm + " --loss" * self.loss
        options += " --partial" * self.partial
        return f"python -m tests.sim{options} --seed {self.seed}"


def run(
    seed: int,
    disks: bool = False,
    calm: bool = False,
    loss: bool = False,
    partial: bool = False,
) -> Outcome:
    """One seed, of gateways with or without disks, or faults, or with one kind of faults alone: the
    loss of a disk, or cuts between two gateways while a third one hears both.

    What the machines assert is a problem like others.
    """
    scenario = Scenario(seed, disks, calm, loss, partial)
    history = scenario.history
    scenario.on_look = lambda: copies.look(history, scenario.boxes, scenario.world.now)
    try:
        scenario.run()
        problems = [
            *serving.check(history),
            *once.check(history),
            *order.check(history),
            *arrived.check(history),
            *retained.check(history, scenario.boxes),
            *shared.check(history),
            *kept.check(history),
            *history.not_copied,
            *history.no_road,
            *bounded.check(scenario.boxes),
            *single.check(scenario.boxes),
        ]
        scenario.bury()
        problems += wills.check(history)
    except Exception:  # whatever escapes a node is a find
        problems = traceback.format_exc().splitlines()
    deliveries = sum(len(session.deliveries) for session in history.sessions)
    deliveries += sum(len(each.deliveries) for each in history.kept)
    return Outcome(seed, problems, scenario.world.trace, deliveries, disks, calm, loss, partial)
