"""The way in: the text of a configuration file becomes a Config, or every problem at once.

What one key may be is the table in `config_keys.py`; the rules between keys are here, each a
function. A rule is not asked when one of its keys is already known to be wrong, so that one mistake
is reported once. Must not open files: the caller passes the text and the means to read `key_file`.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from typing import Any

from gateway.config import (
    ClusterSection,
    Config,
    ConfigError,
    GatewaySection,
    MqttSection,
    Problem,
    SerialPort,
)
from gateway.config_checks import cluster_key_fault, shown
from gateway.config_keys import (
    CLUSTER,
    GATEWAY,
    KEY,
    MQTT,
    OTHER_WORDS,
    SECTIONS,
    SERIAL,
    Key,
    Kind,
    Section,
)
from gateway.toml_lines import Path, locate

TEXT_CHARACTERS_MAX = 262_144  # a hundred times a long file; bounds what the parsers are fed
PORTS_MAX = 64  # serial lines on one box, hubs included

Values = dict[str, Any]


def _no_files(name: str) -> str:
    raise OSError(f"no file can be read here: {name}")


def parse(text: str, file_name: str, read_file: Callable[[str], str] = _no_files) -> Config:
    """Reads the text of a configuration file; `file_name` is only for messages.

    `read_file` returns the text of the file that `cluster.key_file` names and raises OSError or
    ValueError when it cannot. Raises ConfigError with everything that is wrong.
    """
    report = _Report()
    document = _toml(text, report)
    config = _config(document, read_file, report) if not report.problems else Config()
    if report.problems:
        problems = sorted(report.problems, key=lambda problem: problem.line)
        raise ConfigError(file_name, tuple(problems))
    return config


class _Report:
    """Collects problems, and knows the line of each key."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.wrong: set[Path] = set()

    def add(self, path: Path, text: str, remedy: str) -> None:
        """`path` may be a key that is missing: then the line is that of its table."""
        self.wrong.add(path)
        line, place = 1, path
        while place:
            if place in self.lines:
                line = self.lines[place]
                break
            place = place[:-1]
        name = ".".join(_written(part) for part in path if isinstance(part, str))
        self.problems.append(Problem(line, name, text, remedy))

    def add_to_last_written(self, table: Path, keys: Iterable[str], text: str, remedy: str) -> None:
        """For a rule between keys: the last of them that is in the file."""
        paths = [(*table, key) for key in keys]
        written = [path for path in paths if path in self.lines]
        self.add(max(written, key=lambda path: self.lines[path], default=paths[0]), text, remedy)

    def fine(self, table: Path, *keys: str) -> bool:
        """Whether nothing is known to be wrong with these keys."""
        return not any((*table, key) in self.wrong for key in keys)


def _written(part: str) -> str:
    """A part of a key as it stands in the file, quoted where TOML wants quotes."""
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else shown(part)


# TOML.


def _toml(text: str, report: _Report) -> Values:
    if len(text) > TEXT_CHARACTERS_MAX:
        allowed = f"allowed: at most {TEXT_CHARACTERS_MAX} characters"
        report.add((), f"the file has {len(text)} characters", allowed)
        return {}
    try:
        document = tomllib.loads(text)
        report.lines = locate(text)
    except RecursionError:
        report.add((), "lists or tables are nested too deeply", "no key needs more than one list")
        return {}
    except ValueError as error:
        report.problems.append(_syntax_problem(text, str(error)))
        return {}
    return document


def _syntax_problem(text: str, words: str) -> Problem:
    """The parser's own words end in "(at line 3, column 7)" or "(at end of document)"."""
    match = re.fullmatch(
        r"(.*?)(?: \(at (?:line (\d+), column \d+|end of document)\))?", words, re.S
    )
    assert match is not None
    line = int(match[2]) if match[2] else text.rstrip("\n").count("\n") + 1
    said = match[1][:1].lower() + match[1][1:].replace("\n", " ")
    remedy = 'a line is a [section], a key = value with texts in "quotes", or a # comment'
    return Problem(line, "", f"this is not TOML: {said}", remedy)


# Sections and keys.


def _config(document: Values, read_file: Callable[[str], str], report: _Report) -> Config:
    _report_unknown_sections(document, report)
    gateway = _section(GATEWAY, document, report)
    mqtt = _section(MQTT, document, report)
    cluster = _section(CLUSTER, document, report) if "cluster" in document else None
    ports = _ports(document, report)
    _check_mqtt(mqtt, report)
    if cluster is not None:
        _check_times(cluster, report)
        _check_link_port(mqtt, cluster, report)
        cluster = _with_key(cluster, read_file, report)
    for index, port in enumerate(ports):
        _check_port(port, ("serial", index), report)
    _check_ports_differ(ports, report)
    return Config(
        GatewaySection(**gateway),
        MqttSection(**mqtt),
        None if cluster is None else ClusterSection(**cluster),
        tuple(SerialPort(**port) for port in ports),
    )


def _report_unknown_sections(document: Values, report: _Report) -> None:
    names = [section.name for section in SECTIONS]
    for name, value in document.items():
        if name in names:
            continue
        is_table = isinstance(value, (dict, list))
        homes = [] if is_table else _homes(name)
        if homes:
            remedy = f"it belongs below {' or '.join(homes)}"
        else:
            headers = {section.name: section.header for section in SECTIONS}
            near = difflib.get_close_matches(name.lower(), names, 1)
            allowed = f"allowed: {', '.join(headers.values())}"
            remedy = f"did you mean {headers[near[0]]}?" if near else allowed
        report.add((name,), "there is no such section" if is_table else "is in no section", remedy)


def _section(section: Section, document: Values, report: _Report) -> Values:
    """The section's values, defaults included; what is wrong is reported and left at a default."""
    table = document.get(section.name, {})
    if not isinstance(table, dict):
        text = "is written as a list" if isinstance(table, list) else "is not a section"
        report.add((section.name,), text, f"write {section.header} once, and its keys below")
        report.wrong.update((section.name, key.name) for key in section.keys)
        return _defaults(section)
    return _table(section, table, (section.name,), report)


def _ports(document: Values, report: _Report) -> list[Values]:
    tables = document.get(SERIAL.name, [])
    remedy = f"write {SERIAL.header} above the keys of each port"
    if not isinstance(tables, list):
        report.add((SERIAL.name,), "is not a list of ports", remedy)
        return []
    if len(tables) > PORTS_MAX:
        report.add((SERIAL.name,), f"has {len(tables)} ports", f"allowed: at most {PORTS_MAX}")
        return []
    ports = []
    for index, table in enumerate(tables):
        if isinstance(table, dict):
            ports.append(_table(SERIAL, table, (SERIAL.name, index), report))
        else:
            report.add((SERIAL.name, index), f"{shown(table)} is not a port", remedy)
    return ports


def _table(section: Section, table: Values, path: Path, report: _Report) -> Values:
    keys = {key.name: key for key in section.keys}
    values = _defaults(section)
    for name, value in table.items():
        if name not in keys:
            text = f"is not a key of {section.header}"
            report.add((*path, name), text, _nearest(name, section))
        elif _is_good(keys[name], value, (*path, name), report):
            values[name] = _frozen(keys[name].kind, value)
    if section in (CLUSTER, SERIAL) and "name" not in table:
        report.add((*path, "name"), "is missing", f"allowed: {keys['name'].allowed}")
    return values


def _defaults(section: Section) -> Values:
    """By the dataclass; a key without a default there has an empty text until it is given."""
    shape: Any = section.shape
    values: Values = {}
    for field in fields(shape):
        values[field.name] = "" if field.default is MISSING else field.default
    return values


def _nearest(name: str, section: Section) -> str:
    names = [key.name for key in section.keys]
    plain = name.lower().replace("-", "_")
    near = [OTHER_WORDS[plain]] if OTHER_WORDS.get(plain) in names else []
    near += difflib.get_close_matches(plain, names, 1)
    homes = _homes(name)
    if homes:
        return f"it belongs below {' or '.join(homes)}"
    return f"did you mean {near[0]}?" if near else f"allowed: {', '.join(names)}"


def _homes(name: str) -> list[str]:
    """The sections that have a key of this name."""
    return [section.header for section in SECTIONS if name in (key.name for key in section.keys)]


def _is_good(key: Key, value: object, path: Path, report: _Report) -> bool:
    if not _is_kind(key.kind, value):
        what = "" if key.secret else f"{shown(value)} "
        report.add(path, f"{what}is not {key.kind.value}", f"allowed: {key.allowed}")
        return False
    if not isinstance(value, list):
        return _is_faultless(key, value, path, report)
    if len(value) > key.count_max:
        report.add(path, f"has {len(value)} elements", f"allowed: {key.allowed}")
        return False
    elements = [
        _is_faultless(key, element, (*path, index), report) for index, element in enumerate(value)
    ]
    if not all(elements):
        report.wrong.add(path)
    return all(elements)


def _is_faultless(key: Key, value: object, path: Path, report: _Report) -> bool:
    fault = key.fault(value)
    if fault:
        report.add(path, fault, f"allowed: {key.allowed}")
    return not fault


def _is_kind(kind: Kind, value: object) -> bool:
    match kind:
        case Kind.TEXT:
            return isinstance(value, str)
        case Kind.WHOLE:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.NUMBER:
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case Kind.SWITCH:
            return isinstance(value, bool)
        case Kind.TEXTS:
            return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _frozen(kind: Kind, value: Any) -> Any:
    match kind:
        case Kind.TEXTS:
            return tuple(value)
        case Kind.NUMBER:
            return float(value)
        case _:
            return value


# Rules between keys.


def _check_mqtt(mqtt: Values, report: _Report) -> None:
    keys = ("queue_bytes_max", "packet_bytes_max")
    if report.fine(("mqtt",), *keys) and mqtt["queue_bytes_max"] < mqtt["packet_bytes_max"]:
        text = f"a packet of {mqtt['packet_bytes_max']} bytes would not fit into an empty queue"
        remedy = "allowed: queue_bytes_max at least as large as packet_bytes_max"
        report.add_to_last_written(("mqtt",), keys, text, remedy)


def _check_times(cluster: Values, report: _Report) -> None:
    pairs = (("heartbeat_s", "suspect_s"), ("suspect_s", "dead_s"))
    for pair in [pair for pair in pairs if report.fine(("cluster",), *pair)]:
        less, more = pair
        if cluster[less] >= cluster[more]:
            text = f"{less} is {cluster[less]:g} and {more} is {cluster[more]:g}"
            remedy = "allowed: heartbeat_s below suspect_s below dead_s"
            report.add_to_last_written(("cluster",), pair, text, remedy)


def _check_link_port(mqtt: Values, cluster: Values, report: _Report) -> None:
    fine = report.fine(("mqtt",), "port") and report.fine(("cluster",), "link_port")
    if fine and mqtt["port"] == cluster["link_port"]:
        text = f"{cluster['link_port']} is also the port of MQTT"
        remedy = "allowed: a port that mqtt.port does not use"
        table = "cluster" if ("cluster", "link_port") in report.lines else "mqtt"
        report.add((table, "link_port" if table == "cluster" else "port"), text, remedy)


def _with_key(cluster: Values, read_file: Callable[[str], str], report: _Report) -> Values:
    """The values of [cluster] with the key in place, from whichever of the two keys is written."""
    name = cluster.pop("key_file", "")
    path: Path = ("cluster", "key_file")
    if not report.fine(("cluster",), "key", "key_file"):
        return cluster
    if bool(name) == bool(cluster["key"]):
        text = "is given besides key" if name else "is missing"
        remedy = f"allowed: exactly one of key ({KEY}) and key_file"
        report.add(path if name else ("cluster", "key"), text, remedy)
        return cluster
    if name:
        try:
            cluster["key"] = read_file(name).strip()
        except (OSError, ValueError) as error:
            remedy = "allowed: a file that this user may read"
            report.add(path, f"{shown(name)} cannot be read: {_reason(error)}", remedy)
        else:
            if fault := cluster_key_fault(cluster["key"]):
                report.add(path, f"the key in {shown(name)} {fault}", f"allowed: {KEY}")
    return cluster


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not text"  # the error itself may quote the key


def _check_port(port: Values, path: Path, report: _Report) -> None:
    if report.fine(path, "path", "usb") and bool(port["path"]) == bool(port["usb"]):
        text = "is given besides path" if port["usb"] else "neither path nor usb is given"
        key = "usb" if port["usb"] else "path"
        report.add((*path, key), text, "allowed: exactly one of path and usb")
    if report.fine(path, "format", "columns"):
        _check_columns(port, (*path, "columns"), report)
    topics = ("topic", "command_topic")
    if report.fine(path, *topics) and port["topic"] == port["command_topic"]:
        text = "topic and command_topic are the same, so that readings would be written back"
        report.add_to_last_written(path, topics, text, "allowed: two different topics")


def _check_columns(port: Values, path: Path, report: _Report) -> None:
    columns = port["columns"]
    if port["format"] == "csv" and not columns:
        report.add(path, 'is missing for format = "csv"', "allowed: one name for each column")
    elif port["format"] != "csv" and columns:
        text = f'is given for format = "{port["format"]}"'
        report.add(path, text, 'allowed: columns only with format = "csv"')
    for index, column in enumerate(columns):
        if column in columns[:index]:
            text = f"{shown(column)} is already the name of a column"
            report.add((*path, index), text, "allowed: a different name for each column")


def _check_ports_differ(ports: list[Values], report: _Report) -> None:
    for key in ("name", "path", "usb"):
        first_lines: dict[str, int] = {}
        for index, port in enumerate(ports):
            path: Path = (SERIAL.name, index, key)
            value = port[key].lower() if key == "usb" else port[key]
            if not value or path in report.wrong:
                continue
            if value in first_lines:
                text = f"{shown(port[key])} is taken by the port of line {first_lines[value]}"
                report.add(path, text, f"allowed: a {key} of its own for each port")
            else:
                first_lines[value] = report.lines[path]
