"""What is done to the gateways in a round: each fault is a story that stops where time must pass.

A story yields the seconds until it goes on, and ends when everything is mended; `Scene.struck` is called
at the moment of the blow, right behind it. A story must not wait by itself: the clients are looked after
in between.
"""

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from tests.chaos.mesh import Mesh

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

    def kill(self, name: str) -> None:
        self.mesh[name].kill()
        self.struck()

    def start(self, name: str) -> None:
        self.mesh[name].start(wait=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """`splits`: who goes from one side to the other may have QoS 2 twice, and out of order."""

    name: str
    story: Callable[[Scene], Story]
    splits: bool = False
    loses_a_store: bool = False
    gateways_min: int = 2


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
    name = scene.random.choice((scene.publishers_at, scene.subscribers_at))
    scene.kill(name)
    shutil.rmtree(scene.mesh[name].state_dir)
    yield DEAD_S
    scene.start(name)  # with an empty card


def _stop(scene: Scene) -> Story:
    gateway = scene.mesh[scene.random.choice((scene.publishers_at, scene.subscribers_at))]
    gateway.send(signal.SIGSTOP)
    scene.struck()
    yield 10.0
    gateway.send(signal.SIGCONT)


def _cut(scene: Scene) -> Story:
    lan = scene.mesh.lan
    assert lan is not None
    name = scene.random.choice((scene.publishers_at, scene.subscribers_at))
    lan.cut(name)
    scene.struck()
    yield scene.random.uniform(2.0, 8.0)
    lan.mend(name)


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill the publishers'", _kill_publishers),
        Fault("kill the subscribers'", _kill_subscribers),
        Fault("kill both in turn", _kill_in_turn),
        Fault("destroy", _destroy, loses_a_store=True),
        Fault("stop for 10 s", _stop),
        Fault("cut", _cut, splits=True),
    )
}
