"""The command `gateway-devices`: arguments, configuration, log, then the runtime.

Exit status 0 after a planned stop, 1 when our own code failed, 2 when the configuration is wrong.
"""

import argparse
import asyncio
import logging
import socket
import sys
from pathlib import Path
from random import Random

from gateway.config import Config
from gateway.devices.runtime import Runtime
from gateway.devices.station import Station
from gateway.notify import log_to_stderr

DEFAULT_CONFIG = "/etc/gateway/gateway.toml"


def main(arguments: list[str] | None = None) -> int:
    """Runs gateway-devices until it is told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="gateway-devices",
        description="Carries the gateway's serial lines to MQTT topics and commands back.",
    )
    parser.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG)
    file_name = parser.parse_args(arguments).config
    try:
        config = load_config(Path(file_name))
        gateway = config.gateway.name or socket.gethostname()
        station = Station(gateway, config.serial, config.mqtt.packet_bytes_max, Random())
    except (OSError, ValueError) as error:
        print(f"gateway-devices: {file_name}: {error}", file=sys.stderr)
        return 2
    log_to_stderr(config.gateway.log_level)
    try:
        asyncio.run(_serve(station, config, gateway))
    except Exception:
        logging.getLogger("gateway.devices").exception("ended by a mistake of our own")
        return 1
    return 0


async def _serve(station: Station, config: Config, gateway: str) -> None:
    await Runtime(station, config, gateway).run()


def load_config(path: Path) -> Config:
    """The configuration in the file. Raises OSError, or ValueError with every problem."""
    import tomllib

    from gateway.config import GatewaySection, MqttSection, SerialPort

    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    ports = []
    for table in tables.get("serial", ()):
        columns = tuple(table.pop("columns", ()))
        ports.append(SerialPort(**table, columns=columns))
    return Config(
        GatewaySection(**tables.get("gateway", {})),
        MqttSection(**tables.get("mqtt", {})),
        serial=tuple(ports),
    )
