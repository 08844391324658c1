"""A mistake of our own ends the process, so that systemd can start it anew."""

import asyncio
import os
import signal
from random import Random

import pytest

from gateway.config import Config, GatewaySection, MqttSection, SerialPort
from gateway.devices.events import BrokerLost, Input, Opened
from gateway.devices.runtime import Runtime
from gateway.devices.station import Station
from tests.brokers import free_port
from tests.devices.conftest import Line


class Mistaken(Station):
    """Fails on one kind of input."""

    fails_on: type[object] = object

    def receive(self, item: Input, now: float) -> None:
        assert not isinstance(item, self.fails_on), "a mistake"
        super().receive(item, now)


async def run(config: Config, fails_on: type[object]) -> None:
    station = Mistaken("box", config.serial, config.mqtt.packet_bytes_max, Random(1))
    station.fails_on = fails_on
    async with asyncio.timeout(10):
        await Runtime(station, config).run()


@pytest.mark.parametrize("fails_on", [Opened, BrokerLost])
def test_a_mistake_ends_the_process(
    fails_on: type[object], line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(
        GatewaySection(name="box", address="127.0.0.1"),
        MqttSection(port=free_port()),
        serial=(SerialPort("p", path=str(line.link)),),
    )
    with pytest.raises(AssertionError, match="a mistake"):
        asyncio.run(run(config, fails_on))
    assert "a mistake" in caplog.text


def test_a_socket_that_is_gone_before_it_is_watched_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run_until_told_to_stop() -> None:
        station = Station("box", (), 1000, Random(1))
        config = Config(mqtt=MqttSection(port=free_port()))
        reading, writing = os.pipe()
        os.close(reading)
        os.close(writing)
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.add_writer, writing, print)
        loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await Runtime(station, config).run()

    with caplog.at_level("DEBUG", "gateway.devices"):
        asyncio.run(run_until_told_to_stop())
    assert "Bad file descriptor" in caplog.text
