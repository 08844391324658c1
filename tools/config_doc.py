"""Prints docs/configuration.md from the table of keys.

    .venv/bin/python -m tools.config_doc > docs/configuration.md

Nothing about a single key is written here: a word that is wrong in the page is put right in
`gateway/config_keys.py`, a default in `gateway/config.py`.
"""

import json
from dataclasses import MISSING, Field, fields
from typing import Any

from gateway.config_keys import SECTIONS, Key, Section

EXAMPLE = """\
[gateway]
name = "gw1"

[mqtt]
allow_anonymous = "loopback"

[cluster]
name = "home"
key_file = "/etc/gateway/cluster.key"
peers = ["gw2", "192.168.1.13:7883"]
expected_gateways = 3

[[durability]]
filter = "sensors/#"
level = "memory"

[[serial]]
name = "scale"
usb = "0403:6001"
speed = 9600
format = "csv"
columns = ["weight", "unit"]

[[serial]]
name = "meter"
path = "/dev/ttyAMA0"
topic = "building/{gateway}/{port}"
"""

OPENING = f"""\
<!-- Printed by tools/config_doc.py; change the table in gateway/config_keys.py instead. -->

# The configuration file

One TOML file, `/etc/gateway/gateway.toml`, for `gatewayd` and `gateway-devices`; every key may be
left out that has a default. An example:

```toml
{EXAMPLE}```

`gatewayd --check` reads the file, starts nothing, and prints each problem as one line: file, line,
key, what is wrong, what is allowed. The daemons say the same and do not start.

```
gateway.toml:7: mqtt.port: 70000 is out of range; allowed: a whole number from 1 to 65535
```

A section or key that is not on this page is a problem, not a comment.
"""

RULES = """\
## Rules between keys

- `[cluster]` has exactly one of `key` and `key_file`. All gateways of a mesh have the same key. It
  is never shown, neither in a log nor in `gwctl status`.
- `heartbeat_s` is below `suspect_s`, and that below `dead_s`.
- No two of all ports are the same, but for 0.
- A port in `[proxy]` needs `addresses`.
- `tls.key_file` is written only beside `certificate_file`, `client_crl_file` and
  `client_certificates = "required"` only beside `client_ca_file`. A file that cannot be used is a
  problem of its key, for `gatewayd` and its `--check`.
- `queue_bytes_max` is at least `packet_bytes_max`.
- Each `[[durability]]` has a filter of its own.
- Each `[[serial]]` has exactly one of `path` and `usb`; `name`, `path` and `usb` are its own.
- `columns` is written for `format = "csv"`, where it must be, and for nothing else.
- `topic` and `command_topic` of a port differ. In both, `{gateway}` becomes the gateway's name and
  `{port}` the port's.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([OPENING, *(_section(section) for section in SECTIONS), RULES])


def _section(section: Section) -> str:
    shape: Any = section.shape
    defaults = {field.name: field for field in fields(shape)}
    rows = [_row(key, defaults.get(key.name)) for key in section.keys]
    head = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    lines = [f"## `{section.header}`", "", section.meaning, "", *head, *rows, ""]
    return "\n".join(lines)


def _row(key: Key, field: Field[Any] | None) -> str:
    default = MISSING if field is None else field.default
    written = "none" if default is MISSING else f"`{_toml(default)}`"
    return f"| `{key.name}` | {written} | {key.allowed} | {key.meaning} |"


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    print(page(), end="")
