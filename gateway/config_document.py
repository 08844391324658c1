"""A Config as plain values, for `gwctl config`, and back; without secrets, as its `repr` is.

Must not know who asks, or where the values came from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from gateway.config import ClusterSection, Config, DurabilityRule, SerialPort

Document = dict[str, Any]

_LISTS: dict[str, type] = {"serial": SerialPort, "durability": DurabilityRule}


def to_document(config: Config) -> Document:
    """Sections with their keys, defaults included; values as JSON has them."""
    document = _plain(config)
    assert isinstance(document, dict)
    return document


def from_document(document: Mapping[str, Any]) -> Config:
    """The Config, with an empty key. What is missing has its default, what is unknown is left out.

    Raises ValueError for what is no document of a configuration.
    """
    sections: Document = {}
    for each in fields(Config):
        value = document.get(each.name)
        if each.name == "cluster":
            known = {} if value is None else _known(ClusterSection, value)
            sections["cluster"] = (
                ClusterSection(**{"name": "", "key": ""} | known) if known else None
            )
        elif each.name in _LISTS:
            shape = _LISTS[each.name]
            sections[each.name] = tuple(shape(**_known(shape, one)) for one in value or ())
        elif value is not None:
            section = type(getattr(Config(), each.name))
            sections[each.name] = section(**_known(section, value))
    return Config(**sections)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The keys, as "mqtt.port", that have not the same value in two documents."""
    mine, theirs = dict(_flat(one)), dict(_flat(other))
    keys = dict.fromkeys([*mine, *theirs])
    return [key for key in keys if mine.get(key) != theirs.get(key)]


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, section in document.items():
        if isinstance(section, dict):
            yield from ((f"{name}.{key}", value) for key, value in section.items())
        elif section is not None:
            yield name, section


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        shown = [each.name for each in fields(value) if each.repr]
        return {name: _plain(getattr(value, name)) for name in shown}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _known(section: type, value: object) -> Document:
    """The keys of a section that this version knows; lists as the tuples that it has."""
    if not isinstance(value, dict):
        raise ValueError("a section is not an object")
    names = {each.name for each in fields(section)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in names}
