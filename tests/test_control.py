"""What one side of the control protocol writes, the other reads, or refuses in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control import (
    ProblemStatus,
    Severity,
    Status,
    from_document,
    to_document,
    worst_first,
)
from gateway.control_commands import Argument, Command, Kind, checked, find
from gateway.control_lines import (
    ANSWER_BYTES_MAX,
    REQUEST_BYTES_MAX,
    ControlError,
    RefusedError,
    Request,
    decode_answer,
    decode_item,
    decode_request,
    decode_stream,
    encode_answer,
    encode_item,
    encode_refusal,
    encode_request,
    encode_stream,
)
from tests.ctl.statuses import SITUATIONS, status


def test_a_request_arrives_as_it_was_sent():
    assert encode_request("status") == b'{"command":"status"}\n'
    assert decode_request(encode_request("status")) == Request("status", {})
    arguments = {"limit": 3, "filter": "a/#"}
    assert decode_request(encode_request("x", arguments)) == Request("x", arguments)


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_status_arrives_as_it_was_sent(name):
    line = encode_answer(to_document(SITUATIONS[name]))
    assert line.count(b"\n") == 1
    assert status_of(line) == SITUATIONS[name]


def test_a_refusal_arrives_in_the_words_of_the_daemon():
    with pytest.raises(ControlError) as caught:
        decode_answer(encode_refusal("the gateway is starting", "try again in a second"))
    assert (caught.value.text, caught.value.remedy) == (
        "the gateway is starting",
        "try again in a second",
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\n", "not JSON"),
        (b"[" * 30_000, "not JSON"),
        (b"[]\n", "not a JSON object"),
        (b"{}\n", "names no command"),
        (b'{"command":["status"]}\n', "names no command"),
        (b'{"command":"status","arguments":[]}\n', "arguments are not an object"),
        (b'{"command":"' + b"x" * REQUEST_BYTES_MAX + b'"}\n', "more than 65536 bytes"),
    ],
)
def test_a_request_that_is_none_is_refused(line, words):
    with pytest.raises(ControlError, match=words):
        decode_request(line)


def test_a_request_that_would_not_be_read_is_not_sent():
    with pytest.raises(ControlError, match="more than 65536 bytes"):
        encode_request("user add", {"name": "x" * REQUEST_BYTES_MAX})


def test_what_is_no_command_is_told_with_those_that_there_are():
    with pytest.raises(ControlError, match="no such command") as caught:
        find("stop")
    assert "status" in caught.value.remedy


COMMAND = Command(
    "show",
    "a command of this test",
    (
        Argument("name", Kind.TEXT, "whose"),
        Argument("limit", Kind.COUNT, "rows", 100, option=True, low=1, high=500),
        Argument("all", Kind.SWITCH, "everything", False, option=True),
        Argument("way", Kind.TEXT, "which way", "in", option=True, choices=("in", "out")),
        Argument("further", Kind.TEXT, "more names", (), many=True),
    ),
)


def test_arguments_that_are_left_out_have_their_defaults():
    assert checked(COMMAND, {"name": "a", "further": ["b"]}) == {
        "name": "a",
        "limit": 100,
        "all": False,
        "way": "in",
        "further": ["b"],
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "name is missing"),
        ({"name": 1}, "name is not a text"),
        ({"name": "x" * 20_000}, "name is too long"),
        ({"name": "a", "limit": 0}, "limit is out of range"),
        ({"name": "a", "limit": 501}, "limit is out of range"),
        ({"name": "a", "limit": True}, "limit is not a whole number"),
        ({"name": "a", "limit": 1.5}, "limit is not a whole number"),
        ({"name": "a", "all": 1}, "all is not true or false"),
        ({"name": "a", "way": "up"}, "way is none of"),
        ({"name": "a", "further": "b"}, "further is not a list"),
        ({"name": "a", "further": [2]}, "further is not a text"),
        ({"name": "a", "size": 3}, "no argument of the name 'size'"),
    ],
)
def test_arguments_that_misfit_are_refused_by_their_names(given, words):
    with pytest.raises(ControlError, match=words) as caught:
        checked(COMMAND, given)
    assert caught.value.remedy


def test_a_stream_is_a_first_line_and_items():
    assert decode_stream(encode_stream()) is None
    assert decode_item(encode_item({"a": 1})) == {"a": 1}
    with pytest.raises(RefusedError, match="not now"):
        decode_stream(encode_refusal("not now", "later"))
    with pytest.raises(ControlError, match="no item"):
        decode_item(encode_stream())


def status_of(line: bytes) -> Status:
    return from_document(decode_answer(line))


def broken(**changes: object) -> bytes:
    """A good answer with changes to its first gateway."""
    document = to_document(SITUATIONS["three-gateways"])
    document["gateways"][0] |= changes
    return json.dumps({"ok": True, "result": document}).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"ok":true}\n', "neither a result nor a refusal"),
        (b'{"ok":true,"result":[]}\n', "status is not an object"),
        (b'{"ok":true,"result":{}}\n', "status has no version"),
        (b'{"ok":1}\n', "neither a result nor a refusal"),
        (b'{"ok":false}\n', "neither a result nor a refusal"),
        (broken(name=None), r"status.gateways\[0\].name is not a text"),
        (broken(state="asleep"), "state is none of alive, suspect, dead"),
        (broken(state=["alive"]), "state is not a text"),
        (broken(self="yes"), "self is not true or false"),
        (broken(clients=1.5), "clients is not a whole number"),
        (broken(clients=True), "clients is not a number within reason"),
        (broken(waiting=-1), "waiting is below zero"),
        (broken(load=float("nan")), "not JSON"),
        (broken(load=10**300), "load is not a number within reason"),
        (broken(temperature_c="warm"), "temperature_c is not a number"),
    ],
)
def test_an_answer_that_is_none_is_refused(line, words):
    with pytest.raises(ControlError, match=words):
        status_of(line)


def test_a_newer_gateway_may_say_more():
    assert status_of(broken(further="figure")) == SITUATIONS["three-gateways"]


def test_an_answer_longer_than_gwctl_reads_becomes_a_refusal():
    problem = ProblemStatus(Severity.ERROR, "x" * ANSWER_BYTES_MAX, "")
    line = encode_answer(to_document(status(problems=(problem,))))
    with pytest.raises(ControlError, match="too long"):
        decode_answer(line)


def test_errors_come_before_warnings_and_otherwise_nothing_moves():
    problems = [
        ProblemStatus(severity, text, "")
        for severity, text in [
            (Severity.WARNING, "a"),
            (Severity.ERROR, "b"),
            (Severity.WARNING, "c"),
            (Severity.ERROR, "d"),
        ]
    ]
    assert [problem.text for problem in worst_first(problems)] == ["b", "d", "a", "c"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_understood_or_refused(line):
    for decode in (decode_request, status_of, decode_stream, decode_item):
        try:
            decode(line)
        except ControlError as error:
            assert error.text
            assert error.remedy
