"""`make fuzz SECONDS=60`: scripts of new seeds, inside and against a daemon, until the time is over.

    python -m tests.fuzz --seconds 3600
    python -m tests.fuzz --seed 7          one seed again
    python -m tests.fuzz --replay FILE     a script that failed, as it was kept

A script that fails is cut down to the actions that it needs, and kept below var/fuzz/.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

from tests.fuzz.inside import Inside, codec
from tests.fuzz.outside import daemon
from tests.fuzz.script import Action, make

STEPS = 120
CODEC_ROUNDS = 500
KEPT = Path("var/fuzz")
SHRINK_S = 20.0  # for making a failing script smaller

Play = Callable[[list[Action]], None]


def inside(actions: list[Action]) -> None:
    Inside().play(actions)


def shrunk(actions: list[Action]) -> list[Action]:
    """A shorter script that fails as well, found by leaving out runs of actions."""
    until = time.monotonic() + SHRINK_S
    size = len(actions) // 2
    while size:
        at = 0
        while at < len(actions) and time.monotonic() < until:
            fewer = actions[:at] + actions[at + size :]
            try:
                inside(fewer)
                at += size
            except Exception:
                actions = fewer
        size //= 2
    return actions


def report(seed: int, place: str, actions: list[Action]) -> None:
    """Says what failed and keeps it."""
    traceback.print_exc()
    if place == "inside":
        actions = shrunk(actions)
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{place}-{seed}.json"
    path.write_text(json.dumps(actions, indent=0))
    print(f"seed {seed} fails {place}; again: python -m tests.fuzz --replay {path}")


def attempt(seed: int, place: str, play: Play) -> bool:
    """Whether the script of this seed passes."""
    actions = make(seed, STEPS)
    try:
        play(actions)
    except Exception:
        report(seed, place, actions)
        return False
    return True


def run(first: int, seconds: float, against_daemon: bool = True) -> tuple[int, int]:
    """Scripts and failures; ends at the first failure. Half of the time goes to the daemon."""
    begin = time.monotonic()
    seed, inside_until = first, begin + seconds * (0.5 if against_daemon else 1)
    while time.monotonic() < inside_until:
        codec(seed, CODEC_ROUNDS)
        if not attempt(seed, "inside", inside):
            return seed - first + 1, 1
        seed += 1
    if against_daemon:
        with daemon() as outside:
            while time.monotonic() < begin + seconds:
                if not attempt(seed, "outside", outside.play):
                    return seed - first + 1, 1
                seed += 1
    return seed - first, 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--replay", type=Path)
    arguments = parser.parse_args()
    if arguments.replay is not None:
        actions = json.loads(arguments.replay.read_text())
        if arguments.replay.name.startswith("outside"):
            with daemon() as outside:
                outside.play(actions)
        else:
            inside(actions)
        return 0
    if arguments.seed is not None:
        codec(arguments.seed, CODEC_ROUNDS)
        return 0 if attempt(arguments.seed, "inside", inside) else 1
    first = SystemRandom().randrange(1_000_000_000)
    print(f"from seed {first} on, for {arguments.seconds:.0f} s")
    scripts, failures = run(first, arguments.seconds)
    print(f"{scripts} scripts, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
