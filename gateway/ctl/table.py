"""A table that fits: columns as wide as what is in them, and the long ones cut where it is needed.

Must not know what the columns mean.
"""

from collections.abc import Callable
from typing import NamedTuple

from gateway.ctl.text import Line, Span, Style, cells, pad

GAP = " "


class Column(NamedTuple):
    """One column. `cut` shortens a cell to a width; a column without it is never cut.

    `short` is the heading of a table in which something would have to be cut otherwise.
    """

    heading: str
    cells: list[Span]
    right: bool = False
    cut: Callable[[str, int], str] | None = None
    short: str = ""


def table(columns: list[Column], width: int) -> list[Line]:
    """The heading and the rows, each at most `width` cells wide."""
    room = width - cells(GAP) * (len(columns) - 1)
    if sum(_natural_width(column) for column in columns) > room:
        columns = [column._replace(heading=column.short or column.heading) for column in columns]
    widths = _widths(columns, room)
    lines: list[Line] = [[] for _ in range(1 + len(columns[0].cells))]
    for column, column_width in zip(columns, widths, strict=True):
        heading = Span(column.heading, Style.HEADING)
        for line, span in zip(lines, [heading, *column.cells], strict=True):
            cut = column.cut(span.text, column_width) if column.cut else span.text
            if line:
                line.append(Span(GAP))
            line.append(Span(pad(cut, column_width, column.right), span.style))
    return [_without_trailing_blanks(line) for line in lines]


def _natural_width(column: Column) -> int:
    return max(cells(column.heading), *(cells(span.text) for span in column.cells), 0)


def _widths(columns: list[Column], room: int) -> list[int]:
    """What is too much is taken from the widest column that may be cut, cell by cell."""
    widths = [_natural_width(column) for column in columns]
    while sum(widths) > room:
        candidates = [
            index
            for index, column in enumerate(columns)
            if column.cut and widths[index] > cells(column.heading)
        ]
        if not candidates:
            break
        widths[max(candidates, key=lambda index: widths[index])] -= 1
    return widths


def _without_trailing_blanks(line: Line) -> Line:
    *rest, last = line
    return [*rest, Span(last.text.rstrip(), last.style)]
