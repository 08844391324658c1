"""What a line becomes, for each format."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.formats import (
    LineError,
    encode_command,
    read_csv,
    read_json,
    read_text,
    reader,
)

COLUMNS = ("name", "value", "unit")


@pytest.mark.parametrize(
    "line",
    [b'{"a": 1}', b"{}", b'{"a": {"b": [1, 2.5e3, null, "\\u00b0"]}}', '{"t": "°"}'.encode()],
)
def test_a_json_object_goes_through_byte_for_byte(line: bytes) -> None:
    assert read_json(b" " + line + b"\t") == line


@pytest.mark.parametrize(
    "line",
    [
        b"1",
        b"[1]",
        b'"text"',
        b"null",
        b"{",
        b'{"a": 1} {"b": 2}',
        b'{"a": NaN}',
        b"{'a': 1}",
        b'{"a": "\xff"}',
        b'{"a":' * 5000,
        b"\x00\xff\x80",
    ],
)
def test_what_is_no_json_object_is_an_error(line: bytes) -> None:
    with pytest.raises(LineError):
        read_json(line)


def test_csv_values_become_members_with_the_names_of_the_columns() -> None:
    payload = read_csv(b'"pump, left", 21.50 ,bar', COLUMNS)
    assert payload == b'{"name":"pump, left","value":21.5,"unit":"bar"}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-0012.50", -12.5),
        ("+7", 7),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("", None),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("٣", "٣"),
        ("9" * 400, "9" * 400),
    ],
)
def test_what_is_written_like_a_number_becomes_one(text: str, value: object) -> None:
    payload = read_csv(f"a,{text},b".encode(), COLUMNS)
    assert payload is not None
    assert json.loads(payload)["value"] == value
    assert type(json.loads(payload)["value"]) is type(value)


@pytest.mark.parametrize("line", [b"a,b", b"a,b,c,d", b'a,"b,c', b'a,"b"x,c', b"a,\xff,c"])
def test_csv_that_does_not_fit_the_columns_is_an_error(line: bytes) -> None:
    with pytest.raises(LineError):
        read_csv(line, COLUMNS)


def test_a_heading_is_not_a_reading() -> None:
    assert read_csv(b"name,value,unit", COLUMNS) is None


def test_text_goes_through_with_its_white_space() -> None:
    assert read_text("  21.4 °C ".encode()) == "  21.4 °C ".encode()
    with pytest.raises(LineError):
        read_text(b"21.4 \xb0C")


@pytest.mark.parametrize("line_format", ["json", "csv", "text"])
def test_an_empty_line_says_nothing(line_format: str) -> None:
    assert reader(line_format, COLUMNS)(b"") is None


@given(st.sampled_from(["json", "csv", "text"]), st.binary(max_size=200))
def test_any_line_is_read_or_is_a_line_error(line_format: str, line: bytes) -> None:
    line = line.replace(b"\n", b"")
    try:
        payload = reader(line_format, COLUMNS)(line)
    except LineError as error:
        assert str(error).isprintable()
        return
    if payload is not None and line_format != "text":
        assert isinstance(json.loads(payload), dict)


def test_a_command_ends_with_exactly_one_line_feed() -> None:
    assert encode_command("text", b"on") == b"on\n"
    assert encode_command("csv", b"1,2\r\n") == b"1,2\n"
    assert encode_command("text", b"on\noff\n") == b"on\noff\n"


def test_a_json_command_stays_one_line() -> None:
    line = encode_command("json", b'{\r\n  "valve": "open"\r\n}\r\n')
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"valve": "open"}
