"""Listening sockets that outlive the daemon: systemd keeps them, and hands them to the next start.

While nobody accepts, the kernel lets clients wait, so that a restart refuses nobody (sd_listen_fds(3),
sd_notify(3): FDSTORE). Sockets of a socket unit come the same way and are used as well. A gateway that
cannot start must not hold its door: clients would wait there instead of going to another one. So what
was handed over is let go when the start takes long, and by the unit (ExecStopPost) when it fails.
Must not know what is spoken on the sockets.
"""

import contextlib
import logging
import os
import select
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.notify import notify

FIRST = 3  # SD_LISTEN_FDS_START
SOCKETS_MAX = 64  # more than there are keys for ports
NAME = "door"  # of all of them, with systemd
# A start that takes longer lets the door go. An empty store takes 0.2 s, a full one a few.
HELD_S = 5.0
BARRIER_S = 2.0  # systemd answers at once; without an answer the start goes on
SERVING = "serving"  # in the runtime directory: this start succeeded

logger = logging.getLogger("gatewayd")


class HandedOver:
    """What this process was given; the environment no longer speaks of it, for the sake of others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets = _received()
        self.keeps = False  # whether somebody holds them for the next start
        self._timer: threading.Timer | None = None

    def hold(self, held_s: float = HELD_S) -> None:
        """Lets go of what is not taken by then."""
        if self._sockets:
            self._timer = threading.Timer(held_s, self._too_late)
            self._timer.daemon = True
            self._timer.start()

    def take(self, place: Any) -> socket.socket | None:
        """The socket that listens there, if there is one: (address, port), or a path."""
        with self._lock:
            for found in self._sockets:
                if _place(found) == place:
                    self._sockets.remove(found)
                    return found
        return None

    def drop_others(self) -> None:
        """What was not taken is closed, here and with systemd, before anything else is bound."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            left, self._sockets = self._sockets, []
        for other in left:
            place = _place(other)
            where = place if isinstance(place, str) else f"{place[0]} port {place[1]}"
            logger.warning("nothing is configured for the socket at %s: it is closed", where)
            other.close()
        if left:
            _forget_all()
            _wait_for_systemd()

    def keep(self, sockets: Sequence[socket.socket]) -> None:
        """The start has succeeded: these are for the next one."""
        self.keeps = "NOTIFY_SOCKET" in os.environ
        if self.keeps:
            _forget_all()
            notify(f"FDSTORE=1\nFDNAME={NAME}", [one.fileno() for one in sockets])
            _mark_as_serving()

    def _too_late(self) -> None:
        with self._lock:
            left, self._sockets = self._sockets, []
        if left:
            logger.warning("the start takes long: the door is closed until it has succeeded")
            _forget_all()
        for one in left:
            one.close()


def _received() -> list[socket.socket]:
    """By LISTEN_PID and LISTEN_FDS."""
    count, pid = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = []
    for number in range(FIRST, FIRST + min(int(count), SOCKETS_MAX)):
        with contextlib.suppress(OSError):  # what is not there, or is no socket
            os.set_inheritable(number, False)
            found.append(socket.socket(fileno=number))
    for one in found:
        one.setblocking(False)
        if not _listens(one):
            one.close()
    return [one for one in found if one.fileno() >= 0]


def _listens(one: socket.socket) -> bool:
    if one.type != socket.SOCK_STREAM:
        return False
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _place(one: socket.socket) -> Any:
    name = one.getsockname()
    return name[:2] if isinstance(name, tuple) else name


def _forget_all() -> None:
    notify(f"FDSTOREREMOVE=1\nFDNAME={NAME}")


def _wait_for_systemd() -> None:
    """Until it has done what it was told (sd_notify_barrier(3)): it closes its end then."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    ours, theirs = os.pipe()
    try:
        notify("BARRIER=1", [theirs])
        os.close(theirs)
        select.select([ours], [], [], BARRIER_S)
    finally:
        os.close(ours)


def _mark_as_serving() -> None:
    """For the unit, which closes the door behind a start that left no such mark."""
    directory = os.environ.get("RUNTIME_DIRECTORY", "")
    if directory:
        try:
            (Path(directory) / SERVING).touch()
        except OSError as error:
            logger.warning("no mark in %s: a restart may refuse clients: %s", directory, error)
