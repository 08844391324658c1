"""What a line means: json, csv and text in, the payload to publish out; and commands the other way.

Rules: a reader takes one line without its ending and gives a payload, or None where the line says
nothing, or raises LineError; no line makes it raise anything else. Must not know ports or topics.
"""

import csv
import math
import re
from collections.abc import Callable

import msgspec

_NUMBER = re.compile(r"[+-]?(\d+|\d+\.\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER_DIGITS_MAX = 18  # more do not fit 64 bits, and most readers of JSON stop there

Reader = Callable[[bytes], bytes | None]


class LineError(Exception):
    """The line is not what the format promises. The caller counts it and reads on."""


def reader(line_format: str, columns: tuple[str, ...]) -> Reader:
    """The reader for a configured format; `columns` are the names of a csv line's values."""
    match line_format:
        case "json":
            return read_json
        case "csv":
            return lambda line: read_csv(line, columns)
        case "text":
            return read_text
        case _:
            raise AssertionError(f"unknown format {line_format!r}")


def read_text(line: bytes) -> bytes | None:
    """The line as it is, when it is UTF-8; an empty line says nothing."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise LineError(f"not UTF-8: {excerpt(line)}") from error
    return line or None


def read_json(line: bytes) -> bytes | None:
    """The bytes of the JSON object as received, without the white space around it."""
    line = line.strip(b" \t\r")
    if not line:
        return None
    # Only the first byte tells an object from the other values, and it is cheaper to ask first.
    if not line.startswith(b"{"):
        raise LineError(f"not a JSON object: {excerpt(line)}")
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LineError(f"not JSON: {excerpt(line)}") from error
    return line


def read_csv(line: bytes, columns: tuple[str, ...]) -> bytes | None:
    """A JSON object with one member a column: numbers as numbers, an empty value as null, anything
    else as a string. A line that repeats the column names is a heading and says nothing."""
    try:
        text = line.decode()
        rows = list(csv.reader([text], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LineError(f"not CSV: {excerpt(line)}") from error
    if not text.strip() or not rows:
        return None
    values = tuple(value.strip() for value in rows[0])
    if values == columns:
        return None
    if len(values) != len(columns):
        raise LineError(f"{len(values)} values for {len(columns)} columns: {excerpt(line)}")
    return msgspec.json.encode(dict(zip(columns, map(_value, values), strict=True)))


def _value(text: str) -> int | float | str | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        return text
    digits = text.lstrip("+-")
    if digits.isdecimal() and len(digits) <= _INTEGER_DIGITS_MAX:
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else text


def excerpt(line: bytes) -> str:
    """The beginning of a line in printable form, short enough for a log."""
    return repr(line[:40])[1:] + ("..." if len(line) > 40 else "")


def encode_command(line_format: str, payload: bytes) -> bytes:
    """What is written to the port for a published command: the payload and the end of its line.

    A JSON command stays one line however it was laid out, because a line feed in JSON is never
    anything but white space. In the other formats a payload of several lines is several commands.
    """
    payload = payload.removesuffix(b"\n").removesuffix(b"\r")
    if line_format == "json":
        payload = payload.replace(b"\r", b" ").replace(b"\n", b" ")
    return payload + b"\n"
