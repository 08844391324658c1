"""The listening sockets of a gateway: all of them are had, or every one that is not is told at once.

First every socket is bound, then the first client is accepted. Sockets that were handed over at the
start (`handed_over.py`) are used where they are the same place. Must not know what is spoken on them.
"""

import asyncio
import contextlib
import errno
import grp
import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.shell.clients import watch_for_dead_peers
from gateway.shell.handed_over import HandedOver

# Connections that the kernel may hold until they are accepted.
BACKLOG = 1_024


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen; `key` is what decides the port in the configuration."""

    key: str
    address: str
    port: int
    protocol: Callable[[], asyncio.Protocol]

    def __str__(self) -> str:
        six = ":" in self.address
        return f"{f'[{self.address}]' if six else self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixPlace:
    """A socket in the file system; `mode` and `group` (empty: the daemon's) are those of its file."""

    key: str
    path: str
    mode: int
    group: str
    protocol: Callable[[], asyncio.Protocol]


class DoorError(Exception):
    """Not everything could be opened; each problem is a line with its remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Doors:
    """The sockets that clients come by."""

    def __init__(self, handed_over: HandedOver) -> None:
        self._handed_over = handed_over
        self._servers: list[asyncio.Server] = []
        self._bound: list[tuple[Place | UnixPlace, socket.socket]] = []
        self._paths: list[str] = []

    def bind(self, places: Sequence[Place | UnixPlace]) -> list[str]:
        """Has a socket for each place; what is wrong with those that could not be had."""
        problems: list[str] = []
        kept = [self._taken(place) for place in places]
        self._handed_over.drop_others()
        for place, found in zip(places, kept, strict=True):
            try:
                self._bound.append((place, self._socket(place, found)))
            except DoorError as error:
                problems += error.problems
            except OSError as error:
                port = place.port if isinstance(place, Place) else 0
                where = place.path if isinstance(place, UnixPlace) else str(place)
                problems.append(cannot_listen(place.key, where, port, error))
        return problems

    async def serve(self, backlog: int) -> None:
        """Accepts clients on everything that is bound; others are waited for by the kernel.

        More than `backlog` of those that have not said who they are would push each other out.
        """
        loop = asyncio.get_running_loop()
        bound, self._bound = self._bound, []
        backlog = min(backlog, BACKLOG)
        for place, listening in bound:
            # create_unix_server would remove a file that is kept for the next start (Python 3.13).
            server = await loop.create_server(place.protocol, sock=listening, backlog=backlog)
            self._servers.append(server)
        self._handed_over.keep([listening for _, listening in bound])

    def close(self) -> None:
        """Nobody else comes in here; what is kept for the next start goes on listening."""
        for server in self._servers:
            server.close()
        for _, listening in self._bound:
            listening.close()
        if not self._handed_over.keeps:
            for path in self._paths:
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def _taken(self, place: Place | UnixPlace) -> socket.socket | None:
        """The one that was handed over for this place."""
        if isinstance(place, Place):
            address = str(ipaddress.ip_address(place.address))  # as the kernel writes it
            return self._handed_over.take((address, place.port))
        return self._handed_over.take(place.path) if Path(place.path).is_socket() else None

    def _socket(self, place: Place | UnixPlace, kept: socket.socket | None) -> socket.socket:
        if isinstance(place, Place):
            listening = kept or _bound(place)
            watch_for_dead_peers(listening)
            return listening
        listening = kept or _bound_unix(place)
        try:
            _set_rights(place)
        except BaseException:
            listening.close()
            raise
        self._paths.append(place.path)
        return listening


def cannot_listen(key: str, place: str, port: int, error: OSError) -> str:
    """Why a place cannot be had and what to do, as one line."""
    match error.errno:
        case errno.EADDRINUSE:
            how = f"ss -ltnp 'sport = :{port}'" if port else f"ss -lxp src {place}"
            see = f"end what listens there ({how}) or change {key}"
            return f"{key}: {place} is in use by another program; {see}"
        case errno.EADDRNOTAVAIL:
            return f"{key}: {place}: no interface of this box has that address; see: ip address"
        case errno.EACCES | errno.EPERM if port:
            see = "choose a port of 1024 or more"
            return f"{key}: {place}: the daemon's user may not listen there; {see}"
    why = error.strerror or str(error)
    return f"{key}: {place} cannot be had: {why[:1].lower()}{why[1:]}; change {key}"


def _bound(place: Place) -> socket.socket:
    six = ipaddress.ip_address(place.address).version == 6
    listening = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind((place.address, place.port))
    except OSError:
        listening.close()
        raise
    return listening


def _bound_unix(place: UnixPlace) -> socket.socket:
    """Nobody can connect before it listens, and so not before mode and group are right."""
    _clear(place)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.bind(place.path)
    except OSError:
        listening.close()
        raise
    return listening


def _clear(place: UnixPlace) -> None:
    """Takes the file away that a dead process left; a living one's, and what is no socket, stays."""
    try:
        found = os.lstat(place.path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        text = f"{place.key}: {place.path} is there and is no socket"
        raise DoorError([f"{text}; move it away or change {place.key}"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(place.path)
        except ConnectionRefusedError:
            os.unlink(place.path)
            return
        except BlockingIOError:
            pass  # somebody listens, and is busy
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _set_rights(place: UnixPlace) -> None:
    """Mode and group of the file, also of one that was kept."""
    os.chmod(place.path, place.mode)
    if not place.group:
        return
    try:
        os.chown(place.path, -1, grp.getgrnam(place.group).gr_gid)
    except KeyError:
        text = f"{place.key}_group: there is no group {place.group!r} on this box"
        raise DoorError([f"{text}; see: getent group"]) from None
    except PermissionError:
        text = f"{place.key}_group: the daemon's user is not in the group {place.group!r}"
        remedy = f"usermod -a -G {place.group} gateway, then restart gatewayd"
        raise DoorError([f"{text}; {remedy}"]) from None
