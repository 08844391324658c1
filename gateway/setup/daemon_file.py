"""The daemons' configuration file, written: the way back from a Config to TOML.

What is at its default is left out. Reading what was written gives the same Config. Must not know
where the Config came from.
"""

import json
from dataclasses import fields
from typing import Any

from gateway.config import Config
from gateway.config_keys import CLUSTER, DURABILITY, GATEWAY, MQTT, SERIAL, Section

HEADER = "# Written by gateway-setup from the installer's file; what is changed here is lost.\n"


def daemon_file(config: Config) -> str:
    """The text of the file, which holds the cluster key."""
    tables = [(GATEWAY, config.gateway), (MQTT, config.mqtt), (CLUSTER, config.cluster)]
    tables += [(DURABILITY, rule) for rule in config.durability]
    tables += [(SERIAL, port) for port in config.serial]
    return HEADER + "".join(
        _table(section, values) for section, values in tables if values is not None
    )


def _table(section: Section, values: Any) -> str:
    shape: Any = section.shape
    defaults = {field.name: field.default for field in fields(shape)}
    lines = [f"\n{section.header}\n"]
    for key in section.keys:
        value = getattr(values, key.name, None)
        if value is not None and value != defaults[key.name]:
            lines.append(f"{key.name} = {_toml(value)}\n")
    return "".join(lines)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            # TOML's basic strings are JSON's, but for this one character.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(_toml(one) for one in value)}]"
    raise AssertionError(f"no key has a {type(value).__name__}")
