"""Words that go with a figure (gateway/wording.py)."""

import pytest

from gateway.wording import agreed, several, times


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 clients are here"),
        (1, "1 client is here"),
        (2, "2 clients are here"),
        (12_000, "12000 clients are here"),
    ],
)
def test_words_go_with_their_figure(number: int, said: str) -> None:
    assert several(number, "client[s] [is|are] here") == said


def test_a_text_without_forms_stays_as_it_is() -> None:
    assert agreed(1, "lost to clients that do not read") == "lost to clients that do not read"


def test_how_often() -> None:
    assert [times(number) for number in (0, 1, 2)] == ["0 times", "once", "2 times"]
