"""A network in memory: wires between hosts, with delay, cuts and breaks.

    wire    two directions, each a first-in-first-out pipe of bytes
    cut     a direction between two hosts in which nothing arrives; what was written waits and goes on
            when the cut is healed, as TCP's retransmissions would
    break   a wire that is over at once, with the bytes that were on it

Bytes arrive in other pieces than they were written in, down to single ones. Must not know what they say.
"""

import itertools
from collections import deque
from collections.abc import Callable
from typing import Protocol

from tests.sim.world import World

DELAY_S = 0.002
CHOPPED = 0.3  # share of the writes that arrive in pieces
BYTEWISE_MAX = 120  # bytes: shorter writes may arrive one by one
PIECES_MAX = 5


class End(Protocol):
    """Whoever holds one side of a wire."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def lost(self) -> None:
        """The wire is over; called once."""


class Wire:
    """One connection from `hosts[0]`, who began it, to `hosts[1]`. Sides are 0 and 1."""

    def __init__(self, network: "Network", hosts: tuple[str, str]) -> None:
        self.hosts = hosts
        self.ends: list[End | None] = [None, None]
        self._network = network
        self._pipes: list[deque[tuple[float, bytes | None]]] = [deque(), deque()]  # None: its end
        self._closed = [False, False]
        self._told = [False, False]
        self._last = [0.0, 0.0]  # when the last piece of a direction is due

    def send(self, side: int, data: bytes) -> None:
        """Writes towards the other side."""
        if not self._closed[side]:
            for piece in self._pieces(data):
                self._put(side, piece)

    def close(self, side: int) -> None:
        """This side is done: the other one is told behind what was written."""
        if not self._closed[side]:
            self._closed[side] = True
            self._put(side, None)
        self._network.world.after(0.0, lambda: self._tell(side))

    def breaks(self) -> None:
        """A reset: what is under way is gone, and both sides learn it, not quite together."""
        for side in (0, 1):
            self._closed[side] = True
            self._pipes[side].clear()
            delay_s = self._network.world.random.uniform(0.0, 0.05)
            self._network.world.after(delay_s, lambda side=side: self._tell(side))  # type: ignore[misc]

    def abandon(self, side: int) -> None:
        """This side's host lost its power: nobody is told."""
        self._closed[side] = self._told[side] = True
        self._pipes[side].clear()

    def pump(self, side: int) -> None:
        """Moves what is due in the direction that begins at this side."""
        pipe, world = self._pipes[side], self._network.world
        while pipe and pipe[0][0] <= world.now:
            if self._network.is_cut(self.hosts[side], self.hosts[1 - side]):
                return
            end = self.ends[1 - side]
            if end is None and not self._closed[1 - side]:
                return  # not taken up yet: it waits in the socket
            piece = pipe.popleft()[1]
            if self.hosts[1 - side] in self._network.down:
                continue
            if piece is None:
                self._closed[1 - side] = True
                self._tell(1 - side)
            elif self._closed[1 - side]:
                self._reset(side)
            elif end is not None:
                end.received(piece)

    def attach(self, side: int, end: End) -> None:
        """Somebody holds this side now."""
        self.ends[side] = end
        if self._told[side]:  # it broke before it was taken up
            self._network.world.after(0.0, end.lost)
        self._network.world.after(0.0, lambda: self.pump(1 - side))

    def over(self) -> bool:
        """Whether both sides know that it is over."""
        return all(self._told)

    def _reset(self, side: int) -> None:
        """Bytes for a socket that is closed: the sender is told, if the way back is open."""
        self._closed[side] = True
        self._pipes[side].clear()
        if not self._network.is_cut(self.hosts[1 - side], self.hosts[side]):
            self._network.world.after(self._network.delay(), lambda: self._tell(side))

    def _put(self, side: int, piece: bytes | None) -> None:
        world = self._network.world
        due = max(self._last[side], world.now + self._network.delay())
        self._last[side] = due = due + self._network.takes_s(self.hosts, piece)
        self._pipes[side].append((due, piece))
        world.after(due - world.now, lambda: self.pump(side))

    def _pieces(self, data: bytes) -> list[bytes]:
        random = self._network.world.random
        if random.random() > CHOPPED:
            return [data]
        if len(data) <= BYTEWISE_MAX and random.random() < 0.2:
            return [data[at : at + 1] for at in range(len(data))]
        cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(1, PIECES_MAX)))
        edges = [0, *cuts, len(data)]
        return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]

    def _tell(self, side: int) -> None:
        end = self.ends[side]
        if not self._told[side]:
            self._told[side] = True
            if end is not None:
                end.lost()


class Network:
    """All wires. `slow_s` is what is added to every delay, `bytes_per_s` what goes each way between two
    `gateways`; `down` are the hosts without power."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.slow_s = 0.0
        self.bytes_per_s = 0  # 0: as many as there are
        self.gateways: set[str] = set()
        self.wires: list[Wire] = []
        self.down: dict[str, None] = {}
        self._cuts: dict[tuple[str, str], int] = {}

    def delay(self) -> float:
        """Of one write, in seconds."""
        return self.world.random.uniform(0.0001, DELAY_S) + self.slow_s * self.world.random.random()

    def takes_s(self, hosts: tuple[str, str], piece: bytes | None) -> float:
        """How long a piece keeps the wire busy, if it is one between gateways."""
        if not self.bytes_per_s or piece is None or not set(hosts) <= self.gateways:
            return 0.0
        return len(piece) / self.bytes_per_s

    def wire(self, source: str, target: str) -> Wire:
        """A new wire."""
        self.wires = [wire for wire in self.wires if not wire.over()]
        wire = Wire(self, (source, target))
        self.wires.append(wire)
        return wire

    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing arrives in this direction."""
        return bool(self._cuts.get((source, target)))

    def cut(self, source: str, target: str) -> Callable[[], None]:
        """Cuts one direction; returns what heals it."""
        self._cuts[source, target] = self._cuts.get((source, target), 0) + 1

        def heal() -> None:
            self._cuts[source, target] -= 1
            for wire in list(self.wires):
                for side in (0, 1):
                    wire.pump(side)

        return heal
