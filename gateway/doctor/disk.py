"""The check of the state directory: writable, room left, and how long the disk takes to be sure.

Must not know what is kept there.
"""

import os
import shutil
import tempfile
import time

from gateway.doctor.finding import Finding, error, ok, warning

FREE_MB_WARNING, FREE_MB_ERROR = 500, 50
SYNC_MS_WARNING = 250  # a good card takes 2 to 20
_BLOCK = bytes(4_096)


def state_directory(path: str) -> Finding:
    """Writes one block to a file without a name, which is gone afterwards."""
    try:
        sync_ms = _sync_ms(path)
        free_mb = shutil.disk_usage(path).free // 1_000_000
    except PermissionError:
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
