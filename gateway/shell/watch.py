"""`gwctl trace`: a trace of the broker as a stream of documents, with the time of day.

With --mesh it is of what clients publish at any gateway, and each document has the gateway's name. It
ends with the operator's connection, after so many lines or seconds, or with the gateway. Must not know
what is told to a trace, nor how a line is shown.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.broker.traces import FILTERS_MAX, LINES_MAX, TRACES_MAX, Line, Trace
from gateway.control_commands import TRACE
from gateway.control_lines import ControlError, Document
from gateway.shell.commands import Commands
from gateway.shell.filters import checked_filter
from gateway.shell.runtime import Runtime


def register(commands: Commands, runtime: Runtime, name: str) -> None:
    """Adds the command; `name` is this gateway's."""
    commands.stream(TRACE, lambda given: _trace(runtime, given, name))


def _trace(runtime: Runtime, given: Document, name: str) -> AsyncGenerator[Document, None]:
    """Begins at once; the broker is rid of it when the stream is closed."""
    filters: Sequence[str] = [checked_filter(each) for each in given["filter"]]
    if len(filters) > FILTERS_MAX:
        raise ControlError(
            f"there are more than {FILTERS_MAX} filters", "name fewer, or use + and #"
        )
    more = asyncio.Event()
    here = name if given["mesh"] else ""
    trace = Trace(filters, given["client"], more.set, published=given["mesh"])
    if not runtime.node.broker.watching.trace(trace):
        raise ControlError(f"{TRACES_MAX} traces are running already", "end one of them")
    others = _Others(more.set)
    number = _watch(runtime, filters, given, others) if given["mesh"] else 0

    def end() -> None:
        runtime.node.broker.watching.untrace(trace)
        if number:
            assert runtime.node.mesh is not None, "others are watched"
            runtime.node.mesh.operating.unwatch(number)
            runtime.schedule()

    def take() -> Document | None:
        entry = trace.take()
        if entry is None:
            return others.take(runtime.now())
        named = {"gateway": here} if here else {}
        if isinstance(entry, Line):
            at = _time(entry.at, runtime.now())
            return {"time": at} | named | entry.document(not given["no-payload"])
        return {"missed": entry} | named

    return _documents(runtime, take, end, more, given)


def _watch(runtime: Runtime, filters: Sequence[str], given: Document, others: _Others) -> int:
    """Watches all other gateways; returns the number for `Mesh.unwatch`, 0 where there are none."""
    mesh = runtime.node.mesh
    if mesh is None:
        return 0
    from gateway.mesh.frames import Watch  # a gateway alone does without

    wanted = Watch(0, list(filters), given["client"], not given["no-payload"])
    number = mesh.operating.watch(wanted, others, runtime.now())
    runtime.schedule()
    return number


class _Others:
    """What other gateways tell, as far as it has not been read. `more` is called when there is some."""

    def __init__(self, more: Callable[[], None]) -> None:
        self._more = more
        self._waiting: deque[tuple[float, Document]] = deque()
        self._lost: dict[str, int] = {}  # by gateway, behind the last that waits

    def shown(self, gateway: str, steps: Sequence[tuple[float, dict[str, Any]]], lost: int) -> None:
        if lost:
            self._lost[gateway] = self._lost.get(gateway, 0) + lost
        for at, step in steps:
            if len(self._waiting) >= LINES_MAX:
                self._lost[gateway] = self._lost.get(gateway, 0) + 1
            else:
                self._waiting.append((at, {"gateway": gateway} | step))
        self._more()

    def silent(self, gateway: str, why: str) -> None:
        if len(self._waiting) < LINES_MAX:
            self._waiting.append((0.0, {"gateway": gateway, "why": why}))
        self._more()

    def take(self, now: float) -> Document | None:
        """The next document; None: that is all for now."""
        if self._waiting:
            at, document = self._waiting.popleft()
            return {"time": _time(at, now)} | document if "what" in document else document
        if self._lost:
            gateway = next(iter(self._lost))
            return {"missed": self._lost.pop(gateway), "gateway": gateway}
        return None


async def _documents(
    runtime: Runtime,
    take: Callable[[], Document | None],
    end: Callable[[], None],
    more: asyncio.Event,
    given: Document,
) -> AsyncGenerator[Document, None]:
    left = given["count"]
    until = runtime.loop.time() + given["seconds"] if given["seconds"] else None
    try:
        while until is None or runtime.loop.time() < until:
            more.clear()
            document = take()
            if document is None:
                async with asyncio.timeout_at(until):
                    await more.wait()
                continue
            yield document
            left -= "what" in document
            if given["count"] and not left:
                return
    except TimeoutError:
        return
    finally:
        end()


def _time(at: float, now: float) -> str:
    """The clock may be set meanwhile: what counts is how long ago it was."""
    when = datetime.fromtimestamp(time.time() - (now - at), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
