"""Long lists cut for frames of bounded size. Must not know what the items are."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def parts(
    items: Iterable[T], size: Callable[[T], int], count_max: int, size_max: int
) -> Iterator[list[T]]:
    """The items in lists of at most `count_max`, which end with the first item beyond `size_max`."""
    part: list[T] = []
    total = 0
    for item in items:
        part.append(item)
        total += size(item)
        if len(part) >= count_max or total > size_max:
            yield part
            part, total = [], 0
    if part:
        yield part
