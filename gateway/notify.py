"""What systemd is told: ready, alive, stopping; and how a log line reaches its journal.

Rules: without systemd nothing happens and nothing fails. Each daemon of the product uses this one.
Must not know which daemon it serves.
"""

import logging
import os
import socket
from array import array
from collections.abc import Sequence

_PRIORITIES = {  # of syslog, which the journal reads from the head of a line (sd-daemon(3))
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


def notify(state: str, files: Sequence[int] = ()) -> None:
    """Tells systemd "READY=1", "WATCHDOG=1", "STOPPING=1" or the like (sd_notify(3)).

    `files` are file descriptors that go with it.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as telling:
        telling.setblocking(False)
        try:
            with_it = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", files))] if files else []
            telling.sendmsg([state.encode()], with_it, 0, address)
        except OSError as error:
            logging.getLogger(__name__).warning("systemd was not told %s: %s", state, error)


def watchdog_interval_s() -> float | None:
    """How often "WATCHDOG=1" is due, half of what systemd waits; None when it does not watch us."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    waits_us = os.environ.get("WATCHDOG_USEC", "")
    return int(waits_us) / 2_000_000 if waits_us.isdecimal() and int(waits_us) else None


class _JournalFormatter(logging.Formatter):
    """Priority at the head of the line, no time: the journal has its own."""

    def format(self, record: logging.LogRecord) -> str:
        priority = _PRIORITIES.get(record.levelno, 6)
        # A priority counts for its own line only, and a trace has many.
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def log_to_stderr(level: str) -> None:
    """Sends the log to standard error, in the journal's form where that is the journal.

    `level` is debug, info, warning or error.
    """
    handler = logging.StreamHandler()
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
