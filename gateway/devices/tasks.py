"""Tasks whose mistakes are heard.

An exception in a task is otherwise silent until the task is let go, which may be never.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Runs `work` beside the caller; what it raises goes to the loop's exception handler."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()  # raised in a callback, where the loop hands it to its handler
