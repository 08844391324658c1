"""One run: gateways, clients with their work, faults, and then peace in which all must be well.

    calm      the gateways find each other, clients work
    faults    clients work while things go wrong, one after the other and several at once
    heal      everything is switched on and joined; within SETTLE_S all gateways must be linked
    peace     clients work, nothing goes wrong
    quiet     clients are silent, so that everything arrives
    burial    when all else has been checked one gateway dies for good

A cut between two gateways that a third one hears is no fault any more when they had FOUND_S to find the
road over it: what is promised in calm is promised then, too. With `partial` there are no others.

With disks the gateways keep sessions, some clients have one, and the power fails in commits as well.
With `calm` nothing goes wrong: what is promised only then is looked at for longer. With `loss` nothing
but that one gateway loses its disk while it says that there are two copies: who roams loses nothing.
Must not know what is checked.
"""

from collections.abc import Callable

from tests.broker.kept import Card
from tests.sim.box import Box, says_two
from tests.sim.client import Client
from tests.sim.faults import Faults
from tests.sim.history import Granted, History, Session
from tests.sim.keeper import Keeper
from tests.sim.kinds import Kind
from tests.sim.network import Network
from tests.sim.teller import Teller
from tests.sim.watcher import PERIOD_S, Watcher
from tests.sim.world import World

CALM_S = 4.0
FAULTS_S = 25.0
FOUND_S = 6.0  # a link is silent for 3 s, then over; 1 s between two tries of a road, and the way
SETTLE_S = 15.0
FAULT_LASTS_S = 0.3, 1.0, 2.0, 4.0, 8.0
FAULT_GAPS_S = 0.1, 1.0, 5.0, 9.0
PARTIAL_LASTS_S = 2.0, 8.0, 16.0, 16.0  # so that the road is found, and used
PARTIAL_GAPS_S = 1.0, 9.0, 9.0
PEACE_S = 5.0
QUIET_S = 7.0  # with peace 10 s for wills of a gateway that began anew, and the way
LOSS_AFTER_S = 12.0  # of calm: copies are whole, and messages wait
BURIAL_S = 12.0  # dead after 3 s, 5 s for clients to be elsewhere, and the way
SIZES = (2, 3, 3, 5)
READS = 0.2  # share of the writes of copies before which each copy is looked into
SINGLE = 0.1  # share of a publisher's steps in which it sets or deletes a topic of its own
ASKED_MAX = 12  # subscriptions of one session
GIVES_UP_S = 3.0  # a client whose gateway lost its power

LIVE_TOPICS = ("live/a", "live/b", "live/c/d")
SHARED_TOPICS = ("kept/shared/1", "kept/shared/2")  # several publishers, QoS 0: the last one counts
GROUP, GROUP_TOPIC = "$share/g/group/#", "group/x"  # one member of all gateways gets each message
FILTERS = ("live/#", "live/a", "live/+", "live/c/d", "kept/#", "kept/+/1", "kept/shared/2", "#")


class Scenario:
    """Everything of one seed."""

    def __init__(self, seed: int, kind: Kind) -> None:
        disks, partial = kind.disks, kind.partial
        self._is_calm = kind in (Kind.CALM, Kind.LOSS)
        self._with_loss = kind is Kind.LOSS
        self._is_hard = kind is Kind.HARD
        self.world = World(seed)
        self.network = Network(self.world)
        self.history = History(disks)
        sizes = [size for size in SIZES if size > 2] if partial else SIZES
        names = [f"gw{number}" for number in range(1, self.world.random.choice(sizes) + 1)]
        # all know the first, and the first knows nobody: the others must hear of each other
        star = self.world.random.random() < 0.3
        self.boxes = [
            Box(
                *(self.world, self.network, name, (names[0],) if star else tuple(names)),
                card=Card() if disks else None,
            )
            for name in names
        ]
        self.network.gateways = set(names)
        for box in self.boxes:
            box.boxes = {other.name: other for other in self.boxes}
            box.on_fall = self._rescue_clients
            box.on_start = self._start_noted(box)
        self.subscribers: list[Client] = []
        self.publishers: list[Client] = []
        self._home: dict[str, Box] = {}
        self._topics: dict[str, list[str]] = {}
        self._single: dict[str, list[str]] = {}  # topics that a publisher has set once
        torn = self.world.random.random() < 0.75
        self._faults = Faults(self.world, self.network, self.boxes, torn)
        if self._is_hard:
            self._faults.harder()
        self._with_partial = partial
        self._disturbed_at = 0.0
        self._lasts = FAULT_LASTS_S
        if partial:
            self._faults.only_partial()
            self._lasts = PARTIAL_LASTS_S
        self.on_look: Callable[[], None] = lambda: None  # now and then, and before a disk is lost
        self._faults.before_loss = lambda: self.on_look()
        self._faults.on_loss = self._lost
        for box in self.boxes:
            box.before_copy = self._perhaps_look
        self._going: list[Callable[[], None]] = []
        self._working = True
        self._asked = self._singles = 0
        about = (self.world, self.network, self.history, self.boxes)
        self.watcher = Watcher(*about, self._is_quiet)
        self._faults.on_tear = self.watcher.tear
        self.keepers: list[Keeper] = []
        self.tellers: list[Teller] = []
        for box in self.boxes:
            self._people(box)
            if disks:
                self._keepers(box)

    def run(self) -> History:
        """From the switch to the end."""
        world = self.world
        for box in self.boxes:
            world.after(world.random.uniform(0.0, 1.0), box.start)
        world.after(0.0, self.watcher.begin)
        for client in (*self.subscribers, *self.publishers):
            self._live(client)
        for keeper in self.keepers:
            self._keep(keeper)
        for teller in self.tellers:
            self._tell(teller)
        world.run(CALM_S)
        while world.now < max(CALM_S + FAULTS_S, self._faults.busy_until):
            if self._with_loss:
                self._lose_one()
            if self._is_calm:
                world.run(CALM_S + FAULTS_S)
            else:
                self._disturb()
        for end in self._going:
            end()
        self._going = []
        healed_at = world.now
        while not self.watcher.is_calm() and world.now < healed_at + SETTLE_S:
            world.run(world.now + PERIOD_S)
        self.history.settled_at = world.now if self.watcher.is_calm() else float("inf")
        world.run(world.now + PEACE_S)
        self._working = False
        world.run(world.now + QUIET_S)
        self.watcher.end_calm()
        self.history.ended_at = world.now
        return self.history

    def bury(self) -> None:
        """One gateway dies for good, of several that are all linked."""
        alive = [box for box in self.boxes if box.serving]
        if len(alive) < 2 or not self.watcher.settled():
            return
        roaming = [client for client in self.publishers if client.name not in self._home]
        with_roaming = [box for box in alive if any(_is_at(client, box) for client in roaming)]
        box = self.world.random.choice(with_roaming or alive)
        self._retire_one(box)
        self.history.buried_at = self.world.now
        mourned = [client.session for client in self.publishers if _is_at(client, box)]
        self.history.mourned = [session for session in mourned if session is not None]
        box.kill(power=self.world.random.random() < 0.5)
        self._rescue_clients()
        self.world.run(self.world.now + BURIAL_S)

    def _retire_one(self, box: Box) -> None:
        """A client of the gateway goes for good: its will is sent there, and not again."""
        for client in self.publishers:
            if _is_at(client, box):
                client.retired = True
                client.leave()
                self.world.run(self.world.now + 1.0)
                return

    def _people(self, box: Box) -> None:
        world = self.world
        for number in range(2):
            client = Client(world, self.network, self.history, f"sub-{box.name}-{number}")
            self._home[client.name] = box
            client.on_granted = self._tell_publishers
            self.subscribers.append(client)
        client = Client(world, self.network, self.history, f"watch-{box.name}")
        self._home[client.name] = box
        self.subscribers.append(client)
        for number in range(world.random.choice((0, 1, 1, 2))):
            client = Client(world, self.network, self.history, f"share-{box.name}-{number}")
            self._home[client.name] = box
            self.subscribers.append(client)
        client = Client(world, self.network, self.history, f"pub-{box.name}", mortal=True)
        self._home[client.name] = box
        own = [f"kept/{box.name}/1", f"kept/{box.name}/2"]
        self._topics[client.name] = [*LIVE_TOPICS, *own, GROUP_TOPIC]
        self.publishers.append(client)
        if world.random.random() < 0.5:
            roaming = Client(world, self.network, self.history, f"roam-{box.name}", mortal=True)
            self._topics[roaming.name] = [*LIVE_TOPICS, *SHARED_TOPICS, GROUP_TOPIC]
            self.publishers.append(roaming)

    def _keepers(self, box: Box) -> None:
        random = self.world.random
        for number in range(2):
            filters = random.sample(("live/a", "live/b", "live/+", "live/#", "kept/#"), 2)
            wanted = [(name, random.choice((1, 2))) for name in filters]
            name = f"keep-{box.name}-{number}"
            self.keepers.append(Keeper(self.world, self.network, self.history, box, name, wanted))
        filters = random.sample(("live/a", "live/b", "live/+", "live/#", "kept/#"), 2)
        wanted = [(name, random.choice((1, 2))) for name in filters]
        about = (self.world, self.network, self.history, box, f"rove-{box.name}", wanted)
        self.keepers.append(Keeper(*about, self.boxes))
        if not self._is_hard:
            return
        doors = [box] if random.random() < 0.5 else self.boxes
        name = f"tell-{box.name}"
        self.tellers.append(Teller(self.world, self.network, self.history, name, doors))

    def _keep(self, keeper: Keeper) -> None:
        """One step of a keeper's life: it is often away, but not at the end."""
        random = self.world.random
        pause_s = random.uniform(0.1, 1.0)
        if keeper.away:
            if keeper.box.serving and self.world.now >= keeper.rests_until:
                keeper.connect()
        elif self._working and random.random() < 0.15:
            if keeper.doors and random.random() < 0.5:
                keeper.hurry()
            else:
                keeper.leave()
            pause_s = random.uniform(0.2, 3.0)
        else:
            keeper.ask()
        self.world.after(pause_s, lambda: self._keep(keeper))

    def _tell(self, teller: Teller) -> None:
        """One step of a teller's life: when all is over it comes back until everything is said."""
        random = self.world.random
        pause_s = random.uniform(0.05, 0.4)
        if teller.away:
            if teller.box.serving or len(teller.doors) > 1:
                teller.connect()
            pause_s = random.uniform(0.2, 1.0)
        elif self._working and random.random() < 0.06:
            teller.leave()
        elif self._working:
            for _ in range(random.choice((1, 1, 3))):
                teller.publish(random.choice(LIVE_TOPICS), random.choice((1, 2)))
        self.world.after(pause_s, lambda: self._tell(teller))

    def _disturb(self) -> None:
        """Begins a fault; it ends by itself, or with the rest."""
        world = self.world
        self.watcher.end_calm()
        self._disturbed_at = world.now
        busy_until = self._faults.busy_until
        end = self._faults.begin()
        self._going.append(end)
        self._rescue_clients()

        def over() -> None:
            if end in self._going:
                self._disturbed_at = self.world.now
                self._going.remove(end)
                end()

        lasts_s = world.random.choice(self._lasts)
        if self._faults.busy_until > busy_until:
            lasts_s = self._faults.busy_until - world.now
        world.after(lasts_s, over)
        gaps = PARTIAL_GAPS_S if self._with_partial else FAULT_GAPS_S
        world.run(world.now + world.random.choice(gaps))

    def _rescue_clients(self) -> None:
        """A client whose gateway lost its power finds out by its keep-alive."""
        for client in (*self.subscribers, *self.publishers):
            session = client.session
            if session is not None and not client.away and session.box in self.network.down:
                session.closed_at = self.world.now
                delay_s = self.world.random.uniform(0.5, GIVES_UP_S)
                self.world.after(delay_s, lambda c=client, s=session: self._give_up(c, s))  # type: ignore[misc]

        for each in (*self.keepers, *self.tellers):
            if not each.away and each.box.name in self.network.down:
                delay_s = self.world.random.uniform(0.5, GIVES_UP_S)
                connection = each.kept.connections
                self.world.after(delay_s, lambda k=each, c=connection: _leave(k, c))  # type: ignore[misc]

    def _give_up(self, client: Client, session: Session) -> None:
        if client.session is session:
            client.leave()

    def _live(self, client: Client) -> None:
        """One step of a client's life, and the next one planned."""
        random = self.world.random
        pause_s = random.uniform(0.02, 0.3)
        if client.retired:
            return
        if client.away:
            box = self._home.get(client.name) or random.choice(self.boxes)
            if box.serving:
                client.connect(box)
            pause_s = random.uniform(0.2, 1.0)
        elif client in self.subscribers:
            self._subscriber_step(client)
            pause_s = random.uniform(0.2, 1.5)
        elif client.connected and self._working:
            self._publisher_step(client)
        self.world.after(pause_s, lambda: self._live(client))

    def _subscriber_step(self, client: Client) -> None:
        random = self.world.random
        session = client.session
        assert session is not None
        alone = {"watch": "wills/#", "share": GROUP}.get(client.name.partition("-")[0])
        if alone is not None and not session.granted:
            client.subscribe((alone, 1))
        elif alone is not None:
            if self._working and random.random() < 0.1 and alone == GROUP:
                client.leave()
        elif client.connected and self._working and len(session.granted) < 3:
            have = [granted.topic_filter for granted in session.granted]
            free = [name for name in FILTERS if name not in have]
            client.subscribe((random.choice(free), random.choice((0, 1, 1, 2))))
        elif self._working and random.random() < 0.02:
            client.leave()
        elif self._working and client.connected and len(session.granted) < ASKED_MAX:
            self._asked += 1  # a topic that no other session wants
            client.subscribe((f"asked/{client.name}/{self._asked}", 1))

    def _tell_publishers(self, granted: list[Granted]) -> None:
        """Who has its SUBACK tells others, by another road than MQTT: they publish at once."""
        for each in granted:
            if self._working and each.topic_filter.startswith("asked/"):
                for client in self.world.random.sample(self.publishers, 2):
                    client.publish(each.topic_filter, self.world.random.choice((0, 1)), False)

    def _publisher_step(self, client: Client) -> None:
        random = self.world.random
        self._set_or_delete_one(client)
        for _ in range(random.choice((1, 1, 1, 4))):
            topic = random.choice(self._topics[client.name])
            retain = topic.startswith("kept")
            qos = 0 if topic in SHARED_TOPICS else random.choice((0, 1, 1, 2))
            client.publish(topic, qos, retain, delete=retain and random.random() < 0.15)
        if client.name not in self._home and random.random() < 0.02:
            client.leave()

    def _set_or_delete_one(self, client: Client) -> None:
        """A retained message that stays, or is deleted: no newer one hides what became of it."""
        random, single = self.world.random, self._single.setdefault(client.name, [])
        if not client.connected or random.random() > SINGLE:
            return
        if single and random.random() < 0.5:
            topic = single.pop(random.randrange(len(single)))
            client.publish(topic, random.choice((1, 2)), True, delete=True)
        else:
            self._singles += 1
            single.append(f"kept/once/{self._singles}")
            client.publish(single[-1], random.choice((1, 2)), True)

    def _look_for_roads(self) -> None:
        """Cuts between two gateways alone are got round, and that lasts until something else happens."""
        quiet = self.world.now - self._disturbed_at >= FOUND_S
        if self._with_partial and self._going and quiet and not self.watcher.settled():
            self._disturbed_at = self.world.now
            self.history.no_road.append(f"no road round a cut at {self.world.now:.1f}")

    def _is_quiet(self) -> bool:
        """Whether nothing goes wrong but cuts with a road around them."""
        self._look_for_roads()
        since = self._faults.partial
        return not self.network.slow_s and all(
            end in since and self.world.now - since[end] >= FOUND_S for end in self._going
        )

    def _perhaps_look(self) -> None:
        if self.world.random.random() < READS:
            self.on_look()

    def _lose_one(self) -> None:
        """A disk is destroyed, of those of which there are two copies."""
        self.world.run(self.world.now + LOSS_AFTER_S)
        by_id = {box.gateway: box for box in self.boxes}
        two = []
        for box in self.boxes:
            if box.node is not None and box.node.mesh is not None:
                keeper = by_id.get(box.node.mesh.copier.stand_in)
                two += [box] * (keeper is not None and says_two(box, keeper))
        if not two:
            return
        box = self.world.random.choice(two)
        for keeper in self.keepers:
            if keeper.doors and keeper.box is box:  # so that something waits for it
                keeper.leave()
                keeper.rests_until = self.world.now + 1.5
        self.world.run(self.world.now + 1.0)
        if box.node is None or not box.node.mesh.copier.two_copies:  # type: ignore[union-attr]
            return
        self.watcher.end_calm()
        self.history.copied_until = self.world.now
        end = self._faults.destroy(box)
        self._rescue_clients()
        self.world.after(self.world.random.choice((0.3, 2.0, 8.0)), end)

    def _start_noted(self, box: Box) -> Callable[[], None]:
        starts = self.history.starts.setdefault(box.name, [])
        return lambda: starts.append(self.world.now)

    def _lost(self, box: Box) -> None:
        """The disk is gone, and with it its sessions, unless their clients go to others at once."""
        self.history.disks_lost[box.name] = self.world.now
        for keeper in self.keepers:
            if keeper.box is box and self._with_loss and keeper.doors:
                keeper.go_elsewhere()
            elif keeper.box is box:
                keeper.begin_anew()


def _is_at(client: Client, box: Box) -> bool:
    return client.connected and client.session is not None and client.session.box == box.name


def _leave(who: Keeper | Teller, connection: int) -> None:
    """Gives up this connection, if it still has it."""
    if who.kept.connections == connection:
        who.leave()
