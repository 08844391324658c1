"""`gwctl trace`: a trace of the broker as a stream of documents, with the time of day.

It ends with the operator's connection, after so many lines or seconds, or with the gateway. Must not
know what is told to a trace, nor how a line is shown.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from gateway.broker.traces import FILTERS_MAX, TRACES_MAX, Line, Trace
from gateway.control_commands import TRACE
from gateway.control_lines import ControlError, Document
from gateway.shell.commands import Commands
from gateway.shell.filters import checked_filter
from gateway.shell.runtime import Runtime


def register(commands: Commands, runtime: Runtime) -> None:
    """Adds the command."""
    commands.stream(TRACE, lambda given: _trace(runtime, given))


def _trace(runtime: Runtime, given: Document) -> AsyncGenerator[Document, None]:
    """Begins at once; the broker is rid of it when the stream is closed."""
    filters: Sequence[str] = [checked_filter(each) for each in given["filter"]]
    if len(filters) > FILTERS_MAX:
        raise ControlError(
            f"there are more than {FILTERS_MAX} filters", "name fewer, or use + and #"
        )
    more = asyncio.Event()
    trace = Trace(filters, given["client"], more.set)
    if not runtime.node.broker.trace(trace):
        raise ControlError(f"{TRACES_MAX} traces are running already", "end one of them")
    return _documents(runtime, trace, more, given)


async def _documents(
    runtime: Runtime, trace: Trace, more: asyncio.Event, given: Document
) -> AsyncGenerator[Document, None]:
    payload, left = not given["no-payload"], given["count"]
    until = runtime.loop.time() + given["seconds"] if given["seconds"] else None
    try:
        while until is None or runtime.loop.time() < until:
            more.clear()
            entry = trace.take()
            if entry is None:
                async with asyncio.timeout_at(until):
                    await more.wait()
            elif isinstance(entry, Line):
                yield _dated(entry, runtime.now(), payload)
                left -= 1
                if left == 0:
                    return
            else:
                yield {"missed": entry}
    except TimeoutError:
        return
    finally:
        runtime.node.broker.untrace(trace)


def _dated(line: Line, now: float, payload: bool) -> Document:
    """The clock may be set meanwhile: what counts is how long ago the line was told."""
    at = datetime.fromtimestamp(time.time() - (now - line.at), UTC)
    when = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": when} | line.document(payload)
