"""Real brokers and a real MicroPython for the device client.

A device runs the very files of firmware-clients/micropython under MicroPython's Unix port, with
umqtt.simple as mip would install it. What it says on its standard output is what the tests wait
for. The broker is a parameter: whoever adds a line to BROKERS gets every test here.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from tests.gateways import free_port
from tests.requires import needs, prepared

HERE = Path(__file__).parent
CLIENT = HERE.parent.parent / "firmware-clients" / "micropython"
WAIT_S = 15.0  # the bound of every wait; far above what a loaded machine takes


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"not within {WAIT_S} s: {what}"
        time.sleep(0.005)


@dataclass
class Broker:
    """A broker process at its own loopback address, and a witness that hears all it delivers."""

    address: str
    port: int
    start: Callable[["Broker", Path], subprocess.Popen[bytes]]
    folder: Path
    readings: list[str] = field(default_factory=list)

    @property
    def door(self) -> str:
        return f"{self.address}:{self.port}"

    def __enter__(self) -> "Broker":
        self.process = self.start(self, self.folder)
        until(self._listens, f"a broker at {self.door}")
        self.witness = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        heard = threading.Event()
        self.witness.on_connect = lambda client, *_: client.subscribe("#")
        self.witness.on_subscribe = lambda *_: heard.set()
        self.witness.on_message = lambda _c, _u, m: self.readings.append(m.payload.decode())
        self.witness.connect(self.address, self.port)
        self.witness.loop_start()
        assert heard.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.witness.disconnect()
        self.witness.loop_stop()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def command(self, topic: str, payload: str) -> None:
        self.witness.publish(topic, payload, qos=1).wait_for_publish(WAIT_S)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0


def mosquitto(broker: Broker, folder: Path) -> subprocess.Popen[bytes]:
    configuration = folder / f"{broker.address}.conf"
    configuration.write_text(
        f"listener {broker.port} {broker.address}\nallow_anonymous true\npersistence false\n"
    )
    log = (folder / f"{broker.address}.log").open("wb")
    with log:
        return subprocess.Popen(
            [needs("mosquitto"), "-c", configuration], stdout=log, stderr=subprocess.STDOUT
        )


def gatewayd(broker: Broker, folder: Path) -> subprocess.Popen[bytes]:
    configuration = folder / f"{broker.address}.toml"
    own = broker.address  # below the folder: a socket's whole path would be too long
    configuration.write_text(
        f'[gateway]\nname = "gw"\naddress = "{broker.address}"\nserial_number = "{own}"\n'
        f'state_dir = "{own}"\ncontrol_socket = "{own}.sock"\n[mqtt]\nport = {broker.port}\n'
    )
    log = (folder / f"{broker.address}.log").open("wb")
    with log:
        return subprocess.Popen(
            [Path(sys.executable).parent / "gatewayd", "--config", configuration],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


BROKERS = {"gateway": gatewayd, "mosquitto": mosquitto}


@pytest.fixture(params=BROKERS)
def broker_at(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Broker]:
    """broker_at("127.0.0.2"): a broker there, to be used in a with statement."""
    start = BROKERS[request.param]
    return lambda address: Broker(address, free_port(address), start, tmp_path)


@pytest.fixture
def two_brokers(broker_at: Callable[[str], Broker]) -> Iterator[tuple[Broker, Broker]]:
    with broker_at("127.0.0.2") as first, broker_at("127.0.0.3") as second:
        yield first, second


class Device:
    """A running MicroPython. Its program's lines arrive in `lines`."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, start: str) -> str:
        """Waits for a line that begins so; the newest of them."""
        until(lambda: any(line.startswith(start) for line in self.lines) or self._over(), start)
        found = [line for line in self.lines if line.startswith(start)]
        assert found, f"the device ended without saying {start!r}: {self.lines[-20:]}"
        return found[-1]

    def ends(self) -> list[str]:
        """Waits for the program's end, which must be a good one; all its lines."""
        until(self._over, f"the device's end; it said {self.lines[-5:]}")
        self._reader.join()
        assert self.process.returncode == 0, self.lines[-20:]
        return self.lines

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout
        self.process.stdout.close()

    def _over(self) -> bool:
        return self.process.poll() is not None


@pytest.fixture(scope="session")
def tools() -> tuple[Path, Path]:
    """MicroPython's launcher, and the folder with umqtt."""
    return prepared(HERE / "micropython.sh"), prepared(HERE / "umqtt.sh")


@pytest.fixture
def device(tools: tuple[Path, Path]) -> Iterator[Callable[..., Device]]:
    """device("stream.py", ...): runs a program of programs/ on a device of its own, until the
    test's end.
    """
    micropython, umqtt = tools
    running: list[Device] = []

    def start(program: str, *arguments: str, heap: str = "256k") -> Device:
        path = os.pathsep.join(map(str, (CLIENT, umqtt, HERE / "programs")))
        command = [str(micropython), "-X", f"heapsize={heap}", str(HERE / "programs" / program)]
        running.append(Device([*command, *arguments], {**os.environ, "MICROPYPATH": path}))
        return running[-1]

    yield start
    for one in running:
        one.stop()
