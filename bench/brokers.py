"""Starts and ends what is measured: our gateway, Mosquitto, and the shovel; one of each or two.

Everything listens on loopback, on ports that were free a moment ago, and lives in one temporary
folder. A broker runs on one core, the generator on another. Two brokers share the broker's core
unless the machine has a third. Knows command lines and configuration files; must not know loads.
"""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import settings
from bench.settings import Site
from bench.wire import BrokerError, Connection

START_TIMEOUT_S = 15.0
READY_TIMEOUT_S = 30.0  # NATS, on a busy machine
STOP_TIMEOUT_S = 5.0
POLL_S = 0.001  # a start is measured with it
RETRY_S = 0.1
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@dataclass(frozen=True, slots=True)
class Cores:
    """Where processes are put; None where the machine has too few to choose."""

    generator: int | None
    brokers: tuple[int, ...]

    @classmethod
    def of_this_machine(cls) -> "Cores":
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return cls(None, ())
        return cls(cores[-1], tuple(cores[: min(2, len(cores) - 1)]))

    def broker(self, index: int) -> set[int] | None:
        return {self.brokers[index % len(self.brokers)]} if self.brokers else None


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """A disk on which the gateway is run; see bench/slow_disk.py."""

    sync_ms: float
    stall_ms: float

    def command(self, config: str) -> str:
        words = f"-m bench.slow_disk {self.sync_ms:g} {self.stall_ms:g} --config {{{config}}}"
        return f"{sys.executable} {words}"


@dataclass(frozen=True, slots=True)
class Running:
    """Brokers that accept clients: publish at the first door, subscribe at the last."""

    doors: tuple[tuple[str, int], ...]
    pids: tuple[int, ...]
    controls: tuple[Path, ...]  # control sockets; not there if they are no gateways
    folder: Path  # of all their files
    last_begun_at: float  # when the last of them was started, by the monotonic clock
    link_ports: tuple[int, ...] = ()  # where they listen for each other, but for Mosquitto

    @property
    def control(self) -> Path:
        """The first one's."""
        return self.controls[0]


@dataclass(frozen=True, slots=True)
class Product:
    """One of the things compared: its name, and its command line for a site."""

    name: str
    command: Callable[[Site], Sequence[str]]
    ready: Callable[[Running], None] | None = None  # returns when it serves; open ports do not tell

    @contextmanager
    def start(self, count: int, cores: Cores, kept_in: Path | None = None) -> Iterator[Running]:
        """Runs `count` brokers that know each other, until the block ends. Raises BrokerError.

        What they keep is removed with them, unless it stands in `kept_in`.
        """
        with ExitStack() as stack:
            folder = kept_in
            if folder is None:
                scratch = tempfile.TemporaryDirectory(prefix="bench-")
                folder = Path(stack.enter_context(scratch))
            sites = _sites(folder, count)
            processes = []
            for site in reversed(sites):  # a bridge finds its peer at the first attempt
                log = site.folder / f"log{site.index}"
                begun_at = time.monotonic()
                process = stack.enter_context(_process(self.command(site), log))
                if (core := cores.broker(site.index)) is not None:
                    os.sched_setaffinity(process.pid, core)
                processes.append(process)
                _await_port(self.name, process, site, log)
            running = Running(
                tuple((site.address, site.port) for site in sites),
                tuple(process.pid for process in reversed(processes)),
                tuple(site.control for site in sites),
                folder,
                begun_at,
                tuple(site.link_port for site in sites),
            )
            if self.ready is not None:
                self.ready(running)
            yield running


def mosquitto_path() -> str | None:
    """Where Mosquitto's broker is."""
    return _path_of("mosquitto")


def nats_path() -> str | None:
    """Where the NATS server is."""
    return _path_of("nats-server")


def _path_of(program: str) -> str | None:
    """Debian puts servers where not every user's PATH looks."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def mosquitto(path: str, config: str = "mosquitto_config") -> Product:
    """Mosquitto with one of the files of `settings.mosquitto_files`."""
    return Product(
        "mosquitto", lambda site: (path, "-c", str(settings.mosquitto_files(site)[config]))
    )


def nats(path: str) -> Product:
    """NATS with MQTT on JetStream."""
    return Product(
        "nats",
        lambda site: (path, "-c", str(settings.nats_files(site)["nats_config"])),
        _await_kept_sessions,
    )


def _await_kept_sessions(running: Running) -> None:
    """A cluster opens its ports first, and elects who keeps what after that."""
    until = time.monotonic() + READY_TIMEOUT_S
    for number, door in enumerate(running.doors):
        while True:
            try:
                Connection(door, f"bench-ready-{number}", kept=True).close()
            except (BrokerError, OSError) as error:
                if time.monotonic() > until:
                    raise BrokerError(f"it did not take a kept session: {error}") from error
                time.sleep(RETRY_S)
            else:
                break


def gateway(command: str) -> Product:
    """The gateway by its command line, in which the place holders are filled in."""
    words = command.split()
    if "{" not in command:
        words += ["--config", "{config}"]

    def filled(site: Site) -> list[str]:
        files = settings.gateway_files(site) | settings.mosquitto_files(site)
        return [word.format(**files, address=site.address, port=site.port) for word in words]

    return Product("gateway", filled)


def shovel() -> Product:
    return Product("shovel", lambda site: (sys.executable, "-m", "bench.shovel", str(site.port)))


def _sites(folder: Path, count: int) -> list[Site]:
    sites = [
        Site(index, folder, address, _free_port(address), _free_port(address), _free_port(address))
        for index, address in enumerate(ADDRESSES[:count])
    ]
    return [
        dataclasses.replace(site, peers=tuple(other for other in sites if other is not site))
        for site in sites
    ]


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise BrokerError(f"{command[0]} could not be started: {error.strerror}") from error
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(name: str, process: subprocess.Popen[bytes], site: Site, log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise BrokerError(f"{name} ended with status {process.returncode}: {last[0]}")
        try:
            socket.create_connection((site.address, site.port), timeout=1).close()
        except OSError:
            time.sleep(POLL_S)
        else:
            return
    raise BrokerError(f"{name} did not open its port within {START_TIMEOUT_S:.0f} s")
