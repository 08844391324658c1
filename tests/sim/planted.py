"""python -m tests.sim.planted            each planted bug is found: after how many seeds, by which check
python -m tests.sim.planted WORDS...   only those whose name has one of the words"""

import argparse
import sys

from tests.sim.bugs import BUGS, RARE, Bug
from tests.sim.mutation import planted
from tests.sim.run import Outcome, run

SEEDS_MAX = 100  # until a bug counts as not found


def with_bug(bug: Bug, seed: int) -> Outcome:
    """One run of the changed code."""
    with planted(*bug.changes):
        return run(seed, bug.kind)


def hunt(bug: Bug, seeds_max: int) -> Outcome | None:
    """The first seed that finds it, counted from 1; None: none does."""
    outcomes = (with_bug(bug, seed) for seed in range(1, seeds_max + 1))
    return next((outcome for outcome in outcomes if outcome.found), None)


def main() -> int:
    """Exit status 1 when a bug was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.planted", description=__doc__)
    parser.add_argument("words", nargs="*", help="in the names of the bugs")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="for each, at most")
    options = parser.parse_args()
    missed = 0
    for bug in BUGS + RARE:
        if options.words and not any(word in bug.name for word in options.words):
            continue
        outcome = hunt(bug, options.seeds)
        missed += outcome is None
        found = f"not found in {options.seeds}" if outcome is None else _words(outcome)
        print(f"{bug.name:<78} {bug.kind.name.lower():<7} {found}", flush=True)
    return bool(missed)


def _words(outcome: Outcome) -> str:
    checks = ", ".join(outcome.found)
    return f"{outcome.seed:>3} {'seed' if outcome.seed == 1 else 'seeds'}: {checks}"


if __name__ == "__main__":
    sys.exit(main())
