"""The loop around a node: inputs go in as they come, and once a turn what stands in it goes out.

A turn is what the event loop reads from all sockets before it comes back: messages of many clients
leave in one write a connection. Must not know what the bytes say.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.broker.journal import Batch
from gateway.broker.outbox import Outbox
from gateway.effects import (
    BeginCopy,
    CheckPassword,
    Copies,
    Dial,
    DropCopies,
    Effect,
    FindCopies,
    Note,
    ReadCopy,
    Save,
    WriteCopy,
)
from gateway.node import Node
from gateway.shell.unsent import Unsent
from gateway.timers import FOREVER

if TYPE_CHECKING:
    from gateway.mesh.link import Link

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

    `dial` opens links and `save` puts what must survive on disk; both return at once. So does `commit`,
    whose batch is answered by `Broker.committed` or `Broker.commit_failed`; None: there is no disk.
    """

    now = staticmethod(time.monotonic)  # monotonic seconds

    def __init__(
        self,
        node: Node,
        dial: Callable[[Dial], None],
        save: Callable[[Save], None],
        commit: Callable[[Batch], None] | None = None,
    ) -> None:
        self.node = node
        self.loop = asyncio.get_running_loop()
        self._dial = dial
        self._save = save
        self._commit = commit
        self.check_password: Callable[[CheckPassword], None] | None = None
        self.keep_copy: Callable[[Copies], None] | None = None
        self.scheduled = False
        bytes_max = node.broker.state.settings.unsent_bytes_max
        self.unsent = Unsent(bytes_max, self.now, self.loop.call_later)
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0

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
        self.unsent.turn()
        outboxes, links, effects = self.node.drain()
        if self._commit is not None and self._begin_commit(self._commit):
            links = self.node.links()  # the copy's share stands there by now
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

    def _begin_commit(self, commit: Callable[[Batch], None]) -> bool:
        """Before anything is written: the disk works while the sockets do. Whether there was a batch."""
        journal = self.node.broker.journal
        due = journal.deadline()
        if due == FOREVER:
            return False
        batch = journal.take(self.now())
        if batch is not None:
            commit(batch)
            return True
        if due < self._wake_at and self._timer is not None:
            self._timer.cancel()
            self._sleep(due)
        return False

    def stop(self) -> None:
        """No more wakes."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        now = self.now()
        until = now + WAKE_MAX_S
        try:
            if self.node.deadline() <= now:
                self.node.wake(now)
                self.turn()
            until = min(self.node.deadline(), until)
        finally:  # a mistake of ours is logged by the loop, and must not stop the clock
            self._sleep(until)

    def _sleep(self, until: float) -> None:
        self._wake_at = until
        self._timer = self.loop.call_later(max(until - self.now(), 0.0), self._wake)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Note():
                logger.log(_LEVELS[effect.level], effect.text)
            case Dial():
                self._dial(effect)
            case FindCopies() | BeginCopy() | WriteCopy() | DropCopies() | ReadCopy():
                assert self.keep_copy is not None, "nobody keeps copies"
                self.keep_copy(effect)
            case CheckPassword():
                assert self.check_password is not None, "there are users, and nobody to check them"
                self.check_password(effect)
            case _:
                self._save(effect)
