"""What one check found. Must not know what was checked, nor how it is shown."""

from enum import Enum
from typing import NamedTuple


class Level(Enum):
    """ERROR: the gateway does not work, or loses something. WARNING: it soon may, or nobody can tell."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """`remedy` is what to do; empty where all is well."""

    check: str
    level: Level
    text: str
    remedy: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    return Finding(check, Level.WARNING, text, remedy)


def error(check: str, text: str, remedy: str) -> Finding:
    return Finding(check, Level.ERROR, text, remedy)
