"""The loop around a node: inputs go in as they come, and once a turn what stands in it goes out.

A turn is what the event loop reads from all sockets before it comes back: messages of many clients
leave in one write a connection. Must not know what the bytes say.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.broker.outbox import Outbox
from gateway.effects import Dial, Effect, Note, SaveMember, SaveMeshTime
from gateway.mesh.link import Link
from gateway.node import Node

WAKE_MAX_S = 0.1  # how late a deadline that was set meanwhile may be noticed

logger = logging.getLogger("gatewayd")
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Runtime:
    """One node on one event loop.

    `dial` opens links and `save` puts what must survive on disk; both return at once.
    """

    now = staticmethod(time.monotonic)  # monotonic seconds

    def __init__(
        self,
        node: Node,
        dial: Callable[[Dial], None],
        save: Callable[[SaveMember | SaveMeshTime], None],
    ) -> None:
        self.node = node
        self.loop = asyncio.get_running_loop()
        self._dial = dial
        self._save = save
        self.scheduled = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to wake the node at its deadlines."""
        self._wake()

    def schedule(self) -> None:
        """Something was put into the node: a turn ends when the loop has read what there is."""
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.turn)

    def turn(self) -> None:
        """Writes what stands in the node, and does what it asks."""
        self.scheduled = False
        outboxes, links, effects = self.node.drain()
        for effect in effects:
            self._do(effect)
        machines: list[Outbox | Link] = [*outboxes, *links]
        for machine in machines:
            owner = machine.owner
            if owner is not None:
                try:
                    owner.flush()
                except Exception:  # one connection's trouble must not keep the others waiting
                    logger.exception("a connection could not be written")

    def stop(self) -> None:
        """No more wakes."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        now = self.now()
        delay_s = WAKE_MAX_S
        try:
            if self.node.deadline() <= now:
                self.node.wake(now)
                self.turn()
            delay_s = min(max(self.node.deadline() - now, 0.0), WAKE_MAX_S)
        finally:  # a mistake of ours is logged by the loop, and must not stop the clock
            self._timer = self.loop.call_later(delay_s, self._wake)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Note():
                logger.log(_LEVELS[effect.level], effect.text)
            case Dial():
                self._dial(effect)
            case SaveMember() | SaveMeshTime():
                self._save(effect)
