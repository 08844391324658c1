"""The loop: real gateways on a LAN are hurt while real clients hold them to their word.

    .venv/bin/python -m tests.chaos.loop --rounds 30 --seed 1 [--gateways 2,3,5] [--fault destroy]

In each round publishers say 1,000 numbered messages each, at QoS 1 and at QoS 2, to subscribers with
persistent sessions that roam, and one fault happens in the midst. Everybody who loses a gateway goes
to another at once. When all is mended everything is counted. Exit status 1 if anything acknowledged
is missing, doubled at QoS 2, out of order or unasked. Needs root, for the namespaces; the directories
of the gateways of a round that failed are kept below var/chaos/.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tests.chaos.cast import Cast
from tests.chaos.faults import FAULTS, Fault, Scene, Story
from tests.chaos.kinds import Dated, Small
from tests.chaos.lan import Lan
from tests.chaos.mesh import Mesh
from tests.chaos.verdict import Verdict, judge, table
from tests.gateways import NotInTime

SIZES = (2, 3, 5)
SECONDS = 10.0  # of publishing
FIRST_BLOW_S = (1.5, 4.0)
COPIED_S_MAX = 60.0  # until all have two copies, before a round and behind it
ARRIVED_S_MAX = 60.0
LOOK_S = 0.2
KEPT = Path("var/chaos")
KINDS = {"gw1": Dated, "gw2": Small}


def play(mesh: Mesh, number: int, fault: Fault, random: Random) -> Verdict:
    """One round on a mesh that is whole."""
    begun_at = time.monotonic()
    names = placed(mesh, fault, random)
    doors = [(mesh[name].host, mesh[name].port) for name in names]
    cast = Cast(f"r{number}", doors, random)
    verdict = Verdict(number, len(names), fault.name, ", ".join(names[:2]))

    def struck() -> None:
        cast.struck()
        verdict.under_way = max(verdict.under_way, cast.under_way())

    try:
        cast.start(SECONDS)
        cast.watch(lambda: False, random.uniform(*FIRST_BLOW_S))
        if fault.loses_a_store and not cast.watch(lambda: is_safe(mesh), COPIED_S_MAX, LOOK_S):
            verdict.wrong.append(f"never two copies of everything: {what_is_missing(mesh)}")
        tell(cast, fault.story(Scene(mesh, names[0], names[1], random, struck)))
        mended_at = time.monotonic()
        if not cast.watch(lambda: is_whole(mesh), COPIED_S_MAX, LOOK_S):
            verdict.wrong.append(f"the mesh is not whole: {what_is_missing(mesh)}")
        verdict.whole_s = time.monotonic() - mended_at
        cast.finish(ARRIVED_S_MAX)
    finally:
        verdict.wrong += cast.end()
    verdict.served_s = cast.served_s
    judge(verdict, cast, fault)
    for gateway in mesh.gateways.values():
        if "Traceback" in gateway.log():
            verdict.wrong.append(f"{gateway.name} stumbled: see its log")
    verdict.story = f"struck at {cast.blows}\n{cast.story()}"
    verdict.took_s = time.monotonic() - begun_at
    return verdict


def placed(mesh: Mesh, fault: Fault, random: Random) -> list[str]:
    """The gateways in the order of this round: the first two have the clients at its begin."""
    names = random.sample(mesh.names, len(mesh.names))
    special = next(name for name in names if isinstance(mesh[name], fault.kind))
    names.remove(special)
    names.insert(random.randrange(2), special)
    return names


def tell(cast: Cast, story: Story) -> None:
    """The clients go on in the pauses of the story."""
    for pause_s in story:
        cast.watch(lambda: False, pause_s)


def is_safe(mesh: Mesh) -> bool:
    """Whether all that live say that they have two copies of everything."""
    return all(mesh.has_two_copies(name) for name in mesh.names)


def is_whole(mesh: Mesh) -> bool:
    try:
        return mesh.complete() and is_safe(mesh)
    except OSError:  # one has just begun
        return False


def what_is_missing(mesh: Mesh) -> str:
    return "; ".join(
        f"{gateway.name}: {gateway.states()}, {gateway.status()['copies']}"
        for gateway in mesh.gateways.values()
        if gateway.running()
    )


def deck(
    rounds: int, sizes: Sequence[int], faults: Sequence[Fault], random: Random
) -> list[tuple[int, Fault]]:
    """So many rounds, in which everything comes equally often; all of one size in one go."""
    pairs: list[tuple[int, Fault]] = []
    while len(pairs) < rounds:
        every = [(size, f) for size in sizes for f in faults if size >= f.gateways_min]
        pairs += random.sample(every, len(every))
    return sorted(pairs[:rounds], key=lambda pair: pair[0])


def run(
    directory: Path,
    rounds: int,
    seed: int,
    sizes: Sequence[int],
    faults: Sequence[Fault],
) -> Iterator[Verdict]:
    """Plays the rounds. Behind one that failed the next begins with new gateways."""
    random = Random(seed)
    waiting = list(enumerate(deck(rounds, sizes, faults, random)))
    while waiting:
        size = waiting[0][1][0]
        with Lan() as lan:
            place = directory / f"from-{waiting[0][0]}"
            mesh = Mesh(place, lan, [f"gw{n + 1}" for n in range(size)], KINDS)
            try:
                mesh.start()
                verdict = None
                while waiting and waiting[0][1][0] == size and (verdict is None or verdict.good):
                    number, (_, fault) = waiting.pop(0)
                    verdict = _round(mesh, number, fault, Random(f"{seed} {number}"))
                    if not verdict.good:
                        place_kept = keep(mesh, KEPT / f"{seed}-{number}")
                        (place_kept / "clients.txt").write_text(verdict.story)
                        verdict.wrong.append(f"kept in {place_kept}")
                    yield verdict
            finally:
                mesh.close()
        shutil.rmtree(place, ignore_errors=True)


def _round(mesh: Mesh, number: int, fault: Fault, random: Random) -> Verdict:
    try:
        mesh.settle()
        end = time.monotonic() + COPIED_S_MAX
        while not is_whole(mesh):
            assert time.monotonic() < end, what_is_missing(mesh)
            time.sleep(0.1)
        return play(mesh, number, fault, random)
    except (AssertionError, NotInTime, OSError) as error:
        return Verdict(number, len(mesh.names), fault.name, "-", wrong=[repr(error)])


def keep(mesh: Mesh, place: Path) -> Path:
    """Ends the gateways, and keeps what they have on disk and said."""
    shutil.rmtree(place, ignore_errors=True)
    mesh.close()
    for gateway in mesh.gateways.values():
        shutil.copytree(gateway.directory, place / gateway.name, ignore=_not_sockets)
    return place


def _not_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gateways", default="2,3,5", help="how many, one after the other")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only this one")
    options = parser.parse_args()
    sizes = [int(word) for word in options.gateways.split(",")]
    faults = [FAULTS[name] for name in options.fault or FAULTS]
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="gwt") as name:
        rounds = run(Path(name), options.rounds, options.seed, sizes, faults)
        for verdict in rounds:
            print(verdict, flush=True)
            verdicts.append(verdict)
    print(f"\nseed {options.seed}, {len(verdicts)} rounds\n\n{table(verdicts)}")
    return 0 if all(verdict.good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
