"""Every check of `gwctl doctor`, in the order in which an operator should read them.

Works while gatewayd does not run, and starts nothing. Must not know how findings are shown.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Config, ConfigError
from gateway.config_loader import load_config
from gateway.doctor import disk, network, system
from gateway.doctor.finding import Finding, error, ok, warning


def checkup(config_file: str, root: Path = Path("/")) -> Iterator[Finding]:
    """Each finding as soon as it is made. `root`: see `system.py`."""
    config, finding = configuration(config_file)
    yield finding
    if config is not None:
        yield from _gateway(config)
    yield system.clock(datetime.now(UTC).year, system.clock_state())
    yield system.boot(root)
    yield system.memory(root)
    yield from system.wear(root)
    yield system.log(root)


def configuration(path: str) -> tuple[Config | None, Finding]:
    """The configuration for the other checks, where it can be had."""
    check = "configuration"
    try:
        return load_config(path), ok(check, f"{path}: correct")
    except ConfigError as problem:
        if isinstance(problem.__cause__, PermissionError):
            text = f"this user may not read {path}; what needs it was not checked"
            return None, warning(check, text, "try: sudo gwctl doctor")
        return None, error(check, "; ".join(problem.lines()), "put it right, then start gatewayd")


def _gateway(config: Config) -> Iterator[Finding]:
    gateway = config.gateway
    yield network.control(gateway.control_socket)
    yield network.mqtt(gateway.address, config.mqtt.port)
    if config.cluster is not None:
        yield network.listening("link port", gateway.address, config.cluster.link_port)
        if config.cluster.discovery:
            yield network.multicast(gateway.address)
    yield disk.state_directory(gateway.state_dir)
