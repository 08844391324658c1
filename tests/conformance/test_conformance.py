"""No statement of MQTT without a line that obeys it and a test that shows it, or a reason."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.statements import Statement, collect, read

STATEMENTS, UNKNOWN = collect()
# How many the specification numbers in each chapter, from its appendix B.
CHAPTERS = {"1": 5, "2": 7, "3": 175, "4": 60, "6": 4}


def test_every_statement_of_5_0_is_on_the_list() -> None:
    assert Counter(each.number[0] for each in STATEMENTS if not each.old) == CHAPTERS


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
