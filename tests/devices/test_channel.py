"""Which serial port is meant, and what is said when it cannot be had."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config import SerialPort
from gateway.devices.channel import Channel, find_usb
from gateway.devices.events import ChannelInput, Lost, Opened, OpenFailed, Received, Written
from tests.devices.conftest import Line


@dataclass
class Device:
    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None


PLUGGED_IN = [
    Device("/dev/ttyS0"),
    Device("/dev/ttyUSB1", 0x0403, 0x6001, "B"),
    Device("/dev/ttyUSB0", 0x0403, 0x6001, "A"),
    Device("/dev/ttyACM0", 0x2E8A, 0x0005, "E66:1"),
]


@pytest.mark.parametrize(
    ("usb", "path"),
    [
        ("0403:6001", "/dev/ttyUSB0"),
        ("403:6001:B", "/dev/ttyUSB1"),
        ("2e8a:0005", "/dev/ttyACM0"),
        ("2E8A:5:E66:1", "/dev/ttyACM0"),
        ("0403:6001:C", None),
        ("ffff:6001", None),
    ],
)
def test_a_usb_id_finds_its_port(usb: str, path: str | None) -> None:
    assert find_usb(usb, PLUGGED_IN) == path


async def follow(
    config: SerialPort, act: Callable[[Channel, ChannelInput], bool]
) -> list[ChannelInput]:
    """Opens the port and hands what it reports to `act` until that says it has seen enough."""
    reports: asyncio.Queue[ChannelInput] = asyncio.Queue()
    channel = Channel(config, reports.put_nowait)
    channel.open()
    seen: list[ChannelInput] = []
    try:
        async with asyncio.timeout(10):
            while not seen or not act(channel, seen[-1]):
                seen.append(await reports.get())
    finally:
        channel.close()
    return seen


def first_report(config: SerialPort) -> ChannelInput:
    return asyncio.run(follow(config, lambda _channel, _report: True))[0]


def test_a_path_that_is_not_there_is_missing(tmp_path: Path) -> None:
    report = first_report(SerialPort("p", path=str(tmp_path / "none")))
    assert report == OpenFailed("p", missing=True, detail="No such file or directory")


def test_a_usb_id_that_is_not_there_is_missing() -> None:
    report = first_report(SerialPort("p", usb="ffff:ffff:nobody"))
    assert isinstance(report, OpenFailed)
    assert report.missing
    assert "ffff:ffff:nobody" in report.detail


def test_a_file_that_is_no_port_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    report = first_report(SerialPort("p", path=str(tmp_path / "file")))
    assert report == OpenFailed("p", missing=False, detail="it is not a serial port")


def test_a_port_that_another_program_has_is_an_error(line: Line) -> None:
    config = SerialPort("p", path=str(line.link))

    async def both() -> list[ChannelInput]:
        reports: asyncio.Queue[ChannelInput] = asyncio.Queue()
        channel = Channel(config, reports.put_nowait)
        channel.open()
        try:
            assert isinstance(await reports.get(), Opened)
            return await follow(config, lambda _channel, _report: True)
        finally:
            channel.close()

    assert asyncio.run(both()) == [
        OpenFailed("p", missing=False, detail="another program has the port open")
    ]


def test_bytes_go_through_unchanged_in_both_directions(line: Line) -> None:
    every_byte = bytes(range(256))

    def act(channel: Channel, report: ChannelInput) -> bool:
        match report:
            case Opened():
                channel.write(every_byte)
            case Written():
                line.say(every_byte)
        return isinstance(report, Received)

    seen = asyncio.run(follow(SerialPort("p", path=str(line.link)), act))
    assert seen[-1] == Received("p", every_byte)
    assert line.heard() == every_byte


def test_a_write_that_the_line_cannot_take_at_once_is_finished_later(line: Line) -> None:
    data = os.urandom(100_000)
    heard = bytearray()

    async def run() -> list[ChannelInput]:
        loop = asyncio.get_running_loop()
        loop.add_reader(line.fd, lambda: heard.extend(line.heard()))

        def act(channel: Channel, report: ChannelInput) -> bool:
            if isinstance(report, Opened):
                channel.write(data)
            return isinstance(report, Written)

        try:
            return await follow(SerialPort("p", path=str(line.link)), act)
        finally:
            loop.remove_reader(line.fd)

    assert isinstance(asyncio.run(run())[-1], Written)
    while more := line.heard():
        heard += more
    assert heard == data


def test_an_unplugged_port_is_lost_once(line: Line) -> None:
    def act(_channel: Channel, report: ChannelInput) -> bool:
        if isinstance(report, Opened):
            line.unplug()
        return isinstance(report, Lost)

    seen = asyncio.run(follow(SerialPort("p", path=str(line.link)), act))
    assert [type(report) for report in seen] == [Opened, Lost]


def test_closing_while_it_opens_leaves_no_descriptor(line: Line) -> None:
    async def run() -> None:
        channel = Channel(SerialPort("p", path=str(line.link)), reports.append)
        channel.open()
        await asyncio.sleep(0)
        channel.close()
        await asyncio.get_running_loop().shutdown_default_executor()
        await asyncio.sleep(0)

    reports: list[ChannelInput] = []
    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert reports == []
    assert len(os.listdir("/proc/self/fd")) == before
