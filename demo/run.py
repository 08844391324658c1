"""Several gateways on this machine: `make run`.

Starts gateways on 127.0.0.1, 127.0.0.2 ... with state directories under var/, a simulated serial
sensor on the first, and shows `gwctl status` until Ctrl-C, which stops all of it. Every part runs as
on a box: the gateways find each other by mDNS, the sensor is a pseudo-terminal. What is left in var/
is state and logs, and may be deleted.
"""

import argparse
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

VAR = Path("var")
BIN = Path(sys.executable).parent
MQTT_PORT = 1883
GATEWAYS_MAX = 8
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
REDRAW_S = 1.0

CONFIG = """\
# Written by `make run`; changes last until the next one.
[gateway]
name = "gw{number}"
address = "127.0.0.{number}"
state_dir = "{folder}/state"
control_socket = "{folder}/control.sock"
serial_number = "demo-{number}"

[mqtt]
port = {port}

[cluster]
name = "demo"
key_file = "{var}/cluster.key"
expected_gateways = {gateways}
"""
SERIAL = """
[[serial]]
name = "weather"
path = "{folder}/sensor"
format = "json"
topic = "sensors/{{gateway}}/{{port}}"
command_topic = "sensors/{{gateway}}/{{port}}/command"
"""
HINTS = """
Try next, in another terminal:
  mosquitto_sub -h 127.0.0.{last} -t 'sensors/#' -v & mosquitto_pub -h 127.0.0.1 -t sensors/x -m hello
  kill -9 $(cat var/gw{middle}/state/gatewayd.pid); sleep 4; .venv/bin/gwctl status
  .venv/bin/gatewayd --config var/gw{middle}/gateway.toml &     # and look again. Ctrl-C here stops all
"""


class Demo:
    """The processes of one run."""

    def __init__(self, gateways: int) -> None:
        self._gateways = gateways
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Starts everything. Raises SystemExit with the reason when something does not come up."""
        self._check_ports()
        VAR.mkdir(mode=0o700, exist_ok=True)
        key = VAR / "cluster.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(secrets.token_hex(16) + "\n")
        for number in range(1, self._gateways + 1):
            self._prepare(number)
        sensor = self._folder(1) / "sensor"
        program = str(Path(__file__).with_name("sensor.py"))
        self._run(1, "sensor.log", sys.executable, program, "--link", str(sensor))
        for number in range(1, self._gateways + 1):
            config = str(self._folder(number) / "gateway.toml")
            self._run(number, "gatewayd.log", str(BIN / "gatewayd"), "--config", config)
        config = str(self._folder(1) / "gateway.toml")
        self._run(1, "gateway-devices.log", str(BIN / "gateway-devices"), "--config", config)
        self._wait(lambda: "unreachable" if _status()[0] == 2 else "")

    def watch(self) -> None:
        """Shows the status and what to try until a signal comes."""
        middle = min(2, self._gateways)
        hints = HINTS.format(last=self._gateways, middle=middle)
        if not sys.stdout.isatty():
            self._wait(lambda: "" if _status()[0] == 0 else "not yet healthy", must=False)
            print(_status()[1] + hints, flush=True)
            while True:
                signal.pause()
        while True:
            text = (_status()[1] + hints).replace("\n", "\033[K\n")
            sys.stdout.write(f"\033[H{text}\033[J")
            sys.stdout.flush()
            time.sleep(REDRAW_S)

    def stop(self) -> None:
        """Ends every process of this run, also the gateways that were started again by hand."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for number in range(1, self._gateways + 1):
            _end_holder(self._folder(number) / "state" / "gatewayd.pid")

    def _folder(self, number: int) -> Path:
        return VAR.absolute() / f"gw{number}"

    def _check_ports(self) -> None:
        for number in range(1, self._gateways + 1):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((f"127.0.0.{number}", MQTT_PORT))
                except OSError as error:
                    raise SystemExit(
                        f"127.0.0.{number}:{MQTT_PORT} cannot be had ({error.strerror}): "
                        "end what listens there, such as another broker or another `make run`"
                    ) from error

    def _prepare(self, number: int) -> None:
        folder = self._folder(number)
        folder.mkdir(exist_ok=True)
        text = CONFIG.format(
            number=number,
            folder=folder,
            port=MQTT_PORT,
            var=VAR.absolute(),
            gateways=self._gateways if self._gateways > 1 else 0,
        )
        if number == 1:
            text += SERIAL.format(folder=folder)
        (folder / "gateway.toml").write_text(text)

    def _run(self, number: int, log: str, *command: str) -> None:
        """Starts a process of its own session, so that Ctrl-C reaches this program only."""
        with open(self._folder(number) / log, "wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)

    def _wait(self, missing: Callable[[], str], must: bool = True) -> None:
        """Waits until nothing is missing; says which process gave up, and why."""
        end = time.monotonic() + START_TIMEOUT_S
        while what := missing():
            for process in self._processes:
                if must and process.poll() is not None:
                    raise SystemExit(f"{process.args} ended: see the logs under {VAR}/")
            if time.monotonic() > end:
                if must:
                    raise SystemExit(
                        f"the gateways do not come up ({what}): see the logs under {VAR}/"
                    )
                return
            time.sleep(0.1)


def _status() -> tuple[int, str]:
    """Exit status and page of `gwctl status` at the first gateway."""
    columns = os.environ | {"COLUMNS": "80"}
    command = [str(BIN / "gwctl"), "status", "--socket", str(VAR / "gw1" / "control.sock")]
    done = subprocess.run(command, capture_output=True, text=True, env=columns, check=False)
    return done.returncode, done.stdout or done.stderr


def _end_holder(pid_file: Path) -> None:
    """Ends the process that holds the file's lock, if any does."""
    try:
        with pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                os.kill(int(file.read()), signal.SIGTERM)
                fcntl.flock(file, fcntl.LOCK_SH)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description="Several gateways on this machine.")
    parser.add_argument("--gateways", type=int, default=3, choices=range(1, GATEWAYS_MAX + 1))
    demo = Demo(parser.parse_args().gateways)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        demo.start()
        demo.watch()
    except KeyboardInterrupt:
        print("\nstopping")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # once is enough: what was started must end
        demo.stop()


if __name__ == "__main__":
    main()
