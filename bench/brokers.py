"""Starts and ends what is measured: our gateway, Mosquitto, and the shovel; one of each or two.

Everything listens on loopback, on ports that were free a moment ago, and lives in one temporary
folder. A broker runs on one core, the generator on another. Two brokers share the broker's core
unless the machine has a third. Knows command lines and configuration files; must not know loads.
"""

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

from bench.wire import BrokerError

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.01
ADDRESSES = ("127.0.0.1", "127.0.0.2")

# No limit that makes it wait or drop, nothing on disk. set_tcp_nodelay stays off, as it comes:
# with it, the same loads ran at two thirds of the speed.
MOSQUITTO_SETTINGS = """\
allow_anonymous true
persistence false
log_type error
max_inflight_messages 0
max_queued_messages 0
"""
MOSQUITTO_BRIDGE = """\
connection bench
address {peer}
topic bench/# both 2
bridge_protocol_version mqttv311
cleansession true
notifications false
restart_timeout 1
"""
GATEWAY_SETTINGS = """\
[gateway]
name = "bench{index}"
address = "{address}"
state_dir = "{folder}/state{index}"
control_socket = "{folder}/control{index}.sock"
serial_number = "bench-{index}"
log_level = "warning"

[mqtt]
port = {port}
tls_port = 0
queue_messages_max = 10_000_000
queue_bytes_max = 4_000_000_000
"""
GATEWAY_CLUSTER = """
[cluster]
name = "bench"
key = "a key for the bench alone, on loopback"
discovery = false
link_port = {link_port}
peers = ["{peer}"]
"""


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
class Site:
    """What one broker's files need to know."""

    index: int
    folder: Path
    address: str
    port: int
    link_port: int
    peer: "Site | None" = None


@dataclass(frozen=True, slots=True)
class Running:
    """Brokers that accept clients: publish at the first door, subscribe at the last."""

    doors: tuple[tuple[str, int], ...]
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """One of the things compared: its name, and its command line for a site."""

    name: str
    command: Callable[[Site], Sequence[str]]

    @contextmanager
    def start(self, count: int, cores: Cores) -> Iterator[Running]:
        """Runs `count` brokers that know each other, until the block ends. Raises BrokerError."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            sites = _sites(folder, count)
            processes = []
            for site in reversed(sites):  # a bridge finds its peer at the first attempt
                log = folder / f"log{site.index}"
                process = stack.enter_context(_process(self.command(site), log))
                if (core := cores.broker(site.index)) is not None:
                    os.sched_setaffinity(process.pid, core)
                processes.append(process)
                _await_port(self.name, process, site, log)
            yield Running(
                tuple((site.address, site.port) for site in sites),
                tuple(process.pid for process in reversed(processes)),
            )


def mosquitto_path() -> str | None:
    """Where Mosquitto's broker is; Debian puts it where not every user's PATH looks."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def mosquitto(path: str) -> Product:
    return Product("mosquitto", lambda site: (path, "-c", str(_mosquitto_file(site))))


def gateway(command: str) -> Product:
    """The gateway by the command line of `--broker-command`; its place holders are filled in."""

    def filled(site: Site) -> list[str]:
        words = command.split()
        if "{" not in command:
            words += ["--config", "{config}"]
        values = {
            "config": _gateway_file(site),
            "mosquitto_config": _mosquitto_file(site),
            "address": site.address,
            "port": site.port,
        }
        return [word.format(**values) for word in words]

    return Product("gateway", filled)


def shovel() -> Product:
    return Product("shovel", lambda site: (sys.executable, "-m", "bench.shovel", str(site.port)))


def _gateway_file(site: Site) -> Path:
    text = GATEWAY_SETTINGS.format(
        index=site.index, address=site.address, folder=site.folder, port=site.port
    )
    if site.peer:
        peer = f"{site.peer.address}:{site.peer.link_port}"
        text += GATEWAY_CLUSTER.format(link_port=site.link_port, peer=peer)
    file = site.folder / f"gateway{site.index}.toml"
    file.write_text(text)
    return file


def _mosquitto_file(site: Site) -> Path:
    text = f"listener {site.port} {site.address}\n" + MOSQUITTO_SETTINGS
    if site.peer and site.index == 0:
        text += MOSQUITTO_BRIDGE.format(peer=f"{site.peer.address}:{site.peer.port}")
    file = site.folder / f"mosquitto{site.index}.conf"
    file.write_text(text)
    return file


def _sites(folder: Path, count: int) -> list[Site]:
    assert count in (1, 2)
    first, second = (
        Site(index, folder, address, _free_port(address), _free_port(address))
        for index, address in enumerate(ADDRESSES)
    )
    if count == 1:
        return [first]
    return [
        Site(first.index, folder, first.address, first.port, first.link_port, second),
        Site(second.index, folder, second.address, second.port, second.link_port, first),
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
