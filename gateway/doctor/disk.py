"""The checks of the disk: the state directory is writable, has room, is fast enough; how long it lasts.

Must not know what is kept there.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from gateway.doctor.finding import Finding, error, ok, warning

FREE_MB_WARNING, FREE_MB_ERROR = 500, 50
SYNC_MS_WARNING = 250  # a good card takes 2 to 20
LIFE_DAYS_WARNING, LIFE_DAYS_ERROR = 365, 30  # a new card is to be bought, and put in
_BLOCK = bytes(4_096)


def state_directory(path: str, status: dict[str, Any] | None = None) -> Finding:
    """Writes one block to a file without a name, which is gone afterwards.

    Where this user may not, what gatewayd says in its `status` is judged instead.
    """
    try:
        sync_ms = _sync_ms(path)
        free_mb = shutil.disk_usage(path).free // 1_000_000
    except PermissionError:
        store = (status or {}).get("store")
        if isinstance(store, dict) and store.get("state") == "ok":
            return judge(path, store.get("free_bytes", 0) // 1_000_000, store.get("commit_ms", 0.0))
        text = f"this user may not write to {path}, so it was not tried"
        return warning("state directory", text, "try: sudo gwctl doctor")
    except OSError as problem:
        text = f"{path} cannot be written: {problem.strerror}"
        return error("state directory", text, "see: df, mount, dmesg; is the card worn or full?")
    return judge(path, free_mb, sync_ms)


def judge(path: str, free_mb: int, sync_ms: float) -> Finding:
    """The finding for a directory that can be written."""
    text = f"{path}: {free_mb:,} MB free, a write is safe after {sync_ms:.1f} ms"
    if free_mb < FREE_MB_ERROR:
        return error("state directory", text, "make room: see what is large with: du -x /")
    if free_mb < FREE_MB_WARNING:
        return warning("state directory", text, "make room: see what is large with: du -x /")
    if sync_ms > SYNC_MS_WARNING:
        return warning("state directory", f"{text}, which is slow", "put in a better card or disk")
    return ok("state directory", text)


def _sync_ms(path: str) -> float:
    with tempfile.TemporaryFile(dir=path) as file:
        file.write(_BLOCK)
        file.flush()
        begun = time.monotonic()
        os.fdatasync(file.fileno())
        return (time.monotonic() - begun) * 1_000


def life(status: dict[str, Any] | None) -> Iterator[Finding]:
    """How long a card of this size lasts, as gatewayd works it out after some minutes."""
    store = (status or {}).get("store")
    days = store.get("card_life_days") if isinstance(store, dict) else None
    if not isinstance(days, (int, float)):
        return
    text = f"at what gatewayd writes now a card of this size lasts {days:,.0f} days, by a rule of thumb"
    remedy = (
        "publish in larger batches, or at QoS 0 where a loss does no harm; or put in a better card"
    )
    if days < LIFE_DAYS_ERROR:
        yield error("disk life", text, remedy)
    elif days < LIFE_DAYS_WARNING:
        yield warning("disk life", text, remedy)
    else:
        yield ok("disk life", text)
