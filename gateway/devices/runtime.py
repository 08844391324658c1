"""The shell of the station: one clock, one timer, and a hand for each effect.

Rules: everything runs on one event loop; the station is called with what happened, then drained
until it asks for nothing more, then the timer is set to its deadline. Must not decide anything.
"""

import asyncio
import logging
import signal
from math import inf

from gateway.config import Config
from gateway.devices.broker_client import BrokerClient
from gateway.devices.channel import Channel
from gateway.devices.events import (
    ClosePort,
    Connect,
    Effect,
    Finished,
    Input,
    Level,
    Message,
    Note,
    OpenPort,
    Stop,
    WriteToPort,
)
from gateway.devices.station import Station
from gateway.devices.tasks import start
from gateway.notify import notify, watchdog_interval_s

_LOG = logging.getLogger("gateway.devices")
_LEVELS = {
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Runtime:
    """Runs a station until SIGTERM or SIGINT. To be made inside the event loop."""

    def __init__(self, station: Station, config: Config) -> None:
        self._station = station
        self._loop = asyncio.get_running_loop()
        self._channels = {port.name: Channel(port, self.receive) for port in config.serial}
        self._broker = BrokerClient(
            _ANY_ADDRESS.get(config.gateway.address, config.gateway.address),
            config.mqtt.port,
            f"gateway-devices-{config.gateway.name}",
            station.will(),
            station.command_topics,
            self.receive,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False
        self._end: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Serves; returns after a planned stop, raises what went wrong in our own code."""
        self._loop.set_exception_handler(self._on_mistake)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal)
        watchdog = start(_feed_watchdog())
        self._wake()
        notify("READY=1")
        try:
            await self._end
        finally:
            watchdog.cancel()
            self._stop_timer()
            for channel in self._channels.values():
                channel.close()
            await self._broker.close()

    def receive(self, item: Input) -> None:
        """Something happened; called by the other shells."""
        self._station.receive(item, self._loop.time())
        self._settle()

    def _wake(self) -> None:
        self._station.wake(self._loop.time())
        self._settle()

    def _settle(self) -> None:
        # An effect may report at once what it did, in the middle of this loop.
        if self._settling:
            return
        self._settling = True
        try:
            while effects := self._station.drain():
                for effect in effects:
                    self._carry_out(effect)
        finally:
            self._settling = False
        self._set_timer()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Message():
                self._broker.publish(effect)
            case WriteToPort(port=port, data=data):
                self._channels[port].write(data)
            case OpenPort(port=port):
                self._channels[port].open()
            case ClosePort(port=port):
                self._channels[port].close()
            case Connect():
                self._broker.connect()
            case Note(level=level, text=text):
                _LOG.log(_LEVELS[level], "%s", text)
            case Finished():
                if not self._end.done():
                    self._end.set_result(None)

    def _set_timer(self) -> None:
        self._stop_timer()
        deadline = self._station.deadline()
        if deadline < inf and not self._end.done():
            self._timer = self._loop.call_at(deadline, self._wake)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_signal(self) -> None:
        notify("STOPPING=1")
        self.receive(Stop())

    def _on_mistake(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """An exception that nobody caught is a mistake of ours: end, and be started anew."""
        future = context.get("future")
        if isinstance(future, asyncio.Future) and not isinstance(future, asyncio.Task):
            return  # the MQTT library's note of a lost connection, told to us another way already
        error = context.get("exception")
        if isinstance(error, OSError):
            # Ours are answered where they happen. The MQTT library asks the loop to watch a socket
            # one turn after the broker may have closed it, and hears of the loss another way.
            _LOG.debug("ignored on the loop: %s", error)
            return
        loop.default_exception_handler(context)
        if isinstance(error, Exception) and not self._end.done():
            self._end.set_exception(error)


async def _feed_watchdog() -> None:
    interval_s = watchdog_interval_s()
    if interval_s is None:
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
