"""What the tests of gateway-devices share: a serial line without hardware, and the daemon."""

import json
import os
import select
import signal
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import WAIT_S, Listener, Mosquitto, broker, wait_until

__all__ = ["broker"]

PROGRAM = Path(sys.executable).with_name("gateway-devices")


class Line:
    """A pseudo-terminal that can be unplugged and plugged in again; `fd` is the device's end."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.fd = -1
        self.plug_in()

    def plug_in(self) -> None:
        """The port appears under the same path."""
        self.fd, port = os.openpty()
        tty.setraw(port)
        os.set_blocking(self.fd, False)
        self.link.symlink_to(os.ttyname(port))
        os.close(port)

    def unplug(self) -> None:
        """The port vanishes, with whatever was on its way."""
        if self.fd >= 0:
            self.link.unlink()
            os.close(self.fd)
            self.fd = -1

    def say(self, data: bytes) -> None:
        """The device sends; waits while the line is full."""
        while data:
            assert select.select([], [self.fd], [], WAIT_S)[1], "nobody reads the line"
            with suppress(BlockingIOError):
                data = data[os.write(self.fd, data) :]

    def heard(self) -> bytes:
        """What the device has received since it was last asked."""
        # EIO: nobody has the port open.
        with suppress(BlockingIOError, OSError):
            return os.read(self.fd, 65_536)
        return b""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path / "port")
    yield made
    made.unplug()


class Daemon:
    """The real gateway-devices, with one gateway called "box"."""

    def __init__(self, folder: Path, host: str, port: int, serial: list[dict[str, Any]]) -> None:
        self._config = folder / "gateway.toml"
        self._log = folder / "gateway-devices.log"
        self._config.write_text(_toml(host, port, serial))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--config", str(self._config)], stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        """The planned end; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT_S)


def _toml(host: str, port: int, serial: list[dict[str, Any]]) -> str:
    text = f'[gateway]\nname = "box"\naddress = "{host}"\n[mqtt]\nport = {port}\n'
    for table in serial:
        text += "[[serial]]\n"
        text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    return text


@pytest.fixture
def daemon(tmp_path: Path, broker: Mosquitto) -> Iterator[Callable[..., Daemon]]:
    """Starts gateway-devices with the given [[serial]] tables, against `broker`."""
    made: list[Daemon] = []

    def start(*serial: dict[str, Any]) -> Daemon:
        started = Daemon(tmp_path, broker.host, broker.port, list(serial))
        made.append(started)
        started.start()
        return started

    yield start
    for each in made:
        each.close()


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    """Hears everything of the gateway."""
    made = Listener(broker.host, broker.port, "gateways/#")
    yield made
    made.close()


def status(listener: Listener) -> dict[str, Any]:
    """The newest status document."""
    documents = listener.on("gateways/box/devices")
    return dict(json.loads(documents[-1])) if documents else {"online": None, "ports": []}


def wait_for_port(listener: Listener, **wanted: object) -> dict[str, Any]:
    """Waits until the only port is said to be as wanted; returns what is said of it."""

    def is_so() -> bool:
        ports = status(listener)["ports"]
        return bool(ports) and wanted.items() <= ports[0].items()

    wait_until(is_so, f"the port to be {wanted}")
    return dict(status(listener)["ports"][0])
