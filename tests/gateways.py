"""Real brokers as child processes: our gateways, and Mosquitto to hold them against.

A test says what it needs (`Gateway(...)`, `Mosquitto(...)`), starts it, and asks for `host` and
`port`; what is the same for both is `Broker`. Every process writes into a log file of its own,
which `captured_logs` hands to the test report, and dies with the test run even when that is
killed. Nothing here sleeps for luck: `wait_until` looks for a condition and has a bound.

Must not import gateway/: what is tested here is what is installed.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")

START_S_MAX = 15.0  # a daemon on a busy two-core machine; Python alone may take a second or two
STOP_S_MAX = 10.0  # from SIGTERM to the end of the process
ANSWER_S_MAX = 5.0  # one line on the control socket
LOG_TAIL_BYTES = 20_000  # of each log in a failed test's report
POLL_S = 0.02
FREE_PORTS = range(10_000, 32_768)  # 32,768 is the first that Linux gives to outgoing connections
UNIX_PATH_BYTES_MAX = 107  # sun_path holds 108 with its closing zero

_ports = itertools.count(os.getpid() * 97)


class NotInTime(AssertionError):
    """A condition did not come true within its bound."""


def wait_until(condition: Callable[[], T], what: str, within_s: float) -> T:
    """Return the first true answer of `condition`; raise NotInTime with `what` after `within_s`."""
    end = time.monotonic() + within_s
    while not (answer := condition()):
        if time.monotonic() >= end:
            raise NotInTime(f"not within {within_s} s: {what}")
        time.sleep(POLL_S)
    return answer


def free_port(address: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> int:
    """A port of TCP (or, with SOCK_DGRAM, UDP) that nobody has now, and that was not given before.

    None that the kernel gives to outgoing connections: another test's could take it meanwhile. Each
    process begins at a place of its own.
    """
    while True:
        port = FREE_PORTS.start + next(_ports) % len(FREE_PORTS)
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind((address, port))
            return port


def loopback_addresses(count: int, port: int = 1883) -> list[str]:
    """Distinct addresses of 127.0.0.0/8 on which `port` is free, chosen by this process' id.

    The id keeps two test runs on one machine apart; 127.0.0.x is left to who starts by hand.
    """
    block = 1 + os.getpid() % 250
    found: list[str] = []
    for last in range(1, 255):
        address = f"127.77.{block}.{last}"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
        found.append(address)
        if len(found) == count:
            return found
    raise AssertionError(f"no {count} loopback addresses with port {port} free")


def in_namespace(namespace: str | None) -> list[str]:
    """The words to put before a command so that it runs in a network namespace."""
    return ["ip", "netns", "exec", namespace] if namespace else []


_known: dict[int, "Broker"] = {}  # by serial number, in the order of their making


def captured_logs() -> Iterator[tuple[str, str]]:
    """Title and last lines of the log of every broker that is, or was until just now, in use."""
    for broker in _known.values():
        yield f"log of {broker.name} ({broker.state()})", broker.last_lines()


def forget_closed() -> None:
    """A test is over: the logs of brokers that are closed belong in no later report."""
    for number in [number for number, broker in _known.items() if broker.closed]:
        del _known[number]


class Broker:
    """One broker process that can be started, stopped, killed and started again.

    A context manager: entering starts it, leaving ends it. `host` and `port` are where MQTT
    clients find it.
    """

    kind = ""
    _serial_number = 0

    def __init__(
        self, name: str, host: str, port: int, directory: Path, namespace: str | None = None
    ) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.directory = directory
        self.namespace = namespace
        self.log_path = directory / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._kept_log = ""
        self.closed = False
        directory.mkdir(parents=True, exist_ok=True)
        Broker._serial_number += 1
        self._serial_number = Broker._serial_number

    def command(self) -> list[str]:
        """The program and its arguments; writes what configuration it needs."""
        raise NotImplementedError

    def start(self, *, wait: bool = True) -> Self:
        """Start the process and, unless told otherwise, wait until it accepts connections."""
        assert not self.running(), f"{self.name} is running already"
        _known[self._serial_number] = self
        self.closed = False
        # The kernel ends the daemon with the test run, however that ends.
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*in_namespace(self.namespace), *guard, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            )
        if wait:
            self.wait_until_it_accepts()
        return self

    def wait_until_it_accepts(self) -> None:
        """Wait for the MQTT port; fail at once, with the log's end, when the process is gone."""

        def accepts() -> bool:
            if not self.running():
                raise AssertionError(
                    f"{self.name} did not start ({self.state()}):\n{self.log()[-2000:]}"
                )
            return self._accepts()

        wait_until(accepts, f"{self.name} accepts on {self.host}:{self.port}", START_S_MAX)

    def _accepts(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                return True
        except OSError:
            return False

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def state(self) -> str:
        """Running, or how it ended, in words."""
        if self._process is None:
            return "not running"
        code = self._process.poll()
        if code is None:
            return f"running, pid {self._process.pid}"
        return f"ended by signal {-code}" if code < 0 else f"ended with {code}"

    def kill(self) -> None:
        """SIGKILL: no word to anybody, as when the plug is pulled from the process."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        return self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Sends it any other signal."""
        assert self._process is not None, f"{self.name} is not running"
        self._process.send_signal(number)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP while the block runs: alive to the kernel, silent to everybody else."""
        assert self._process is not None, f"{self.name} is not running"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, if it runs, and drop its log from later tests' reports."""
        self._kept_log = self.log()[-LOG_TAIL_BYTES:]  # its directory may be gone by the report
        self.closed = True
        if self.running():
            self.stop()
        self._process = None

    def _end(self, signal_number: signal.Signals) -> int:
        assert self._process is not None, f"{self.name} is not running"
        process, self._process = self._process, None
        process.send_signal(signal_number)
        try:
            return process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise NotInTime(f"{self.name} did not end within {STOP_S_MAX} s") from None

    def log(self) -> str:
        """Everything that the process has written so far, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def last_lines(self) -> str:
        """The end of the log, also when it is closed and its directory gone."""
        return self.log()[-LOG_TAIL_BYTES:] or self._kept_log

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class Mosquitto(Broker):
    """Debian's Mosquitto with unlimited queues: the broker whose answers are trusted."""

    kind = "mosquitto"

    def __init__(self, name: str, host: str, port: int, directory: Path) -> None:
        super().__init__(name, host, port, directory)

    def command(self) -> list[str]:
        config = self.directory / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} {self.host}\n"
            "allow_anonymous true\n"
            "persistence false\n"
            "max_queued_messages 0\n"
            "max_inflight_messages 0\n"  # with its 20, version 2.0.11 sticks at the 21st of QoS 2
            "user root\n"
        )
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program is not None, "mosquitto is not installed"
        return [program, "-c", str(config)]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """[cluster] of the configuration file; the names are the file's."""

    name: str = "test"
    key: str = "7d5c2d1a9be04c0f8e6a3b9f51e2c4d7a8b90c1d2e3f4a5b"
    link_port: int = 7883
    discovery: bool = True
    peers: tuple[str, ...] = ()
    expected_gateways: int = 0


class Gateway(Broker):
    """Our own daemon, as it is installed beside the running Python.

    `address` is what it binds and, without `host`, where the tests reach it; a gateway in a
    namespace binds 0.0.0.0 and is reached at `host`. `mqtt` are further keys of [mqtt], `serial`
    are tables of [[serial]], `gateway` further keys of [gateway], `sections` whole other tables.
    """

    kind = "gateway"

    def __init__(
        self,
        name: str,
        address: str,
        directory: Path,
        cluster: ClusterOptions | None = None,
        *,
        serial: Sequence[dict[str, object]] = (),
        port: int = 1883,
        host: str = "",
        namespace: str | None = None,
        mqtt: dict[str, object] | None = None,
        gateway: dict[str, object] | None = None,
        sections: dict[str, dict[str, object]] | None = None,
    ) -> None:
        super().__init__(name, host or address, port, directory, namespace)
        self.address = address
        self.cluster = cluster
        self.serial = tuple(serial)
        self.mqtt = {"port": port, "tls_port": 0} | (mqtt or {})
        self.section = gateway or {}
        self.sections = sections or {}
        self.state_dir = directory / "state"
        self.control_socket = directory / "control.sock"
        self.config_path = directory / "gateway.toml"
        assert len(str(self.control_socket)) <= UNIX_PATH_BYTES_MAX, self.control_socket

    def command(self) -> list[str]:
        self.config_path.write_text(self.toml())
        self.state_dir.mkdir(exist_ok=True)
        program = Path(sys.executable).parent / "gatewayd"
        return [str(program), "--config", str(self.config_path)]

    def _accepts(self) -> bool:
        try:
            return super()._accepts() and bool(self.status())
        except OSError:  # the control socket comes a moment after the MQTT port
            return False

    def toml(self) -> str:
        """The configuration file."""
        gateway: dict[str, object] = {
            "name": self.name,
            "address": self.address,
            "state_dir": str(self.state_dir),
            "control_socket": str(self.control_socket),
            "serial_number": f"test-{self.name}",
            "log_level": "debug",
        }
        lines = _table("[gateway]", gateway | self.section)
        lines += _table("[mqtt]", self.mqtt)
        for name, values in self.sections.items():
            lines += _table(f"[{name}]", values)
        if self.cluster is not None:
            lines += _table("[cluster]", asdict(self.cluster))
        for port in self.serial:
            lines += _table("[[serial]]", port)
        return "\n".join(lines) + "\n"

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """One request on the control socket, the whole answer. OSError when nobody listens."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_S_MAX)
            line.connect(str(self.control_socket))
            line.sendall(json.dumps(request).encode() + b"\n")
            with line.makefile("rb") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
                return answer

    def status(self) -> dict[str, Any]:
        """What `gwctl status --json` would show."""
        answer = self.ask({"command": "status"})
        assert answer["ok"], answer
        result: dict[str, Any] = answer["result"]
        return result

    def states(self) -> dict[str, str]:
        """State by gateway name, as this gateway sees it: alive, suspect or dead."""
        return {peer["name"]: peer["state"] for peer in self.status()["gateways"]}

    def problems(self) -> str:
        """Every problem of the status in one text, to look for words in."""
        return "\n".join(f"{p['text']} {p['remedy']}" for p in self.status()["problems"])


def _table(head: str, values: dict[str, object]) -> list[str]:
    return [head, *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]


def _toml(value: object) -> str:
    """A TOML value: JSON's strings, numbers, booleans and lists are TOML's too."""
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, ensure_ascii=False)
