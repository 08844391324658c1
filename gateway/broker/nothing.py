"""One empty table for all who have nothing in theirs: an empty one of their own costs 64 bytes.

A session has five, and most never need four of them. Whoever puts something in gives the session
a table of its own first; reading, and taking out what is not there, needs no care.
"""

from typing import Any


class _Nothing(dict[Any, Any]):
    """Refuses what one session would put in for all."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError("it is everybody's: make a table first")

    def __deepcopy__(self, memo: object) -> "_Nothing":
        return self  # a copy of a broker has nothing, too


NOTHING: Any = _Nothing()
