"""The way in: the text of a configuration file becomes a Config, or every problem at once.

What one key may be is the table in `config_keys.py`, the rules between keys are `config_rules.py`.
Must not open files: the caller passes the text and the means to read `key_file`.
"""

import difflib
import re
import tomllib
from collections.abc import Callable
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
from gateway.config_checks import shown
from gateway.config_keys import (
    CLUSTER,
    GATEWAY,
    MQTT,
    OTHER_WORDS,
    SECTIONS,
    SERIAL,
    Key,
    Kind,
    Section,
)
from gateway.config_report import Report
from gateway.config_rules import Values, check, with_key
from gateway.toml_lines import Path, locate

TEXT_CHARACTERS_MAX = 262_144  # a hundred times a long file; bounds what the parsers are fed
PORTS_MAX = 64  # serial lines on one box, hubs included


def _no_files(name: str) -> str:
    raise OSError(f"no file can be read here: {name}")


def parse(text: str, file_name: str, read_file: Callable[[str], str] = _no_files) -> Config:
    """Reads the text of a configuration file; `file_name` is only for messages.

    `read_file` returns the text of the file that `cluster.key_file` names and raises OSError or
    ValueError when it cannot. Raises ConfigError with everything that is wrong.
    """
    report = Report()
    document = _toml(text, report)
    config = _config(document, read_file, report) if not report.problems else Config()
    if report.problems:
        problems = sorted(report.problems, key=lambda problem: problem.line)
        raise ConfigError(file_name, tuple(problems))
    return config


# TOML.


def _toml(text: str, report: Report) -> Values:
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


def _config(document: Values, read_file: Callable[[str], str], report: Report) -> Config:
    _report_unknown_sections(document, report)
    gateway = _section(GATEWAY, document, report)
    mqtt = _section(MQTT, document, report)
    cluster = _section(CLUSTER, document, report) if "cluster" in document else None
    ports = _ports(document, report)
    check(mqtt, cluster, ports, report)
    if cluster is not None:
        cluster = with_key(cluster, read_file, report)
    return Config(
        GatewaySection(**gateway),
        MqttSection(**mqtt),
        None if cluster is None else ClusterSection(**cluster),
        tuple(SerialPort(**port) for port in ports),
    )


def _report_unknown_sections(document: Values, report: Report) -> None:
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


def _section(section: Section, document: Values, report: Report) -> Values:
    """The section's values, defaults included; what is wrong is reported and left at a default."""
    table = document.get(section.name, {})
    if not isinstance(table, dict):
        text = "is written as a list" if isinstance(table, list) else "is not a section"
        report.add((section.name,), text, f"write {section.header} once, and its keys below")
        report.wrong.update((section.name, key.name) for key in section.keys)
        return _defaults(section)
    return _table(section, table, (section.name,), report)


def _ports(document: Values, report: Report) -> list[Values]:
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


def _table(section: Section, table: Values, path: Path, report: Report) -> Values:
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


def _is_good(key: Key, value: object, path: Path, report: Report) -> bool:
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


def _is_faultless(key: Key, value: object, path: Path, report: Report) -> bool:
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
