"""The command line: `python -m bench`. Runs the rows, prints, decides the exit status.

0: every message arrived. 1: a broker lost, doubled, moved or altered messages, or failed in a row.
2: the bench could not begin.
"""

import argparse
import compileall
import contextlib
import gc
import json
import os
import platform
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import report
from bench.brokers import (
    Cores,
    Product,
    gateway,
    mosquitto,
    mosquitto_path,
    nats,
    nats_path,
    shovel,
)
from bench.measure import Round, Timing
from bench.report import Outcome
from bench.rows import ROWS, Row
from bench.settings import MOSQUITTO_SETTINGS
from bench.wire import BrokerError

GATEWAY = Path(sys.executable).parent / "gatewayd"
GATEWAY_PACKAGE = Path(__file__).parent.parent / "gateway"
FILES_MIN = 12_000  # sockets of 10,000 idle clients, with room
ROUNDS_MAX = 100
SECONDS_MAX = 60.0
LEGEND = """\
aim: the least ratio, the most in the unit, or the share of our QoS 1 rate to a clean session.
ceiling: msg/s of this generator against a peer that only shovels bytes or, where that peer was the
slower of the two, what the generator's processor time would have been enough for; ? where it is
not clear that the broker set the pace. others: other processes, all cores; they disturb figures."""
MISSING = {
    "mosquitto": "Mosquitto (apt install mosquitto)",
    "nats": "the NATS server (apt install nats-server)",
}
CEILING = Timing(warm_up_s=0.3, seconds=1.0)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status."""
    options = _options(arguments)
    rows = _possible(options)
    rivals = _rivals()
    for row in rows:
        if row.rival and row.rival not in rivals:
            print(f"{MISSING[row.rival]} is missing", file=sys.stderr)
            return 2
    if not options.broker_command and not GATEWAY.exists():
        print(f"{GATEWAY} is missing; make it with: make .venv/.installed", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the brokers are ended too
    _allow_many_files()
    cores = Cores.of_this_machine()
    if cores.generator is not None:
        os.sched_setaffinity(0, {cores.generator})
    gc.disable()  # nothing here makes circles, and a collection would fall into somebody's round
    # As after an installation, also where the environment forbids Python to do so by itself.
    compileall.compile_dir(GATEWAY_PACKAGE, quiet=2)
    settings = _settings(options, cores, rivals)
    _say_settings(settings)
    timing = Timing(seconds=options.seconds)
    bench = Bench(options.broker_command, rivals, cores, options.rounds, timing)
    try:
        outcomes = [bench.row(row) for row in rows]
    except KeyboardInterrupt:
        return 130
    return _finish(outcomes, settings, options.json)


def _rivals() -> dict[str, str]:
    """Where those are that this machine has."""
    found = {"mosquitto": mosquitto_path(), "nats": nats_path()}
    return {name: path for name, path in found.items() if path is not None}


def _possible(options: argparse.Namespace) -> list[Row]:
    """The rows asked for; another broker in our place has none of those about the gateway alone."""
    rows = [row for row in options.rows if not options.broker_command or row.is_plain]
    for row in options.rows:
        if row not in rows:
            print(f"  {row.name} is left out: it is about the gateway alone", file=sys.stderr)
    return rows


class Bench:
    """Runs rows: ours, theirs, ours, theirs, and once the shovel."""

    def __init__(
        self, command: str, rivals: dict[str, str], cores: Cores, rounds: int, timing: Timing
    ) -> None:
        self._command = command  # of another broker in our place, or nothing
        self._rivals = rivals
        self._cores = cores
        self._rounds = rounds
        self._timing = timing

    def row(self, row: Row) -> Outcome:
        """All rounds of one row; a broker that fails ends its row, not the bench."""
        outcome = Outcome(row)
        products = [(self._ours(row), outcome.ours)]
        if row.theirs is not None:
            products.append((self._theirs(row.rival, row.theirs), outcome.theirs))
        try:
            if row.is_rate and row.measure is not None:
                with shovel().start(1, self._cores) as running:
                    outcome.ceiling = row.measure(running, CEILING)
            for number in range(1, min(self._rounds, row.rounds_max or self._rounds) + 1):
                for product, rounds in products:
                    rounds.append(self._round(row, product))
                    _progress(row, product, number, rounds[-1])
        except BrokerError as error:
            outcome.failure = str(error)
        return outcome

    def _ours(self, row: Row) -> Product:
        if row.disk is not None:
            return gateway(row.disk.command(row.config))
        return gateway(self._command or f"{GATEWAY} --config {{{row.config}}}")

    def _theirs(self, rival: str, config: str) -> Product:
        path = self._rivals[rival]
        return nats(path) if rival == "nats" else mosquitto(path, config)

    def _round(self, row: Row, product: Product) -> Round:
        try:
            if row.starting is not None:
                return row.starting(product, self._cores)
            assert row.measure is not None
            with product.start(row.brokers, self._cores) as running:
                return row.measure(running, self._timing)
        except (BrokerError, OSError) as error:
            raise BrokerError(f"{product.name}: {error}") from error


def _progress(row: Row, product: Product, number: int, result: Round) -> None:
    print(
        f"  {row.name} {number} {product.name}: {result.value:,.1f} {row.unit}  {result.faults}",
        file=sys.stderr,
        flush=True,
    )


def _finish(outcomes: list[Outcome], settings: dict[str, Any], json_file: Path | None) -> int:
    print()
    print(report.figures_table(outcomes))
    print()
    for line in report.details(outcomes):
        print(line)
    print()
    print(report.proof_table(outcomes))
    print(f"\n{LEGEND}\n")
    lines = report.faults(outcomes)
    print("\n".join(lines) if lines else "Every message arrived once, in order, unaltered.")
    if json_file:
        json_file.write_text(json.dumps(report.as_json(outcomes, settings), indent=2) + "\n")
    return 1 if any(outcome.lost for outcome in outcomes) else 0


def _version(rivals: dict[str, str], name: str, option: str) -> str:
    if name not in rivals:
        return "not installed"
    command = [rivals[name], option]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return answer.stdout.splitlines()[0] if answer.stdout else "unknown version"


def _settings(options: argparse.Namespace, cores: Cores, rivals: dict[str, str]) -> dict[str, Any]:
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "python": platform.python_version(),
        "mosquitto": _version(rivals, "mosquitto", "-h"),
        "nats": _version(rivals, "nats", "--version"),
        "mosquitto_settings": MOSQUITTO_SETTINGS.split("\n")[:-1],
        "broker_command": options.broker_command or str(GATEWAY),
        "broker_cores": cores.brokers,
        "generator_core": cores.generator,
        "rounds": options.rounds,
        "seconds": options.seconds,
    }


def _say_settings(settings: dict[str, Any]) -> None:
    print(f"{settings['machine']}; Python {settings['python']}")
    print(f"{settings['mosquitto']}; {settings['nats']}")
    print(
        f"cores: brokers {settings['broker_cores']}, generator {settings['generator_core']};"
        f" {settings['rounds']} rounds of {settings['seconds']:g} s, in turn;"
        " 64-byte payloads; MQTT 3.1.1"
    )
    print(f"Mosquitto: {'; '.join(settings['mosquitto_settings'])}", flush=True)


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MIN if hard == resource.RLIM_INFINITY else min(FILES_MIN, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    names = ",".join(row.name for row in ROWS)
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="the gateway against Mosquitto and NATS"
    )
    parser.add_argument("--rows", type=_rows, default=ROWS, help=f"some of {names}")
    parser.add_argument("--rounds", type=_rounds, default=3, help="of each broker in each row")
    parser.add_argument("--seconds", type=_seconds, default=2.0, help="measured time of a round")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every figure there as well"
    )
    parser.add_argument(
        "--broker-command",
        metavar="COMMAND",
        help="run this as the gateway; {config}, {mosquitto_config}, {address} and {port} are"
        " filled in, and --config {config} is appended where there are none",
    )
    return parser.parse_args(arguments)


def _rows(value: str) -> tuple[Row, ...]:
    known = {row.name: row for row in ROWS}
    unknown = [name for name in value.split(",") if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no row {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in value.split(","))


def _rounds(value: str) -> int:
    rounds = int(value)
    if not 1 <= rounds <= ROUNDS_MAX:
        raise argparse.ArgumentTypeError(f"1 to {ROUNDS_MAX}")
    return rounds


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0.1 <= seconds <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"0.1 to {SECONDS_MAX:g}")
    return seconds
