"""A small change of the real code while it runs, and back: how a bug is planted.

A change names a function and a piece of its text, and says what stands there instead. The function is
compiled anew, and its code is swapped in place, so that tables and imports that hold it have the bug
as well. A name that is gone, or a text that is not there exactly once, is an error: whoever changes
the code must plant the bug anew. Must not know which bugs there are.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType


@dataclass(frozen=True, slots=True)
class Change:
    """`where` is `package.module:Class.function`; `old` becomes `new` in its source."""

    where: str
    old: str
    new: str


@contextmanager
def planted(*changes: Change) -> Iterator[None]:
    """The code is changed inside, and as it was behind.

    Raises LookupError for a change that does not fit the code.
    """
    with ExitStack() as stack:
        for change in changes:
            function = _find(change.where)
            stack.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = _changed(function, change)
        yield


def _find(where: str) -> FunctionType:
    module, _, path = where.partition(":")
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = vars(found).get(name)
        if found is None:
            raise LookupError(f"{where}: there is no {name} any more")
    if not isinstance(found, FunctionType) or found.__code__.co_freevars:
        raise LookupError(f"{where} is not a plain function")
    return found


def _changed(function: FunctionType, change: Change) -> CodeType:
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(change.old) != 1:
        times = source.count(change.old)
        raise LookupError(f"{change.where} has this {times} times, not once:\n{change.old}")
    names: dict[str, FunctionType] = {}
    text = source.replace(change.old, change.new)
    # annotations of the real module are names that only it has
    exec(compile(text, f"<planted in {change.where}>", "exec"), function.__globals__, names)
    return names[function.__name__].__code__
