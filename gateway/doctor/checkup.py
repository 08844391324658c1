"""Every check of `gwctl doctor`, in the order in which an operator should read them.

Works while gatewayd does not run, and starts nothing. Where it runs, what it says of itself stands in
for what this user may not read: the file of the configuration, the state directory. Must not know how
findings are shown, nor how gatewayd is asked.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.config import Config, ConfigError
from gateway.config_document import differences, from_document, to_document
from gateway.config_loader import DEFAULT_PATH, load_config
from gateway.doctor import disk, network, ports, system
from gateway.doctor.finding import Finding, error, ok, warning

DIFFERENCES_SHOWN = 5

# Asks the gatewayd of this control socket; None: there is no answer.
Ask = Callable[[str, str], dict[str, Any] | None]


def checkup(
    config_file: str, ask: Ask, usual_socket: str, root: Path = Path("/")
) -> Iterator[Finding]:
    """Each finding as soon as it is made.

    `config_file` is empty for the one that gatewayd runs with, or would. `usual_socket` is where
    gatewayd is asked if the file does not say; `root`: see `system.py`.
    """
    running, socket = (None if config_file else ask(usual_socket, "config")), usual_socket
    config_file = config_file or _file_of(running) or DEFAULT_PATH
    config, mistake = configuration(config_file)
    if running is None:
        socket = usual_socket if config is None else config.gateway.control_socket
        running = ask(socket, "config")
    status = ask(socket, "status")
    yield from _configurations(config_file, config, mistake, running)
    yield network.control(socket)
    yield from system.gatewayd(root, status)
    if config is None and running is not None:
        config = _running(running)
    if config is not None:
        yield from _gateway(config, status)
    yield system.clock(datetime.now(UTC).year, system.clock_state())
    yield system.boot(root)
    yield system.memory(root)
    yield from system.wear(root)
    yield from disk.life(status)
    yield system.log(root)


def configuration(path: str) -> tuple[Config | None, ConfigError | None]:
    """What the file says, or what is wrong with it."""
    try:
        return load_config(path), None
    except ConfigError as problem:
        return None, problem


def _file_of(running: dict[str, Any] | None) -> str:
    """The file that this gatewayd read when it started; empty: none answers, or it is of a version
    that does not say."""
    file = running.get("file") if running is not None else None
    return file if isinstance(file, str) else ""


def _configurations(
    path: str, config: Config | None, mistake: ConfigError | None, running: dict[str, Any] | None
) -> Iterator[Finding]:
    """The file, and whether gatewayd runs with it."""
    check, file = "configuration", _file_of(running)
    other = file if file and Path(file).resolve() != Path(path).resolve() else ""
    if mistake is not None and not isinstance(mistake.__cause__, PermissionError):
        remedy = "put it right, then start gatewayd"
        if other:
            remedy = f"put it right; the gatewayd that answers here runs with {other}"
        elif running is not None:
            remedy = (
                "put it right: gatewayd runs with what it read before, and would not start again"
            )
        yield error(check, "; ".join(mistake.lines()), remedy)
    elif config is None and running is None:
        text = f"this user may not read {path}; what needs it was not checked"
        yield warning(
            check, text, "try: sudo gwctl doctor; or start gatewayd, which says what it has"
        )
    elif config is None:
        yield ok(check, f"this user may not read {path}; checked is what gatewayd runs with")
    elif other:
        text = f"{path}: correct, but gatewayd runs with {other}"
        yield warning(check, text, "see what it has: gwctl config")
    else:
        yield _compared(check, path, config, running)


def _compared(check: str, path: str, config: Config, running: dict[str, Any] | None) -> Finding:
    """Whether gatewayd, if it runs, has what the file says now."""
    changed = differences(to_document(config), running) if running is not None else []
    changed = [key for key in changed if key != "file"]
    if not changed:
        return ok(check, f"{path}: correct")
    more = ", ..." if len(changed) > DIFFERENCES_SHOWN else ""
    names = ", ".join(changed[:DIFFERENCES_SHOWN]) + more
    text = f"{path}: correct, but gatewayd runs with another {names}"
    return warning(check, text, "systemctl restart gatewayd; see what it has: gwctl config")


def _running(document: dict[str, Any]) -> Config | None:
    """None: a gatewayd of another version has another form of it."""
    try:
        return from_document(document)
    except (ValueError, TypeError):
        return None


def _gateway(config: Config, status: dict[str, Any] | None) -> Iterator[Finding]:
    gateway, mqtt, now = config.gateway, config.mqtt, datetime.now(UTC)
    yield ports.mqtt(gateway.address, mqtt.port)
    if mqtt.tls_port:
        yield from ports.mqtt_tls(gateway.address, mqtt.tls_port, now)
    if mqtt.websocket_port:
        yield ports.websocket(gateway.address, mqtt.websocket_port)
    if mqtt.websocket_tls_port:
        yield from ports.websocket_tls(gateway.address, mqtt.websocket_tls_port, now)
    if mqtt.unix_socket:
        yield ports.local(mqtt.unix_socket)
    if config.metrics.port:
        yield ports.metrics(config.metrics.address, config.metrics.port)
    if config.cluster is not None:
        yield network.listening("link port", gateway.address, config.cluster.link_port)
    if config.cluster is None or config.cluster.discovery:  # alone it is announced all the same
        yield network.multicast(gateway.address)
    yield disk.state_directory(gateway.state_dir, status)
