"""The listening sockets of a gateway: all of them are had, or every one that is not is told at once.

First every socket is bound, then the first client is accepted. Must not know what is spoken on them.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.shell.clients import watch_for_dead_peers

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


class DoorError(Exception):
    """Not everything could be opened; the text has one problem a line, with its remedy."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Doors:
    """The sockets that clients come by."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._bound: list[tuple[Place, socket.socket]] = []

    def bind(self, places: Sequence[Place]) -> list[str]:
        """Has a socket for each place; what is wrong with those that could not be had."""
        problems = []
        for place in places:
            try:
                self._bound.append((place, _bound(place)))
            except OSError as error:
                problems.append(cannot_listen(place.key, str(place), place.port, error))
        return problems

    async def serve(self, backlog: int) -> None:
        """Accepts clients on everything that is bound."""
        loop = asyncio.get_running_loop()
        bound, self._bound = self._bound, []
        for place, listening in bound:
            server = await loop.create_server(
                place.protocol, sock=listening, backlog=min(backlog, BACKLOG)
            )
            self._servers.append(server)

    def close(self) -> None:
        """Nobody else comes in."""
        for server in self._servers:
            server.close()
        for _, listening in self._bound:
            listening.close()


def cannot_listen(key: str, place: str, port: int, error: OSError) -> str:
    """Why a place cannot be had and what to do, as one line."""
    match error.errno:
        case errno.EADDRINUSE:
            see = f"end what listens there (ss -ltnp 'sport = :{port}') or change {key}"
            return f"{key}: {place} is in use by another program; {see}"
        case errno.EADDRNOTAVAIL:
            return f"{key}: {place}: no interface of this box has that address; see: ip address"
        case errno.EACCES | errno.EPERM:
            see = "choose a port of 1024 or more"
            return f"{key}: {place}: the daemon's user may not listen there; {see}"
    return f"{key}: {place} cannot be had: {error.strerror or error}; change {key}"


def _bound(place: Place) -> socket.socket:
    six = ipaddress.ip_address(place.address).version == 6
    listening = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        watch_for_dead_peers(listening)
        listening.bind((place.address, place.port))
    except OSError:
        listening.close()
        raise
    return listening
