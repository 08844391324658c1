"""The command `gateway-devices`: arguments, configuration, log, then the runtime.

Exit status 0 after a planned stop, 1 when our own code failed, 2 when the configuration is wrong.
"""

import argparse
import asyncio
import logging
import sys
from random import Random

from gateway.config import Config, ConfigError
from gateway.config_loader import DEFAULT_PATH, load_config
from gateway.devices.runtime import Runtime
from gateway.devices.station import Station
from gateway.notify import log_to_stderr


def main(arguments: list[str] | None = None) -> int:
    """Runs gateway-devices until it is told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="gateway-devices",
        description="Carries the gateway's serial lines to MQTT topics and commands back.",
    )
    parser.add_argument("--config", metavar="FILE", default=DEFAULT_PATH)
    file_name = parser.parse_args(arguments).config
    try:
        config = load_config(file_name)
        gateway = config.gateway.name
        station = Station(gateway, config.serial, config.mqtt.packet_bytes_max, Random())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"{file_name}: {error}", file=sys.stderr)
        return 2
    log_to_stderr(config.gateway.log_level)
    try:
        asyncio.run(_serve(station, config))
    except Exception:
        logging.getLogger("gateway.devices").exception("ended by a mistake of our own")
        return 1
    return 0


async def _serve(station: Station, config: Config) -> None:
    await Runtime(station, config).run()
