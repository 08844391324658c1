"""Runs a seed and asks every checker."""

import traceback
from dataclasses import dataclass, field

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
    standins,
    wills,
)
from tests.sim.history import NEVER
from tests.sim.kinds import Kind
from tests.sim.scenario import Scenario


@dataclass
class Outcome:
    """`trace` is the same for the same seed, everywhere. `found` are problems, by the check that found
    them."""

    seed: int
    kind: Kind
    found: dict[str, list[str]] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    deliveries: int = 0
    virtual_s: float = 0.0

    @property
    def problems(self) -> list[str]:
        """All that is wrong, with the name of the check."""
        return [f"{check}: {text}" for check, texts in self.found.items() for text in texts]

    def replay(self) -> str:
        """The command that does it again."""
        return " ".join(f"python -m tests.sim {self.kind.value} --seed {self.seed}".split())


def run(seed: int, kind: Kind = Kind.MEMORY) -> Outcome:
    """One seed. What the machines assert is a problem like others."""
    scenario = Scenario(seed, kind)
    history, boxes = scenario.history, scenario.boxes
    scenario.on_look = lambda: copies.look(history, boxes, scenario.world.now)
    try:
        scenario.run()
        found = {
            "serving": serving.check(history),
            "once": once.check(history),
            "order": order.check(history),
            "arrived": arrived.check(history),
            "retained": retained.check(history, boxes),
            "shared": shared.check(history),
            "kept": kept.check(history),
            "copies": history.not_copied,
            "roads": history.no_road,
            "bounded": bounded.check(boxes),
            "single": single.check(boxes),
        }
        scenario.bury()
        found["wills"] = wills.check(history)
        if history.buried_at < NEVER:
            found["standins"] = standins.check(boxes)
    except Exception:  # whatever escapes a node is a find
        found = {"escaped": traceback.format_exc().splitlines()}
    deliveries = sum(len(each.deliveries) for each in (*history.sessions, *history.kept))
    found = {check: texts for check, texts in found.items() if texts}
    return Outcome(seed, kind, found, scenario.world.trace, deliveries, scenario.world.now)
