"""A simulated serial sensor: a pseudo-terminal that speaks as a real device would.

    python demo/sensor.py --link var/sensor [--interval 1.0] [--readings 0] [--seed 1]

It prints one JSON object a line, {"temperature_c": 21.4, "humidity_percent": 43.1, "sequence": 7},
and answers command lines:

    interval 0.5     -> {"ok": true, "interval_s": 0.5}     seconds between readings
    read             -> a reading at once
    anything else    -> {"ok": false, "error": "..."}

Rules: like a device on a wire it does not know whether anybody listens, and what nobody reads is
lost. The link at --link points to the terminal while the sensor lives and is removed when it ends.
Must not know anything of the gateway.
"""

import argparse
import errno
import json
import os
import random
import selectors
import signal
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INTERVAL_MIN_S = 0.001  # a thousand lines a second is more than a serial line carries
INTERVAL_MAX_S = 3600.0
COMMAND_BYTES_MAX = 256  # a small device's line buffer


class Sensor:
    """What the device knows: its readings drift slowly, its sequence never repeats."""

    def __init__(self, interval_s: float, rng: random.Random) -> None:
        self.interval_s = interval_s
        self.sequence = 0
        self._rng = rng
        self._temperature_c = 21.0
        self._humidity_percent = 45.0

    def reading(self) -> bytes:
        """The next reading as a line."""
        self.sequence += 1
        self._temperature_c = self._drift(self._temperature_c, 21.0, 0.1)
        self._humidity_percent = self._drift(self._humidity_percent, 45.0, 0.3)
        return _line(
            {
                "temperature_c": round(self._temperature_c, 1),
                "humidity_percent": round(self._humidity_percent, 1),
                "sequence": self.sequence,
            }
        )

    def answer(self, command: bytes) -> bytes:
        """The line that answers a command line."""
        words = command.decode("ascii", "replace").split()
        match words:
            case ["read"]:
                return self.reading()
            case ["interval", number]:
                return self._set_interval(number)
            case _:
                return _line({"ok": False, "error": f"unknown command: {' '.join(words)[:40]}"})

    def _set_interval(self, number: str) -> bytes:
        try:
            interval_s = float(number)
        except ValueError:
            interval_s = 0.0
        if not INTERVAL_MIN_S <= interval_s <= INTERVAL_MAX_S:
            allowed = f"{INTERVAL_MIN_S} to {INTERVAL_MAX_S:.0f}"
            return _line({"ok": False, "error": f"interval must be {allowed} seconds"})
        self.interval_s = interval_s
        return _line({"ok": True, "interval_s": interval_s})

    def _drift(self, value: float, home: float, step: float) -> float:
        return value + self._rng.gauss(0.0, step) + (home - value) * 0.01


def _line(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode() + b"\r\n"


@contextmanager
def terminal(link: Path | None) -> Iterator[tuple[int, str]]:
    """A raw pseudo-terminal: the device's end, and the path of the other one, at `link` too."""
    master, slave = os.openpty()
    try:
        # Our own hold on the other end keeps the terminal in being while nobody has it open.
        tty.setraw(slave)
        os.set_blocking(master, False)
        path = os.ttyname(slave)
        if link is None:
            yield master, path
            return
        _point(link, path)
        try:
            yield master, path
        finally:
            if link.is_symlink() and os.readlink(link) == path:
                link.unlink()
    finally:
        os.close(master)
        os.close(slave)


def _point(link: Path, path: str) -> None:
    """Makes or moves the link in one step, as udev does."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.exists() and not link.is_symlink():
        raise SystemExit(f"sensor: {link} is there already and is not a link")
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.symlink_to(path)
    beside.replace(link)


def serve(sensor: Sensor, master: int, readings_max: int) -> None:
    """Speaks and listens until SystemExit, or until `readings_max` readings (0: no end)."""
    pending = b""
    next_at = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(master, selectors.EVENT_READ)
        while not readings_max or sensor.sequence < readings_max:
            now = time.monotonic()
            if now >= next_at:
                _say(master, sensor.reading())
                next_at = max(next_at, now - sensor.interval_s) + sensor.interval_s
            if selector.select(max(next_at - time.monotonic(), 0)):
                interval_s = sensor.interval_s
                pending = _listen(sensor, master, pending)
                if sensor.interval_s != interval_s:
                    next_at = time.monotonic() + sensor.interval_s


def _listen(sensor: Sensor, master: int, pending: bytes) -> bytes:
    try:
        *lines, pending = (pending + os.read(master, 4096)).split(b"\n")
    except BlockingIOError:
        return pending
    for line in lines:
        if line.strip():
            _say(master, sensor.answer(line[:COMMAND_BYTES_MAX]))
    return pending[-COMMAND_BYTES_MAX:]


def _say(master: int, line: bytes) -> None:
    try:
        os.write(master, line)
    except OSError as error:
        # Nobody reads: on a wire the bytes would be gone as well.
        if error.errno not in (errno.EAGAIN, errno.EIO):
            raise


def main(arguments: list[str] | None = None) -> int:
    """Runs the sensor until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="A simulated serial sensor.")
    parser.add_argument("--link", type=Path, help="where to put a link to the terminal")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between readings")
    parser.add_argument("--readings", type=int, default=0, help="end after so many; 0: never")
    parser.add_argument("--seed", type=int, default=None, help="the same drift at every start")
    options = parser.parse_args(arguments)
    if not INTERVAL_MIN_S <= options.interval <= INTERVAL_MAX_S:
        parser.error(f"--interval must be {INTERVAL_MIN_S} to {INTERVAL_MAX_S:.0f}")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    sensor = Sensor(options.interval, random.Random(options.seed))
    with terminal(options.link) as (master, path):
        print(path, flush=True)
        serve(sensor, master, options.readings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
