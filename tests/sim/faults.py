"""What goes wrong: each fault begins at once and gives back what ends it.

Must not know clients or checkers.
"""

from collections.abc import Callable
from dataclasses import replace

from tests.shelves import MemoryShelves
from tests.sim.box import Box
from tests.sim.network import Network
from tests.sim.world import World

End = Callable[[], None]
STALLS_S = 0.05, 0.3, 1.0
BYTES_PER_S = 40_000, 80_000, 160_000  # what clients say here takes half of the least
SCARCE_BYTES_PER_S = 5_000, 20_000, 80_000
HANGS_S = 5.0, 60.0
LASTS_MAX_S = 8.0  # of other faults
LOST_MAX = 1  # disks of a run: what two lose at once is promised by nobody


class Faults:
    """Dice over what can go wrong between and in these boxes."""

    def __init__(self, world: World, network: Network, boxes: list[Box], torn: bool) -> None:
        """`torn`: links break, too, and gateways sleep."""
        self._world, self._network, self._boxes = world, network, boxes
        self._clones: list[Box] = []
        self._bytes_per_s = BYTES_PER_S
        self._stalls_s: tuple[float, ...] = STALLS_S
        self._lost = 0
        self.busy_until = 0.0  # a fault that lasts long goes on until then
        self.on_tear: Callable[[], None] = lambda: None
        self._alone = False  # whether there is at most one cut at a time
        self._cuts = 0
        self.partial: dict[End, float] = {}  # cuts between two gateways, and when they began
        self.before_loss: Callable[[], None] = lambda: None
        self.on_loss: Callable[[Box], None] = lambda box: None
        self._kinds: list[Callable[[], End]] = [self._killed, self._power_lost, self._all_lost]
        self._kinds.append(self._cloned)
        tearing: list[Callable[[], End]] = [
            self._asleep,
            self._two_apart,
            self._one_way,
            self._split,
            self._links_break,
            self._slow,
            self._narrow,
        ]
        self._tearing = tearing
        if torn:
            self._kinds += tearing
        if any(box.disk.card for box in boxes):
            self._kinds += [self._disk_fails, self._disk_stalls, *(self._power_lost_in_commit,) * 4]
            self._kinds += [self._disk_destroyed, self._writes_lost]
        else:
            self._kinds.append(self._restored)

    def harder(self) -> None:
        """From here on cards are replaced by old copies of theirs, disks hang, and links take less
        than is said."""
        self._kinds.append(self._snapshot_restored)
        self._stalls_s = STALLS_S + HANGS_S
        self._bytes_per_s = SCARCE_BYTES_PER_S

    def only_partial(self) -> None:
        """From here on two do not reach each other, or one the other, and links break; one cut at a
        time, so that no gateway is ever alone."""
        self._alone = True
        self._kinds = [self._two_apart, self._two_apart, self._one_way, self._links_break]
        self._tearing = []  # each is heard by some other all the time

    def begin(self) -> End:
        """One of them."""
        self._end_clones()
        kind = self._world.random.choice(self._kinds)
        if kind in self._tearing:
            self.on_tear()
        return kind()

    def _running(self) -> Box | None:
        running = [box for box in self._boxes if box.serving]
        return self._world.random.choice(running) if len(running) > 1 else None

    def _killed(self) -> End:
        return self._down(power=False)

    def _power_lost(self) -> End:
        return self._down(power=True)

    def _down(self, power: bool) -> End:
        box = self._running()
        if box is None:
            return nothing
        box.kill(power)
        return lambda: _switch_on(box)

    def _all_lost(self) -> End:
        """The power fails in the whole house, and is back."""
        boxes = [box for box in self._boxes if box.node is not None]
        for box in boxes:
            box.kill(power=True)

        def end() -> None:
            for box in boxes:
                _switch_on(box)

        return end

    def _cloned(self) -> End:
        """Another box begins with a copy of the card of one that runs. It is to stay out as long as that
        one is heard: it ends before anything else goes wrong."""
        box = self._running()
        if box is None:
            return nothing
        names = tuple(other.name for other in self._boxes)
        clone = Box(self._world, self._network, f"{box.name}-clone", names)
        clone.gateway, clone.boxes = box.gateway, box.boxes
        clone.disk = replace(box.disk.copy(), shelves=MemoryShelves())
        clone.start()
        self._clones.append(clone)
        return self._end_clones

    def _end_clones(self) -> None:
        for clone in self._clones:
            clone.kill(power=False)
        self._clones.clear()

    def _restored(self) -> End:
        """Its card is replaced by a copy that was made a start ago."""
        box = self._running()
        if box is None:
            return nothing
        backup = box.disk.copy()
        backup.boot -= 1
        box.kill(power=True)
        box.disk = backup
        return lambda: _switch_on(box)

    def _disk_fails(self) -> End:
        disk = self._world.random.choice(self._boxes).disk
        self._world.say("a disk fails")
        disk.fails = True

        def end() -> None:
            disk.fails = False

        return end

    def _power_lost_in_commit(self) -> End:
        box = self._running()
        if box is None:
            return nothing
        box.doomed = True

        def end() -> None:
            box.doomed = False
            _switch_on(box)

        return end

    def _disk_stalls(self) -> End:
        disk = self._world.random.choice(self._boxes).disk
        disk.stalls_s = self._world.random.choice(self._stalls_s)
        self._world.say(f"a disk takes {disk.stalls_s} s")
        if disk.stalls_s > LASTS_MAX_S:
            self.busy_until = self._world.now + disk.stalls_s
        return disk.flows

    def destroy(self, box: Box) -> End:
        """This one loses its power, and gets an empty card."""
        self.before_loss()
        box.kill(power=True)
        box.new_disk()
        self.on_loss(box)
        return lambda: _switch_on(box)

    def _disk_destroyed(self) -> End:
        """Another card is put in, an empty one."""
        return self._disk_lost(lambda box: box.new_disk())

    def _writes_lost(self) -> End:
        """What the card said to be written was not."""
        return self._disk_lost(lambda box: box.lose_writes())

    def _snapshot_restored(self) -> End:
        """The card is replaced by a copy that was made when the gateway started."""

        def restore(box: Box) -> None:
            box.disk = box.snapshot.copy()
            box.say("has an old copy of its card")

        return self._disk_lost(restore)

    def _disk_lost(self, lose: Callable[[Box], None]) -> End:
        box = self._running()
        if box is None or self._lost >= LOST_MAX:
            return nothing
        self._lost += 1
        self.before_loss()
        box.kill(power=True)
        lose(box)
        self.on_loss(box)
        return lambda: _switch_on(box)

    def _asleep(self) -> End:
        box = self._running()
        if box is None:
            return nothing
        box.sleep()
        return box.awake

    def _two_apart(self) -> End:
        one, other = self._world.random.sample(self._boxes, 2)
        return self._part([(one, other), (other, one)])

    def _one_way(self) -> End:
        one, other = self._world.random.sample(self._boxes, 2)
        return self._part([(one, other)])

    def _part(self, pairs: list[tuple[Box, Box]]) -> End:
        if self._alone and self._cuts:
            return nothing
        end = self._cut(pairs)
        self.partial[end] = self._world.now
        return end

    def _split(self) -> End:
        boxes = list(self._boxes)
        self._world.random.shuffle(boxes)
        at = self._world.random.randint(1, len(boxes) - 1)
        left, right = boxes[:at], boxes[at:]
        pairs = [(a, b) for a in left for b in right]
        return self._cut(pairs + [(b, a) for a, b in pairs])

    def _cut(self, pairs: list[tuple[Box, Box]]) -> End:
        self._world.say("cut: " + ", ".join(f"{a.name} to {b.name}" for a, b in pairs))
        heals = [self._network.cut(one.name, other.name) for one, other in pairs]
        self._cuts += 1

        def end() -> None:
            self._world.say("healed")
            self._cuts -= 1
            for heal in heals:
                heal()

        return end

    def _links_break(self) -> End:
        names = [box.name for box in self._boxes]
        for wire in self._network.wires:
            if wire.hosts[0] in names and self._world.random.random() < 0.6:
                self._world.say(f"the wire from {wire.hosts[0]} to {wire.hosts[1]} breaks")
                wire.breaks()
        return nothing

    def _narrow(self) -> End:
        """What goes between gateways waits in full buffers."""
        self._network.bytes_per_s = self._world.random.choice(self._bytes_per_s)
        self._world.say(f"the network takes {self._network.bytes_per_s} bytes a second")

        def end() -> None:
            self._network.bytes_per_s = 0

        return end

    def _slow(self) -> End:
        self._network.slow_s = self._world.random.uniform(0.02, 0.3)

        def end() -> None:
            self._network.slow_s = 0.0

        return end


def _switch_on(box: Box) -> None:
    """Unless another fault's end did it."""
    if box.node is None:
        box.start()


def nothing() -> None:
    """For faults that are over at once."""
