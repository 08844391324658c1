"""The commands that take this gateway out of service, one of the mesh at a time, and back in.

    drain     waits for the mesh's lock, and until others have all that is here; then sends clients away
    reboot    drains, then asks systemd for it: by a file that gateway-reboot.path looks for
    undrain   clients may come in again, and another gateway may have the lock

Who hangs up while it waits wants the lock no more. Must not know how the lock is had, or clients sent
away.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from gateway.control_lines import ControlError, Document
from gateway.mesh.mesh import Mesh
from gateway.shell.commands import Commands
from gateway.shell.runtime import Runtime
from gateway.wording import several

LOOK_S = 0.2
REBOOT_S = 30.0  # for systemd to take notice, and to stop this process
WISH = "reboot"  # beside the control socket

logger = logging.getLogger("gatewayd")


def register(commands: Commands, runtime: Runtime, runtime_directory: Path) -> None:
    """Adds these commands, of a gateway that has a mesh."""
    mesh = runtime.node.mesh
    assert mesh is not None
    service = _Service(runtime, mesh, runtime_directory / WISH)
    commands.stream("drain", service.drain)
    commands.stream("reboot", service.reboot)
    commands.answer("undrain", service.undrain)


class _Service:
    def __init__(self, runtime: Runtime, mesh: Mesh, wish: Path) -> None:
        self._runtime = runtime
        self._mesh = mesh
        self._broker = runtime.node.broker
        self._wish = wish
        self._busy = False

    def drain(self, given: Document) -> AsyncGenerator[Document, None]:
        self._check()
        return self._drain("drain", given["force"])

    def reboot(self, given: Document) -> AsyncGenerator[Document, None]:
        self._check()
        return self._reboot(given["force"])

    def undrain(self, _: Document) -> Document:
        if not self._broker.drained():
            raise ControlError("this gateway is in service", "gwctl drain takes it out")
        self._back()
        return {"done": "clients may come in again"}

    def _check(self) -> None:
        if self._busy or self._broker.drained():
            raise ControlError("this gateway is out of service, or is to be", "see: gwctl status")

    async def _drain(self, why: str, force: bool) -> AsyncGenerator[Document, None]:
        if self._busy:
            return  # somebody else was quicker
        self._busy = True
        logger.info("gwctl %s: wants to take this gateway out of service", why)
        self._mesh.operating.want_lock(why, self._runtime.now())
        self._runtime.schedule()
        try:
            said = ""
            while waits := self._waits_for(force):
                if waits != said:
                    said = waits
                    yield {"state": "waits", "text": f"waits for {waits}"}
                await asyncio.sleep(LOOK_S)
            self._broker.drain_clients(self._mesh.operating.doors, self._runtime.now())
            self._runtime.schedule()
        finally:
            self._busy = False
            if not self._broker.drained():
                self._give_up()
        clients = -1
        while self._broker.drained() and self._broker.clients():
            if self._broker.clients() != clients:
                clients = self._broker.clients()
                yield {"state": "drains", "text": several(clients, "client[s] [is|are] here")}
            await asyncio.sleep(LOOK_S)
        if self._broker.drained():
            logger.info("gwctl %s: no client is left", why)
            text = "no client is left; clients may come in again with: gwctl undrain"
            yield {"state": "drained", "text": text}
        else:
            yield {"state": "undrained", "text": "somebody had clients come in again"}

    async def _reboot(self, force: bool) -> AsyncGenerator[Document, None]:
        async with aclosing(self._drain("reboot", force)) as steps:
            async for document in steps:
                yield document
        if not self._broker.drained():
            return
        try:
            self._wish.touch(0o600, exist_ok=False)
        except OSError as error:
            yield {"state": "failed", "text": f"{self._wish} cannot be made: {error.strerror}"}
            self._back()
            return
        yield {"state": "reboots", "text": "asks systemd to reboot this box"}
        await asyncio.sleep(REBOOT_S)
        self._wish.unlink(missing_ok=True)
        self._back()
        text = "nobody rebooted this box, and clients may come in again;"
        yield {"state": "failed", "text": f"{text} see: systemctl status gateway-reboot.path"}

    def _waits_for(self, force: bool) -> str:
        if force:
            return ""
        waits = self._mesh.operating.lock_waits_for()
        if not waits and self._mesh.operating.would_be_missed():
            waits = ["another gateway that has what this one has"]
        return ", ".join(waits)

    def _back(self) -> None:
        self._broker.undrain_clients()
        self._give_up()

    def _give_up(self) -> None:
        self._mesh.operating.give_lock_up(self._runtime.now())
        self._runtime.schedule()
