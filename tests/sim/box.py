"""A gateway as hardware: a node that runs or does not, a disk that stays, the shell's part in between.

Does the effects of a node as the shells do: it dials, it saves, it writes what stands in outboxes and
links once a turn, it stops reading from clients when their connection asks for that. Must not know
what is tested.
"""

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace

from gateway.broker.connection import Connection
from gateway.broker.journal import Batch
from gateway.broker.records import Wish
from gateway.config import ClusterSection, MqttSection
from gateway.effects import (
    BeginCopy,
    Dial,
    DropCopies,
    Effect,
    FindCopies,
    Note,
    ReadCopy,
    SaveMember,
    SaveMeshTime,
    SaveStandIn,
    WriteCopy,
)
from gateway.ids import gateway_id
from gateway.limits import HELLO_TIMEOUT_S
from gateway.mesh.frames import Member
from gateway.mesh.identity import Identity
from gateway.mesh.link import Link
from gateway.node import Node
from tests.broker.kept import Card
from tests.shelves import MemoryShelves
from tests.sim.network import Network, Wire
from tests.sim.world import World

LINK_PORT = 7883
COMMIT_MIN_S, COMMIT_MAX_S = 0.002, 0.06  # good cards and ordinary ones
DRIFT_MAX = 0.005  # of a box's clock: a quartz is fifty times as good
REWRITES = 0.1  # share of the commits after which all that lives is written again
WAKE_MAX_S = 0.1  # the shell looks at the deadline this often
CLUSTER = ClusterSection(
    "sim", "a key that is not used here", LINK_PORT, discovery=False, copy_after_s=5.0
)


@dataclass
class Disk:
    """What a gateway keeps over a restart. `card` is the broker's; None: it keeps nothing.

    `fails` and `stalls_s` are what goes wrong with it: no write succeeds, each takes that long.
    """

    store: str
    card: Card | None = None
    fails: bool = False
    stalls_s: float = 0.0
    stalled: list[Callable[[], None]] = field(
        default_factory=list
    )  # what goes on when that is over
    boot: int = 0
    mesh_time_ms: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    stand_in: str = ""
    shelves: MemoryShelves = field(default_factory=MemoryShelves)

    def copy(self) -> "Disk":
        """A backup."""
        card = None if self.card is None else deepcopy(self.card)
        return replace(self, card=card, stalled=[], members=dict(self.members))

    def flows(self) -> None:
        """It does not stall any more."""
        self.stalls_s = 0.0
        stalled, self.stalled = self.stalled, []
        for call in stalled:
            call()


class Box:
    """One gateway; `name` is its address as well."""

    def __init__(
        self,
        world: World,
        network: Network,
        name: str,
        peers: tuple[str, ...],
        card: Card | None = None,
    ) -> None:
        self.world = world
        self.network = network
        self.name = name
        self.gateway = gateway_id(name)
        self.disk = Disk(f"{world.random.getrandbits(128):032x}", card)
        self.peers = peers
        self.boxes: dict[str, Box] = {}  # whom it can dial, by address
        self.node: Node | None = None
        self.snapshot = self.disk  # as it was when it started
        self.nonce = ""  # of what runs here, or ran last
        self.starts = 0
        self.asleep = False
        self.doomed = False  # it loses its power in the middle of its next commit
        self.on_start: Callable[[], None] = lambda: None
        self.on_fall: Callable[[], None] = lambda: None
        self.before_copy: Callable[[], None] = lambda: (
            None
        )  # something is about to be in a copy here
        self.wires: dict[Wire, int] = {}  # the side that this box holds
        self._late: list[Callable[[], None]] = []
        self._writing: Batch | None = None
        self._copying = False  # something is done with copies
        self._offset = 0.0
        self._rate = 1.0
        self._generation = 0
        self._turning = False
        self._wake_at = float("inf")

    @property
    def serving(self) -> bool:
        """Whether it runs and is not stopped."""
        return self.node is not None and not self.asleep

    def clock(self) -> float:
        """Its own monotonic clock: no two gateways agree, and some are faster than others."""
        return self.world.now * self._rate + self._offset

    def start(self) -> None:
        """Switches it on."""
        assert self.node is None
        self._generation += 1
        self._offset = self.world.random.uniform(1.0, 1_000_000.0)
        self._rate = 1.0 + self.world.random.uniform(-DRIFT_MAX, DRIFT_MAX)
        self.disk.boot += 1
        self.starts += 1
        self.snapshot = self.disk.copy()
        self.on_start()
        self.nonce = nonce = f"{self.world.random.getrandbits(64):016x}"
        identity = Identity(
            *(self.gateway, self.name, self.disk.store, self.disk.boot, nonce, "sim", self.name),
            1883,
            CLUSTER,
        )
        now = self.clock()
        settings = MqttSection(allow_anonymous="everywhere")
        members = list(self.disk.members.values())
        boot = 0 if self.disk.card is None else self.disk.boot
        self.node = Node(
            *(settings, identity, self.world.random, now, self.disk.mesh_time_ms, members),
            boot=boot,
            stand_in=self.disk.stand_in,
        )
        assert self.node.mesh is not None
        if self.disk.card is not None:
            card = self.disk.card
            card.restore(self.node.broker, now)
            self.node.found(self.disk.store, card.number, card.sound)
        for owner in self.disk.shelves.copies:
            self.node.mesh.copies.here(owner, True)
        self._copying = False
        for peer in self.peers:
            self.node.mesh.found("", peer, LINK_PORT, now)
        self.network.down.pop(self.name, None)
        self.say("starts")
        self._turn_soon()

    def kill(self, power: bool) -> None:
        """Ends the process; with the power gone nobody is told by its kernel."""
        self.doomed = False
        self.say("loses its power" if power else "is killed")
        writing, self._writing = self._writing, None
        if writing is not None and not self.disk.fails and self.world.random.random() < 0.5:
            assert self.disk.card is not None
            self.disk.card.write(writing)  # all of it, but nobody was told
        self.node, self.asleep, self._late = None, False, []
        self.disk.shelves.crash()
        self._generation += 1
        self._turning, self._wake_at = False, float("inf")
        wires, self.wires = self.wires, {}
        if power:
            self.network.down[self.name] = None
        for wire, side in wires.items():
            if power:
                wire.abandon(side)
            else:
                wire.close(side)

    def new_disk(self) -> None:
        """Its card is replaced by an empty one."""
        self.say("has an empty card")
        self.disk = Disk(f"{self.world.random.getrandbits(128):032x}", Card())

    def lose_writes(self) -> None:
        """The last of what its card had is not there: some batches of the log, and rows."""
        assert self.disk.card is not None
        self.say("lost what was written")
        self.disk.card.lose(self.world.random.randint(2, 6))

    def sleep(self) -> None:
        """The process is stopped; its sockets stay, and what comes waits in them."""
        self.say("sleeps")
        self.asleep = True

    def awake(self) -> None:
        """The process goes on: first what stands in the sockets, then what is overdue."""
        if not self.asleep:
            return
        self.say("goes on")
        self.asleep = False
        late, self._late = self._late, []
        for call in late:
            call()
        self._turn_soon()
        self._wake()

    def input(self, call: Callable[[Node], None]) -> Callable[[], None]:
        """Something that the node is told, if it is still the same one then."""
        generation = self._generation

        def tell() -> None:
            if generation != self._generation or self.node is None:
                return
            if self.asleep:
                self._late.append(tell)
                return
            call(self.node)
            self._turn_soon()

        return tell

    def take_link(self, wire: Wire, side: int, other: "Box") -> None:
        """TLS stands on this wire."""
        assert self.node is not None and self.node.mesh is not None
        port = LINK_PORT if side == 0 else 40_000
        link = self.node.mesh.opened(
            (other.name, port), other.gateway, dialled=side == 0, now=self.clock()
        )
        _LinkEnd(self, wire, side, link)
        self._turn_soon()

    def say(self, text: str) -> None:
        """Adds a line to the trace."""
        self.world.say(f"{self.name} {text}")

    def turn_soon(self) -> None:
        """The shell was asked for a turn."""
        self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            self.world.after(0.0, self._guarded(self._turn))

    def _guarded(self, call: Callable[[], None]) -> Callable[[], None]:
        generation = self._generation

        def guarded() -> None:
            if generation != self._generation:
                return
            if self.asleep:
                self._late.append(guarded)
            else:
                call()

        return guarded

    def _turn(self) -> None:
        assert self.node is not None
        self._turning = False
        outboxes, _, effects = self.node.drain()
        for effect in effects:
            self._do(effect)
        self._commit()
        self._work_on_copies()
        for writer in (*outboxes, *self.node.links()):
            if writer.owner is not None:
                writer.owner.flush()
        self._plan_wake()

    def _commit(self) -> None:
        """Hands what is due to the disk, one batch at a time."""
        assert self.node is not None
        if self.disk.card is None or self._writing is not None:
            return
        self._writing = self.node.broker.journal.take(self.clock())
        if self._writing is not None:
            began = self.world.now
            took_s = self._disk_does(lambda: self._written(self.world.now - began))
            if self.doomed:
                self.world.after(took_s / 2, self._guarded(self._fall))

    def _work_on_copies(self) -> None:
        """One thing at a time, as long as a commit takes."""
        shelves = self.disk.shelves
        if self._copying or not shelves.waiting():
            return
        self._copying = True

        def done() -> None:
            assert self.node is not None and self.node.mesh is not None
            self._copying = False
            self.before_copy()
            shelves.fails = "the disk fails" if self.disk.fails else ""
            if self.world.random.random() < REWRITES:
                shelves.wishes = dict.fromkeys(shelves.copies, Wish.NOW.value)
            shelves.work(self.node.mesh, self.clock())
            self._turn_soon()

        self._disk_does(done)

    def _disk_does(self, then: Callable[[], None]) -> float:
        """Calls it when the disk has done something; returns how long that takes, at most."""
        call, waiting = self._guarded(then), [True]
        took_s = self.disk.stalls_s or self.world.random.uniform(COMMIT_MIN_S, COMMIT_MAX_S)

        def once() -> None:
            if waiting:
                waiting.clear()
                call()

        self.world.after(took_s, once)
        if self.disk.stalls_s:
            self.disk.stalled.append(once)
        return took_s

    def _fall(self) -> None:
        if self.doomed:
            self.kill(power=True)
            self.on_fall()

    def _written(self, took_s: float) -> None:
        """The batch is on disk, or cannot be written."""
        batch, self._writing = self._writing, None
        assert self.node is not None and batch is not None and self.disk.card is not None
        if self.disk.fails:
            self.node.broker.commit_failed("the disk fails", self.clock())
        else:
            self.disk.card.write(batch)
            wish = Wish.NOW if self.world.random.random() < REWRITES else Wish.NONE
            self.node.broker.committed(took_s, wish, self.clock())
        self._turn_soon()

    def _plan_wake(self) -> None:
        assert self.node is not None
        due = max(self.node.deadline() - self.clock(), 0.0) / self._rate
        at = self.world.now + due + self.world.random.uniform(0.0, 0.01)
        if at < self._wake_at:
            self._wake_at = at
            self.world.after(at - self.world.now, self._guarded(lambda: self._wake_planned(at)))

    def _wake_planned(self, at: float) -> None:
        """Unless an earlier time was planned since."""
        if at == self._wake_at:
            self._wake()

    def _wake(self) -> None:
        assert self.node is not None
        self._wake_at = float("inf")
        if self.node.deadline() <= self.clock():
            self.node.wake(self.clock())
            self._turn()
        else:
            self._plan_wake()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Note():
                self.say(f"notes: {effect.text}")
            case Dial():
                self._dial(effect)
            case SaveMember():
                where = (effect.name, effect.address, effect.port, effect.store)
                self.disk.members[effect.gateway] = Member(effect.gateway, *where)
            case FindCopies() | BeginCopy() | WriteCopy() | DropCopies() | ReadCopy():
                self.disk.shelves.do(effect)
            case SaveStandIn():
                self.disk.stand_in = effect.gateway
            case SaveMeshTime():
                assert effect.time_ms >= self.disk.mesh_time_ms, "mesh time went back"
                self.disk.mesh_time_ms = effect.time_ms

    def _dial(self, effect: Dial) -> None:
        address = (effect.address, effect.port)
        generation = self._generation

        def fail() -> None:
            self.input(lambda node: node.mesh.dial_failed(address, self.clock()))()  # type: ignore[union-attr]

        def arrive() -> None:
            other = self.boxes.get(effect.address)
            if generation != self._generation:
                return
            if other is None or self._apart(other) or other.name in self.network.down:
                self.world.after(HELLO_TIMEOUT_S, guarded_fail)
            elif other.node is None:
                self.world.after(self.network.delay(), guarded_fail)
            elif other.asleep:
                self.world.after(HELLO_TIMEOUT_S, guarded_fail)
            else:
                self._connect(other, guarded_fail)

        guarded_fail = self._guarded(fail)
        self.world.after(self.network.delay(), arrive)

    def _apart(self, other: "Box") -> bool:
        cut = self.network.is_cut
        return cut(self.name, other.name) or cut(other.name, self.name)

    def _connect(self, other: "Box", fail: Callable[[], None]) -> None:
        """Both sides of a handshake end at times of their own; now and then one of them fails."""
        wire = self.network.wire(self.name, other.name)
        generation = self._generation
        other.take_link(wire, 1, self)

        def stands() -> None:
            if generation != self._generation or self.node is None:
                wire.close(0)
            elif self._apart(other) or self.world.random.random() < 0.05:
                wire.close(0)
                fail()
            else:
                self.take_link(wire, 0, other)

        self.world.after(self.network.delay(), self._guarded(stands))


class _LinkEnd:
    """The shell of one link."""

    def __init__(self, box: Box, wire: Wire, side: int, link: Link) -> None:
        self._box, self._wire, self._side, self._link = box, wire, side, link
        self._early: deque[bytes] = deque()
        box.wires[wire] = side
        wire.attach(side, self)
        link.owner = self

    def received(self, data: bytes) -> None:
        self._box.input(
            lambda node: node.mesh.receive(self._link, data, self._box.clock())  # type: ignore[union-attr]
        )()

    def lost(self) -> None:
        def tell(node: Node) -> None:
            self._link.owner = None
            assert node.mesh is not None
            node.mesh.lost(self._link, self._box.clock())

        self._box.wires.pop(self._wire, None)
        self._box.input(tell)()

    def flush(self) -> None:
        if self._link.out:
            self._wire.send(self._side, b"".join(self._link.out))
            self._link.out.clear()
        if self._link.has_more():
            self._box.turn_soon()
        if self._link.closed:
            self._wire.close(self._side)


class ClientEnd:
    """The gateway's side of a client's wire."""

    def __init__(self, box: Box, wire: Wire) -> None:
        assert box.node is not None
        self._box, self._wire = box, wire
        self._paused = False
        self._unread: list[bytes] = []
        self.connection: Connection = box.node.broker.entrance.open(
            wire.hosts[0], True, box.clock()
        )
        self.connection.outbox.owner = self
        box.wires[wire] = 1
        wire.attach(1, self)

    def received(self, data: bytes) -> None:
        if self._paused:
            self._unread.append(data)
        else:
            self._box.input(lambda node: self.connection.receive(data, self._box.clock()))()

    def lost(self) -> None:
        def tell(node: Node) -> None:
            self.connection.outbox.owner = None
            self.connection.lost(self._box.clock())

        self._box.wires.pop(self._wire, None)
        self._box.input(tell)()

    def flush(self) -> None:
        if self.connection.outbox.ready:
            self._wire.send(1, self.connection.outbox.take())
        if self.connection.outbox.ended:
            self._wire.close(1)
        elif self._paused == self.connection.reading:
            self._paused = not self._paused
            if not self._paused:
                unread, self._unread = b"".join(self._unread), []
                self.connection.work()
                if unread:
                    self.received(unread)
                self._box.turn_soon()


def says_two(box: Box, keeper: Box) -> bool:
    """Whether it says that there are two copies of everything, its stand-in being that one."""
    assert box.node is not None and box.node.mesh is not None
    copier = box.node.mesh.copier
    return copier.two_copies and copier.stand_in == keeper.gateway and _knows(box, keeper)


def _knows(box: Box, keeper: Box) -> bool:
    """Whether what it speaks with is what runs there now: a power cut is noticed within seconds."""
    assert box.node is not None and box.node.mesh is not None
    hello = box.node.mesh.state.peers[keeper.gateway].hello
    return hello is not None and keeper.node is not None and hello.nonce == keeper.nonce
