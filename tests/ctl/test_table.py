"""A table gives way where it may, and only as far as it must."""

import pytest

from gateway.ctl.table import Column, table
from gateway.ctl.text import Span, keep_head, plain


def lines(width: int) -> list[str]:
    columns = [
        Column("name", [Span("abcdefgh"), Span("xy")], cut=keep_head),
        Column("waiting", [Span("12"), Span("3")], right=True, short="wait"),
    ]
    return [plain(line) for line in table(columns, width)]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (16, ["name     waiting", "abcdefgh      12", "xy             3"]),
        (15, ["name     wait", "abcdefgh   12", "xy          3"]),
        (12, ["name    wait", "abcdef~   12", "xy         3"]),
        (9, ["name wait", "abc~   12", "xy      3"]),
        (5, ["name wait", "abc~   12", "xy      3"]),
    ],
)
def test_headings_are_shortened_first_then_cells_and_never_below_the_heading(width, expected):
    assert lines(width) == expected
