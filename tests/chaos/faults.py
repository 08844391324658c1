"""What is done to the gateways in a round: each fault is a story that stops where time must pass.

A story yields the seconds until it goes on, and ends when everything is mended; `Scene.struck` is called
at the moment of the blow, right behind it. A story must not wait by itself: the clients are looked after
in between.
"""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tests.chaos.kinds import Dated, Small, wipe
from tests.chaos.lan import Lan
from tests.chaos.mesh import Mesh
from tests.gateways import Gateway

G = TypeVar("G", bound=Gateway)
Story = Iterator[float]
DEAD_S = 4.0  # until everybody knows that a gateway is dead: 3 s, and some


@dataclass(frozen=True)
class Scene:
    """One round's mesh: who has the publishers, who the subscribers; `struck` tells of a blow."""

    mesh: Mesh
    publishers_at: str
    subscribers_at: str
    random: Random
    struck: Callable[[], None]

    @property
    def lan(self) -> Lan:
        assert self.mesh.lan is not None
        return self.mesh.lan

    def kill(self, name: str) -> None:
        self.mesh[name].kill()
        self.struck()

    def start(self, name: str) -> None:
        self.mesh[name].start(wait=False)

    def either(self) -> str:
        """The publishers' gateway or the subscribers'."""
        return self.random.choice((self.publishers_at, self.subscribers_at))

    def special(self, kind: type[G]) -> G:
        """The gateway of that kind among these two."""
        both = (self.mesh[self.publishers_at], self.mesh[self.subscribers_at])
        (found,) = (each for each in both if isinstance(each, kind))
        return found


@dataclass(frozen=True, slots=True)
class Fault:
    """`splits`: who goes from one side to the other may have QoS 2 twice, and out of order. `kind` is of
    the gateway to which it happens, if it must be a special one."""

    name: str
    story: Callable[[Scene], Story]
    splits: bool = False
    loses_a_store: bool = False
    gateways_min: int = 2
    kind: type[Gateway] = Gateway


def _kill_publishers(scene: Scene) -> Story:
    scene.kill(scene.publishers_at)
    yield DEAD_S
    scene.start(scene.publishers_at)


def _kill_subscribers(scene: Scene) -> Story:
    scene.kill(scene.subscribers_at)
    yield DEAD_S
    scene.start(scene.subscribers_at)


def _kill_in_turn(scene: Scene) -> Story:
    for name in (scene.publishers_at, scene.subscribers_at):
        scene.kill(name)
        yield DEAD_S
        scene.start(name)


def _destroy(scene: Scene) -> Story:
    name = scene.either()
    scene.kill(name)
    wipe(scene.mesh[name])
    yield DEAD_S
    scene.start(name)  # with an empty card


def _stop(scene: Scene) -> Story:
    gateway = scene.mesh[scene.either()]
    gateway.send(signal.SIGSTOP)
    scene.struck()
    yield 10.0
    gateway.send(signal.SIGCONT)


def _cut(scene: Scene) -> Story:
    """The cable of one is pulled: nobody reaches it, its clients neither."""
    name = scene.either()
    scene.lan.cut(name)
    scene.struck()
    yield _some_seconds(scene)
    scene.lan.mend(name)


def _one_way(scene: Scene) -> Story:
    """One hears no other gateway, or one of them not; they hear it, and clients reach all."""
    name = scene.either()
    others = [each for each in scene.mesh.names if each != name]
    if scene.random.random() < 0.5:
        others = others[:1]
    yield from _apart(scene, [(name, each) for each in others])


def _partial(scene: Scene) -> Story:
    """The two do not hear each other, and all others hear both."""
    one, other = scene.publishers_at, scene.subscribers_at
    yield from _apart(scene, [(one, other), (other, one)])


def _split(scene: Scene) -> Story:
    """Two halves that do not hear each other; clients reach all of them, and go to and fro."""
    names = scene.random.sample(scene.mesh.names, len(scene.mesh.names))
    few, many = names[: len(names) // 2], names[len(names) // 2 :]
    pairs = [(a, b) for a in few for b in many]
    yield from _apart(scene, [*pairs, *((b, a) for a, b in pairs)])


def _apart(scene: Scene, deaf: list[tuple[str, str]]) -> Story:
    """The first of each pair does not hear the second for a while."""
    for name, other in deaf:
        scene.lan.deafen(name, scene.mesh[other].host)
    scene.struck()
    yield _some_seconds(scene)
    for name, _ in deaf:
        scene.lan.hear(name)


def _full(scene: Scene) -> Story:
    gateway = scene.special(Small)
    gateway.fill()
    scene.struck()
    yield _some_seconds(scene)
    gateway.empty()


def _clock(scene: Scene) -> Story:
    gateway = scene.special(Dated)
    for year in scene.random.sample(range(1970, 2038), 3):
        gateway.set_clock(f"{year}-06-15 12:00:00")
        scene.struck()
        yield 1.5


def _some_seconds(scene: Scene) -> float:
    """Shorter or longer than it takes until a gateway is suspect, or dead."""
    return scene.random.uniform(1.0, 8.0)


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill the publishers'", _kill_publishers),
        Fault("kill the subscribers'", _kill_subscribers),
        Fault("kill both in turn", _kill_in_turn),
        Fault("destroy", _destroy, loses_a_store=True),
        Fault("stop for 10 s", _stop),
        Fault("cut", _cut, splits=True),
        Fault("one-way", _one_way, splits=True),
        Fault("partial", _partial, splits=True, gateways_min=3),
        Fault("split", _split, splits=True),
        Fault("disk full", _full, kind=Small),
        Fault("clock", _clock, kind=Dated),
    )
}
