"""Looks at all gateways now and then, and writes down who was awake, who was joined with whom, whose
disk was in order, and who said that there are two copies; and when some did not hear others.

It looks from outside: two gateways are joined when nothing is cut between them and each is linked and
synced with the other. Stretches begin and end with a look, so that they are never longer than they were.
Must not know clients.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

from gateway.mesh.life import Life
from tests.sim.box import Box, says_two
from tests.sim.history import NEVER, Awake, History, Stretch
from tests.sim.network import Network
from tests.sim.world import World

PERIOD_S = 0.1


class Watcher:
    """`quiet` says whether no fault is going on."""

    def __init__(
        self,
        world: World,
        network: Network,
        history: History,
        boxes: Sequence[Box],
        quiet: Callable[[], bool],
    ) -> None:
        self._world, self._network, self._history = world, network, history
        self._boxes, self._quiet = boxes, quiet
        self._open: dict[object, Stretch] = {}
        self._calm_since: float | None = None
        self._tear: Stretch | None = None

    def begin(self) -> None:
        """Looks from here on."""
        self._look()
        self._world.after(PERIOD_S, self.begin)

    def is_calm(self) -> bool:
        """Whether all is well, as of the last look."""
        return self._calm_since is not None

    def end_calm(self) -> None:
        """Something goes wrong, or all is over."""
        if self._calm_since is not None:
            self._history.calm.append((self._calm_since, self._world.now))
            self._calm_since = None

    def tear(self) -> None:
        """Some gateways are not to hear others."""
        if self._tear is None:
            self._tear = Stretch(self._world.now, NEVER)
            self._history.tears.append(self._tear)

    def settled(self) -> bool:
        """Whether every gateway is linked with every other, and synced."""
        for box in self._boxes:
            if box.node is None or not box.serving or box.node.mesh is None:
                return False
            state = box.node.mesh.state
            if len(state.peers) != len(self._boxes) - 1 or state.holding:
                return False
            if not all(_knows(box, other) for other in self._boxes if other is not box):
                return False
        return True

    def _look(self) -> None:
        if self._quiet() and self.settled():
            if self._calm_since is None:
                self._calm_since = self._world.now
        else:
            self.end_calm()
        by_id = {box.gateway: box for box in self._boxes}
        for box in self._boxes:
            self._note_awake(box)
            disk = box.disk
            well = box.serving and not (disk.fails or disk.stalls_s)
            self._note(("disk", box.name), well, self._history.well.setdefault(box.name, []))
            keeper = _stand_in(box, by_id)
            two = self._history.two_copies.setdefault(box.name, [])
            self._note(("two", box.name, keeper), bool(keeper), two, keeper)
        for one, other in combinations(self._boxes, 2):
            near, pair = self._are_near(one, other), (one.name, other.name)
            joined = near and _knows(one, other) and _knows(other, one)
            key = (one.name, one.starts, other.name, other.starts)
            self._note(("near", *key), near, self._history.near.setdefault(pair, []))
            self._note(("joined", *key), joined, self._history.joined.setdefault(pair, []))
        if self.is_calm() and self._tear is not None:
            self._tear.end = self._world.now
            self._tear = None

    def _note(self, key: object, holds: bool, stretches: list[Stretch], what: str = "") -> None:
        """A stretch goes on, begins, or does not go on."""
        stretch = self._open.get(key)
        if not holds:
            self._open.pop(key, None)
        elif stretch is None or stretch.end < self._world.now - 1.5 * PERIOD_S:
            self._open[key] = Stretch(self._world.now, self._world.now, what)
            stretches.append(self._open[key])
        else:
            stretch.end = self._world.now

    def _are_near(self, one: Box, other: Box) -> bool:
        cut = self._network.is_cut
        apart = cut(one.name, other.name) or cut(other.name, one.name)
        return one.serving and other.serving and not apart

    def _note_awake(self, box: Box) -> None:
        awake = self._history.awake
        latest = next((each for each in reversed(awake) if each.box == box.name), None)
        open_ = latest is not None and latest.end == NEVER
        if box.serving and not open_:
            awake.append(Awake(box.name, self._world.now))
        elif not box.serving and open_:
            assert latest is not None
            latest.end = self._world.now


def _knows(box: Box, other: Box) -> bool:
    """Whether a box is linked and synced with what runs at the other."""
    assert box.node is not None and box.node.mesh is not None
    peer = box.node.mesh.state.peers.get(other.gateway)
    if peer is None or peer.hello is None or peer.hello.nonce != other.nonce:
        return False
    return peer.synced and peer.life is Life.ALIVE


def _stand_in(box: Box, by_id: dict[str, Box]) -> str:
    """Where the second copy of everything is, by its own word; empty: nowhere."""
    if not box.serving or box.node is None or box.node.mesh is None or box.disk.card is None:
        return ""
    keeper = by_id.get(box.node.mesh.copier.stand_in)
    return keeper.name if keeper is not None and says_two(box, keeper) else ""
