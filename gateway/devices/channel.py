"""The shell of one serial port: a pyserial port carried by the event loop.

Rules: opening runs beside the loop, because a driver may think for seconds; after that the loop is
told by the kernel when there is something to read or room to write, so an idle port costs nothing.
After `close` nothing more is reported. Must not know what the bytes mean or when to try again.
"""

import asyncio
import errno
import os
import termios
from collections.abc import Callable, Iterable
from typing import Protocol

import serial
from serial.tools import list_ports

from gateway.config import SerialPort
from gateway.devices.events import ChannelInput, Lost, Opened, OpenFailed, Received, Written
from gateway.devices.tasks import start

_READ_BYTES_MAX = 65_536  # more than the kernel keeps for a serial line
_NOT_THERE = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO}  # EIO: just unplugged
_PARITY = {
    "none": serial.PARITY_NONE,
    "even": serial.PARITY_EVEN,
    "odd": serial.PARITY_ODD,
}


class UsbDevice(Protocol):
    """What is asked of an entry of pyserial's list of ports."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None


class _NotThere(Exception):
    """No port answers to the configured usb id now."""


def find_usb(usb: str, devices: Iterable[UsbDevice]) -> str | None:
    """The device path of "VID:PID" or "VID:PID:SERIAL" among `devices`, None when it is not there.

    Of several the one that sorts first, so that the choice is the same at the next start.
    """
    vid, pid, *rest = usb.split(":", 2)
    return min(
        (
            found.device
            for found in devices
            if (found.vid, found.pid) == (int(vid, 16), int(pid, 16))
            and (not rest or found.serial_number == rest[0])
        ),
        default=None,
    )


class Channel:
    """One configured port; `report` is called on the loop with what happens to it."""

    def __init__(self, config: SerialPort, report: Callable[[ChannelInput], None]) -> None:
        self._config = config
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.Task[None] | None = None
        self._serial: serial.Serial | None = None
        self._unsent = b""

    def open(self) -> None:
        """Begins to open; reports Opened or OpenFailed."""
        assert self._serial is None
        self._opening = start(self._open())

    def write(self, data: bytes) -> None:
        """Writes all of `data`; reports Written, or Lost."""
        assert self._serial is not None
        assert not self._unsent
        self._unsent = data
        self._flush()

    def close(self) -> None:
        """Closes, or gives up opening."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._serial is not None:
            self._loop.remove_reader(self._serial.fileno())
            self._loop.remove_writer(self._serial.fileno())
            self._serial.close()
            self._serial = None
        self._unsent = b""

    async def _open(self) -> None:
        opening = self._loop.run_in_executor(None, _open_port, self._config)
        try:
            opened = await asyncio.shield(opening)
            self._loop.add_reader(opened.fileno(), self._on_readable)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise
        except _NotThere as error:
            self._report(OpenFailed(self._config.name, missing=True, detail=str(error)))
        except (OSError, ValueError, termios.error) as error:
            missing = _error_number(error) in _NOT_THERE
            self._report(OpenFailed(self._config.name, missing, _reason(error)))
        else:
            self._serial = opened
            self._report(Opened(self._config.name, str(opened.port)))

    def _on_readable(self) -> None:
        assert self._serial is not None
        try:
            data = os.read(self._serial.fileno(), _READ_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._report(Lost(self._config.name, _reason(error)))
            return
        # The kernel says "readable" and has nothing: that is how a terminal hangs up.
        if data:
            self._report(Received(self._config.name, data))
        else:
            self._report(Lost(self._config.name, "the line was hung up"))

    def _flush(self) -> None:
        assert self._serial is not None
        fd = self._serial.fileno()
        try:
            written = os.write(fd, self._unsent)
        except (BlockingIOError, InterruptedError):
            written = 0
        except OSError as error:
            self._report(Lost(self._config.name, _reason(error)))
            return
        self._unsent = self._unsent[written:]
        if self._unsent:
            self._loop.add_writer(fd, self._flush)
        else:
            self._loop.remove_writer(fd)
            self._report(Written(self._config.name))


def _open_port(config: SerialPort) -> serial.Serial:
    """Runs beside the loop; raises _NotThere, OSError (pyserial's among them) or ValueError."""
    path = config.path or find_usb(config.usb, list_ports.comports())
    if path is None:
        raise _NotThere(f"no serial port with usb id {config.usb} is plugged in")
    return serial.Serial(
        path,
        baudrate=config.speed,
        bytesize=config.data_bits,
        parity=_PARITY[config.parity],
        stopbits=config.stop_bits,
        timeout=0,
        write_timeout=0,
        exclusive=True,
    )


def _close_late(opening: "asyncio.Future[serial.Serial]") -> None:
    """The port that was opened when nobody wanted it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _error_number(error: BaseException) -> int | None:
    """The errno; pyserial keeps it only in the exception that it was answering."""
    number = getattr(error, "errno", None)
    if number is None and error.__context__ is not None:
        number = error.__context__.args[0] if error.__context__.args else None
    return number if isinstance(number, int) else None


def _reason(error: BaseException) -> str:
    """The error as an operator would say it."""
    number = _error_number(error)
    if number in (errno.EAGAIN, errno.EBUSY):
        return "another program has the port open"
    if number == errno.EACCES:
        return "no permission to open the port; the user must be in the group of the device"
    if number == errno.ENOTTY:
        return "it is not a serial port"
    return os.strerror(number) if number is not None else str(error)
