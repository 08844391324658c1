"""What one side of the control protocol writes, the other reads, or refuses in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control import (
    ANSWER_BYTES_MAX,
    REQUEST_BYTES_MAX,
    ControlError,
    ProblemStatus,
    Severity,
    decode_answer,
    decode_request,
    encode_answer,
    encode_refusal,
    encode_request,
    to_document,
    worst_first,
)
from tests.ctl.statuses import SITUATIONS, status


def test_a_request_arrives_as_it_was_sent():
    assert encode_request("status") == b'{"command":"status"}\n'
    assert decode_request(encode_request("status")) == "status"


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_status_arrives_as_it_was_sent(name):
    line = encode_answer(SITUATIONS[name])
    assert line.count(b"\n") == 1
    assert decode_answer(line) == SITUATIONS[name]


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
        (b"{}\n", "no such command"),
        (b'{"command":["status"]}\n', "no such command"),
        (b'{"command":"stop"}\n', "no such command"),
        (b'{"command":"' + b"x" * REQUEST_BYTES_MAX + b'"}\n', "more than 65536 bytes"),
    ],
)
def test_a_request_that_is_none_is_refused(line, words):
    with pytest.raises(ControlError, match=words):
        decode_request(line)


def broken(**changes: object) -> bytes:
    """A good answer with changes to its first gateway."""
    document = to_document(SITUATIONS["three-gateways"])
    document["gateways"][0] |= changes
    return json.dumps({"ok": True, "result": document}).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"ok":true}\n', "status is not an object"),
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
        decode_answer(line)


def test_a_newer_gateway_may_say_more():
    assert decode_answer(broken(further="figure")) == SITUATIONS["three-gateways"]


def test_an_answer_longer_than_gwctl_reads_becomes_a_refusal():
    problem = ProblemStatus(Severity.ERROR, "x" * ANSWER_BYTES_MAX, "")
    line = encode_answer(status(problems=(problem,)))
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
    for decode in (decode_request, decode_answer):
        try:
            decode(line)
        except ControlError as error:
            assert error.text
            assert error.remedy
