"""python -m tests.sim --seed 17          one seed, with its trace
python -m tests.sim --seeds 1000        many; those that fail, and what is wrong with them"""

import argparse
import sys

from tests.sim.kinds import asked
from tests.sim.run import run

SHOWN = 20  # problems of one seed
PROGRESS = 50  # seeds from one sign of life to the next


def main() -> int:
    """Exit status 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one and print its trace")
    parser.add_argument("--seeds", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="where to begin")
    parser.add_argument("--disks", action="store_true", help="gateways that keep sessions")
    parser.add_argument("--calm", action="store_true", help="nothing goes wrong")
    parser.add_argument("--loss", action="store_true", help="nothing but a disk that is destroyed")
    parser.add_argument("--partial", action="store_true", help="nothing but cuts between two")
    parser.add_argument("--hard", action="store_true", help="more goes wrong, and more is asked")
    options = parser.parse_args()
    kind = asked(options.disks, options.calm, options.loss, options.partial, options.hard)
    if options.seed is not None:
        outcome = run(options.seed, kind)
        print("\n".join([*outcome.trace, *outcome.problems]))
        return bool(outcome.problems)
    failed = deliveries = 0
    for seed in range(options.first, options.first + options.seeds):
        outcome = run(seed, kind)
        deliveries += outcome.deliveries
        if outcome.problems:
            failed += 1
            print(f"{outcome.replay()}   # {len(outcome.problems)} problems", flush=True)
            for problem in outcome.problems[:SHOWN]:
                print(f"    {problem}", flush=True)
        done = seed - options.first + 1
        if done % PROGRESS == 0:
            print(f"# {done} seeds, {failed} failed", flush=True)
    print(f"{options.seeds} seeds, {failed} failed, {deliveries} deliveries")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
