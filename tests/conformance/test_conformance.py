"""No statement of MQTT without a line that obeys it and a test that shows it, or a reason."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.statements import Statement, collect, read

STATEMENTS, UNKNOWN = collect()
# How many the specification numbers in each chapter, from its appendix B.
CHAPTERS = {"1": 5, "2": 7, "3": 175, "4": 60, "6": 4}
# The last of every section of 3.1.1, from its appendix B: they are numbered from 1 on.
LAST_OF_3_1_1 = """
1.5.3-3  2.2.2-2  2.3.1-7
3.1.0-2  3.1.2-24 3.1.3-11 3.1.4-5  3.2.0-1  3.2.2-6  3.3.1-12 3.3.2-3  3.3.4-1  3.3.5-2  3.6.1-1
3.8.1-1  3.8.3-4  3.8.4-6  3.9.3-2  3.10.1-1 3.10.3-2 3.10.4-6 3.12.4-1 3.14.1-1 3.14.4-3
4.1.0-2  4.3.1-1  4.3.2-2  4.3.3-2  4.4.0-1  4.5.0-2  4.6.0-6  4.7.1-3  4.7.2-1  4.7.3-4  4.8.0-2
6.0.0-4  7.0.0-2  7.1.1-1  7.1.2-1
"""


def test_every_statement_of_5_0_is_on_the_list() -> None:
    assert Counter(each.number[0] for each in STATEMENTS if not each.old) == CHAPTERS


def test_every_statement_of_3_1_1_is_on_the_list() -> None:
    expected = {
        f"{section}-{number}"
        for section, last in (each.split("-") for each in LAST_OF_3_1_1.split())
        for number in range(1, int(last) + 1)
    }
    assert {each.number for each in STATEMENTS if each.old} == expected


def test_what_says_the_same_as_two_statements_is_shown_by_both() -> None:
    by_name = {each.name: each for each in STATEMENTS}
    one = by_name["4.3.2-2 of 3.1.1"]
    for other in (by_name["4.3.2-4"], by_name["4.3.2-5"]):
        assert other.tested and set(other.tested) <= set(one.tested)


def test_nothing_is_cited_that_does_not_exist() -> None:
    assert not UNKNOWN


def test_every_statement_is_obeyed_and_tested_or_says_why_not() -> None:
    lacking = [
        f"{each.name}: {each.lacks}" for each in STATEMENTS if each.lacks and not each.pending
    ]
    assert not lacking, "\n".join(lacking)


def test_a_statement_for_a_server_is_not_excused_by_silence() -> None:
    bare = Statement("1.5.4-1", False, "server", "text", "")
    assert bare.lacks == "a line and a test"
    bare.obeyed.append("gateway/x.py:1")
    assert bare.lacks == "a test"
    bare.reason = "pending: something"
    assert bare.lacks and bare.pending
    bare.tested.append("tests/x.py:1")
    assert not bare.lacks


def test_a_line_that_is_not_in_the_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("words\n\n1.5.4-1 | nobody | text\n")
    with pytest.raises(ValueError, match="nobody"):
        list(read(path, False))
