"""The retained document that says how the ports are.

    gateways/<gateway name>/devices
    {"online": true, "ports": [{"name", "path", "state", "readings", "errors", "last_reading_s",
                                "detail"}]}

`last_reading_s` is seconds before publication, null before the first reading. As the will and at a
planned end `online` is false and every port "offline". Must not know when it is published.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.devices.port import PortState, PortStatus

STATUS_TOPIC = "gateways/{gateway}/devices"
STATUS_INTERVAL_S = 5.0  # counters are told at most so often; a change of state at once


def online_document(ports: Sequence[PortStatus], now: float) -> bytes:
    """The document of a running process."""
    return msgspec.json.encode({"online": True, "ports": [_port(port, now) for port in ports]})


def offline_document(ports: Sequence[PortStatus]) -> bytes:
    """The document that remains when the process is gone: names and paths, nothing measured."""
    gone = [PortStatus(port.name, port.path, PortState.OFFLINE) for port in ports]
    return msgspec.json.encode({"online": False, "ports": [_port(port, 0.0) for port in gone]})


def _port(port: PortStatus, now: float) -> dict[str, Any]:
    last = port.last_reading_at
    return {
        "name": port.name,
        "path": port.path,
        "state": port.state.value,
        "readings": port.readings,
        "errors": port.errors,
        "last_reading_s": None if last is None else round(max(now - last, 0.0), 1),
        "detail": port.detail,
    }
