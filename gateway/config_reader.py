"""TOML text in, values by section and key out, each checked against a table of keys.

What is wrong is put into a report and left at its default, so that one look finds everything. Must
not know which file it reads: the sections that may stand in it are an argument.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from gateway.config import Problem
from gateway.config_checks import shown
from gateway.config_keys import OTHER_WORDS, Key, Kind, Section
from gateway.config_report import Report
from gateway.toml_lines import Path, locate

TEXT_CHARACTERS_MAX = 262_144  # a hundred times a long file; bounds what the parsers are fed

Values = dict[str, Any]  # of one table, by key, defaults included


def read_toml(text: str, report: Report) -> Values:
    """The document; empty, with the reason in the report, when the text is not TOML."""
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


class Reader:
    """Reads the sections of one document; what else stands in it is a problem."""

    def __init__(self, document: Values, sections: tuple[Section, ...], report: Report) -> None:
        self._document = document
        self._sections = sections
        self._report = report
        self._report_unknown_sections()

    def _report_unknown_sections(self) -> None:
        names = [section.name for section in self._sections]
        for name, value in self._document.items():
            if name in names:
                continue
            is_table = isinstance(value, (dict, list))
            homes = [] if is_table else self._homes(name)
            if homes:
                remedy = f"it belongs below {' or '.join(homes)}"
            else:
                headers = {section.name: section.header for section in self._sections}
                near = _near(name.lower(), names)
                allowed = f"allowed: {', '.join(headers.values())}"
                remedy = f"did you mean {headers[near[0]]}?" if near else allowed
            text = "there is no such section" if is_table else "is in no section"
            self._report.add((name,), text, remedy)

    def section(self, section: Section) -> Values:
        """The section's values, defaults included; those of an absent section are all defaults."""
        table = self._document.get(section.name, {})
        if not isinstance(table, dict):
            text = "is written as a list" if isinstance(table, list) else "is not a section"
            remedy = f"write {section.header} once, and its keys below"
            self._report.add((section.name,), text, remedy)
            self._report.wrong.update((section.name, key.name) for key in section.keys)
            return _defaults(section)
        return self._table(section, table, (section.name,))

    def section_if_written(self, section: Section) -> Values | None:
        """As `section`; None when the section is absent."""
        return self.section(section) if section.name in self._document else None

    def each(self, section: Section) -> list[Values]:
        """The values of each table of a section that may be written many times."""
        tables, path = self._document.get(section.name, []), (section.name,)
        remedy = f"write {section.header} above the keys of each {section.one}"
        if not isinstance(tables, list):
            self._report.add(path, f"is not a list of {section.one}s", remedy)
            return []
        if len(tables) > section.count_max:
            text = f"has {len(tables)} {section.one}s"
            self._report.add(path, text, f"allowed: at most {section.count_max}")
            return []
        values = []
        for index, table in enumerate(tables):
            if isinstance(table, dict):
                values.append(self._table(section, table, (*path, index)))
            else:
                self._report.add((*path, index), f"{shown(table)} is not a {section.one}", remedy)
        return values

    def _table(self, section: Section, table: Values, path: Path) -> Values:
        keys = {key.name: key for key in section.keys}
        values = _defaults(section)
        for name, value in table.items():
            if name not in keys:
                text = f"is not a key of {section.header}"
                self._report.add((*path, name), text, self._nearest(name, section))
            elif _is_good(keys[name], value, (*path, name), self._report):
                values[name] = _frozen(keys[name].kind, value)
        for key in section.keys:
            if key.required and key.name not in table:
                self._report.add((*path, key.name), "is missing", f"allowed: {key.allowed}")
        return values

    def _nearest(self, name: str, section: Section) -> str:
        names = [key.name for key in section.keys]
        plain = name.lower().replace("-", "_")
        near = [OTHER_WORDS[plain]] if OTHER_WORDS.get(plain) in names else []
        near += _near(plain, names)
        homes = self._homes(name)
        if homes:
            return f"it belongs below {' or '.join(homes)}"
        return f"did you mean {near[0]}?" if near else f"allowed: {', '.join(names)}"

    def _homes(self, name: str) -> list[str]:
        """The sections that have a key of this name."""
        return [
            section.header
            for section in self._sections
            if name in (key.name for key in section.keys)
        ]


def _defaults(section: Section) -> Values:
    """By the dataclass; a key without a default there has an empty text until it is given."""
    shape: Any = section.shape
    values: Values = {}
    for field in fields(shape):
        values[field.name] = "" if field.default is MISSING else field.default
    return values


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


def _near(name: str, names: Sequence[str]) -> list[str]:
    """At most one of `names`, that may have been meant."""
    import difflib  # for a mistake only: a good file does without its memory

    return difflib.get_close_matches(name, names, 1)
