"""python -m tests.sim.many --seeds 200    runs of all kinds, two at a time; what fails, and a summary"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from tests.sim.kinds import Kind
from tests.sim.run import Outcome, run

SHOWN = 20  # problems of one seed
PROGRESS = 50  # seeds from one sign of life to the next
# What the kind of a seed is; as a share of all. Those in memory are the fastest.
SHARES = {
    Kind.MEMORY: 8,
    Kind.DISKS: 6,
    Kind.LOSS: 2,
    Kind.CALM: 1,
    Kind.PARTIAL: 2,
    Kind.PARTIAL_DISKS: 1,
}
CYCLE = [kind for kind, share in SHARES.items() for _ in range(share)]


def kind_of(seed: int) -> Kind:
    """Always the same one for a seed."""
    return CYCLE[seed % len(CYCLE)]


def one(seed: int) -> Outcome:
    """Without its trace, which is long."""
    return replace(run(seed, kind_of(seed)), trace=[])


def main() -> int:
    """Exit status 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.many", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="where to begin")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    options = parser.parse_args()
    began, failed, deliveries, virtual_s = time.monotonic(), 0, 0, 0.0
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, outcome in enumerate(pool.map(one, seeds), 1):
            deliveries += outcome.deliveries
            virtual_s += outcome.virtual_s
            if outcome.problems:
                failed += 1
                print(f"{outcome.replay()}   # {len(outcome.problems)} problems")
                print("".join(f"    {text}\n" for text in outcome.problems[:SHOWN]), end="")
            if done % PROGRESS == 0:
                print(f"# {done} seeds, {failed} failed", flush=True)
    kinds = Counter(kind_of(seed).name.lower().replace("_", " ") for seed in seeds)
    words = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    minutes, took_s = virtual_s / 60, time.monotonic() - began
    print(f"{options.seeds} seeds ({words}), {failed} failed")
    print(f"{minutes:.0f} virtual minutes, {deliveries:,} deliveries, in {took_s:.0f} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
