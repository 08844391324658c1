"""gatewayd: the broker and the mesh of one gateway as a process.

Puts the shells together in the order in which they are needed: configuration, state directory, MQTT
port, link port, control socket, mDNS. What takes long or much memory to load (certificates, links, mDNS)
is loaded where it is needed: a gateway alone has no links. Must not know what any of them does inside.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
import ssl
import sys
import time
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

import uvloop

from gateway import __version__
from gateway.board import serial_number
from gateway.config import Config, ConfigError
from gateway.config_document import to_document as config_document
from gateway.config_loader import DEFAULT_PATH, load_config
from gateway.control import StoreStatus, to_document
from gateway.control_commands import CONFIG, STATUS
from gateway.effects import Dial, Save, SaveKeys
from gateway.ids import gateway_id
from gateway.node import Node
from gateway.notify import log_to_stderr, notify, watchdog_interval_s
from gateway.shell.accounts import Accounts
from gateway.shell.alone import register as register_alone
from gateway.shell.announcing import Announcing
from gateway.shell.certificate import CertificateError, faults
from gateway.shell.commands import Commands
from gateway.shell.control_socket import ControlSocket
from gateway.shell.disk import Disk, StoreFailure
from gateway.shell.doors import DoorError, Doors, cannot_listen
from gateway.shell.durable import DurableStore, Settings
from gateway.shell.handed_over import HandedOver
from gateway.shell.hardware import addresses, is_every_address
from gateway.shell.keeper import Keeper
from gateway.shell.log_ring import LogRing
from gateway.shell.look import register as register_look
from gateway.shell.own_status import OwnStatus
from gateway.shell.passwords import Checker
from gateway.shell.people import register as register_people
from gateway.shell.places import places, tls_ports
from gateway.shell.renewal import Renewal
from gateway.shell.runtime import Runtime
from gateway.shell.store import Store, StoreError
from gateway.shell.watch import register as register_watch

if TYPE_CHECKING:
    from gateway.shell.in_mesh import InMesh
    from gateway.shell.metrics import MetricsServer

FINISH_MAX_S = 2.0  # that a planned stop waits for the disk and the copy
FINISH_STEP_S = 0.005
ACCOUNTS_S = 10.0  # how often the state file is brought up to date with the users
CERTIFICATES_S = 2.0  # from one look at their files to the next

logger = logging.getLogger("gatewayd")


class Daemon:
    """One running gateway."""

    def __init__(self, config: Config, file: str, handed_over: HandedOver, disk: Disk) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._log = LogRing()
        logging.getLogger().addHandler(self._log)
        self._gateway = gateway_id(config.gateway.serial_number or serial_number())
        self._mesh = self._in_mesh()
        self._store = Store(config.gateway.state_dir, self._gateway)
        for note in self._store.notes:
            logger.warning(note)
        identity = None if self._mesh is None else self._mesh.know(self._store)
        kept = self._store.kept
        now = time.monotonic()
        self.node = Node(
            config.mqtt,
            identity,
            SystemRandom(),
            now,
            kept.mesh_time_ms,
            kept.members,
            self._gateway,
            kept.boot,
            kept.stand_in,
            config.durability,
        )
        if self.node.mesh is not None and self._mesh is not None:
            self.node.mesh.recall(self._mesh.keys.keyring, kept.rows, kept.dead_s)
        settings = Settings(self._gateway, config.storage.free_bytes_min)
        self._keeper = Keeper(DurableStore(config.gateway.state_dir, settings, disk))
        self._accounts = Accounts(self._store)
        found = self._keeper.restore(self.node.broker, now)
        self.node.found(found.store, found.number, not found.notes)
        self.node.broker.admission.adopt(self._accounts.news(self.node.broker.people), now)
        self._runtime = Runtime(self.node, self._dial, self._save, self._keeper.commit)
        self._keeper.serve(self._runtime)
        self._checker = Checker(self._checked)
        self._runtime.check_password = self._checker.check
        self._status = OwnStatus(
            config, self._gateway, self._runtime, self._store_status, self._notes
        )
        self._announcing = Announcing(config, self._gateway, kept.store, self._mesh, self._runtime)
        self.commands = Commands()
        self.commands.answer(STATUS, lambda _: to_document(self._status.status(self._renewal)))
        self.commands.answer(CONFIG, lambda _: {"file": file} | config_document(config))
        register_look(self.commands, self._runtime, config.gateway.name)
        register_watch(self.commands, self._runtime, config.gateway.name)
        self._log.register(self.commands)
        register_people(self.commands, self._runtime)
        if self._mesh is None:
            register_alone(self.commands)
        else:
            self._mesh.serve(self._runtime, settings, disk, self.commands)
        self._control = ControlSocket(config.gateway.control_socket, self.commands)
        self._metrics: MetricsServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._doors = Doors(handed_over)
        self._renewal: Renewal | None = None

    async def start(self) -> None:
        """Opens everything. Raises DoorError or CertificateError; then `stop` must follow."""
        gateway, mqtt, cluster = self._config.gateway, self._config.mqtt, self._config.cluster
        if tls_ports(self._config):
            self._renewal = self._certificates()
        problems = self._doors.bind(places(self._config, self._runtime, self._context))
        if cluster is not None and self._mesh is not None:
            place = (gateway.address, cluster.link_port)
            problems += await _tried("cluster.link_port", place, self._mesh.listen())
        if self._config.metrics.port:
            metrics = self._config.metrics
            place = (metrics.address, metrics.port)
            problems += await _tried("metrics.port", place, self._serve_metrics())
        place = (gateway.control_socket, 0)
        problems += await _tried("gateway.control_socket", place, self._control.listen())
        if problems:
            raise DoorError(problems)
        await self._doors.serve(mqtt.unauthenticated_max)
        self._runtime.start()
        self._begin(self._status.measuring())
        self._begin(self._announcing.run())
        self._begin(self._writing_accounts())
        if self._renewal is not None:
            self._begin(self._renewing(self._renewal))
        interval_s = watchdog_interval_s()
        if interval_s is not None:
            self._begin(_watchdog(interval_s))
        notify("READY=1")
        mesh = f"cluster {cluster.name!r}" if cluster is not None else "alone"
        logger.info(
            "%s (%s) serves MQTT on %s:%d, %s",
            *(gateway.name, self._gateway, gateway.address, mqtt.port, mesh),
        )

    async def stop(self) -> None:
        """A planned stop: everybody is told, then everything is closed."""
        notify("STOPPING=1")
        self._doors.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runtime.stop()
        await self._finish()
        self._runtime.turn()
        if self._mesh is not None:
            await self._mesh.close_links()
        await self._control.close()
        if self._metrics is not None:
            await self._metrics.close()
        await asyncio.sleep(0)  # what was written last leaves with this turn of the loop
        await self._write_accounts()
        await self._loop.run_in_executor(None, self._checker.close)
        await self._loop.run_in_executor(None, self._keeper.close)
        if self._mesh is not None:
            await self._loop.run_in_executor(None, self._mesh.close_copies)
        await self._loop.run_in_executor(None, self._store.close)
        logging.getLogger().removeHandler(self._log)

    async def _finish(self) -> None:
        """Clients are told; what is left goes to the disk and to the copy, and then the others are told.

        So after a planned stop both are at the same place, and nothing is copied again.
        """
        node, until = self.node, time.monotonic() + FINISH_MAX_S
        node.stop(time.monotonic())
        while node.broker.journal.hasten() and time.monotonic() < until:
            self._runtime.turn()
            await asyncio.sleep(FINISH_STEP_S)
            node.wake(time.monotonic())
        node.leave(time.monotonic())

    def _in_mesh(self) -> InMesh | None:
        if self._config.cluster is None:
            return None
        from gateway.shell.in_mesh import InMesh

        return InMesh(self._config, self._config.cluster, self._gateway)

    def _notes(self) -> list[str]:
        """What was amiss with the files at the start."""
        keys = [] if self._mesh is None else self._mesh.keys.notes
        return [*self._store.notes, *self._keeper.notes, *keys]

    def _store_status(self) -> StoreStatus:
        return self._keeper.status(0 if self._mesh is None else self._mesh.written_bytes())

    def _dial(self, effect: Dial) -> None:
        assert self._mesh is not None, "a gateway that stands alone dials nobody"
        self._mesh.dial(effect)

    def _certificates(self) -> Renewal:
        gateway = self._config.gateway
        names = (gateway.name, f"{gateway.name}.local", "localhost")
        renewal = Renewal(self._config.tls, gateway.state_dir, names, self._own_addresses())
        on = " and ".join(str(port) for port in tls_ports(self._config))
        logger.info("TLS on port %s, certificate SHA-256 %s", on, renewal.sha256)
        return renewal

    def _context(self) -> ssl.SSLContext:
        assert self._renewal is not None, "a port with TLS has certificates"
        return self._renewal.context

    def reload(self) -> None:
        """Loads the certificates again, because the operator says so."""
        if self._renewal is not None:
            renewal = self._renewal
            self._begin(asyncio.to_thread(renewal.look, True))

    async def _renewing(self, renewal: Renewal) -> None:
        while True:
            await asyncio.sleep(CERTIFICATES_S)
            await asyncio.to_thread(renewal.look)

    async def _serve_metrics(self) -> None:
        from gateway.metrics import exposition
        from gateway.shell.metrics import MetricsServer

        metrics = self._config.metrics
        self._metrics = MetricsServer(
            lambda: exposition(self._status.status(self._renewal), self.node.broker)
        )
        await self._metrics.listen(metrics.address, metrics.port)
        logger.info("metrics on http://%s:%d/metrics", metrics.address, metrics.port)

    def _own_addresses(self) -> list[str]:
        """What clients may dial, for the certificate."""
        gateway = self._config.gateway
        own = addresses() if is_every_address(gateway.address) else [gateway.address]
        return list(dict.fromkeys([*own, *filter(None, [gateway.advertise]), "127.0.0.1"]))

    def _save(self, effect: Save) -> None:
        def check(done: asyncio.Future[None]) -> None:
            if done.cancelled():
                return
            if done.exception() is not None:
                logger.error("the state directory cannot be written: %s", done.exception())
            elif isinstance(effect, SaveKeys):
                self._keys_saved(effect)

        if isinstance(effect, SaveKeys):
            assert self._mesh is not None, "a gateway that stands alone has no keys"
            written = self._mesh.write_keys(effect)
        else:
            written = self._store.save(effect)
        asyncio.wrap_future(written).add_done_callback(check)

    def _keys_saved(self, effect: SaveKeys) -> None:
        assert self._mesh is not None
        self._mesh.keys_saved(effect)
        self._announcing.keys_changed()
        self._runtime.schedule()

    def _checked(self, token: int, right: bool) -> None:
        def tell() -> None:
            self.node.broker.checked(token, right, self._runtime.now())
            self._runtime.schedule()

        self._loop.call_soon_threadsafe(tell)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_ended)

    async def _writing_accounts(self) -> None:
        while True:
            await asyncio.sleep(ACCOUNTS_S)
            await self._write_accounts()

    async def _write_accounts(self) -> None:
        people = self.node.broker.people
        root = people.table.root()
        if root == self._accounts.root:
            return
        try:
            await asyncio.to_thread(self._accounts.save, people.users, people.rules, root)
        except sqlite3.Error as error:
            logger.error("the users cannot be written to the state file: %s", error)


async def _tried(key: str, place: tuple[str, int], opening: Awaitable[None]) -> list[str]:
    """What is wrong with something else that listens."""
    address, port = place
    try:
        await opening
    except OSError as error:
        return [cannot_listen(key, f"{address}:{port}" if port else address, port, error)]
    return []


def _ended(task: asyncio.Task[None]) -> None:
    """A part of the daemon must not die in silence."""
    if not task.cancelled() and task.exception() is not None:
        logger.error("a part of gatewayd failed", exc_info=task.exception())


async def _watchdog(interval_s: float) -> None:
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)


async def _run(config: Config, file: str, handed_over: HandedOver, disk: Disk) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to load again
    try:
        daemon = Daemon(config, file, handed_over, disk)
    except (StoreError, StoreFailure) as error:
        logger.error("%s", error)
        return 1
    try:
        await daemon.start()
    except (DoorError, CertificateError, OSError) as error:
        for problem in error.problems if isinstance(error, DoorError) else [error]:
            logger.error("cannot start: %s", problem)
        await daemon.stop()
        return 1
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    await stopping.wait()
    logger.info("stopping")
    await daemon.stop()
    return 0


def _arguments(words: Sequence[str]) -> tuple[str, bool]:
    """The configuration's file, and whether it is to be checked only."""
    if len(words) == 2 and words[0] == "--config":
        return words[1], False  # as it is started on a box: what reads the rest takes 0.3 MB
    import argparse

    parser = argparse.ArgumentParser(prog="gatewayd", description="The MQTT gateway's daemon.")
    parser.add_argument(
        "--config", default=DEFAULT_PATH, metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--check", action="store_true", help="check the configuration and end")
    parser.add_argument("--version", action="version", version=f"gatewayd {__version__}")
    options = parser.parse_args(words)
    return options.config, options.check


def main(arguments: Sequence[str] | None = None, disk: Disk | None = None) -> int:
    """Exit status 0 after a planned stop, 1 when something could not be had, 2 for bad input.

    `disk` is for the bench, whose disks are slow.
    """
    file, only_check = _arguments(sys.argv[1:] if arguments is None else arguments)
    handed_over = HandedOver()
    try:
        config = load_config(file, faults)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if only_check:
        print(f"{file}: correct")
        return 0
    log_to_stderr(config.gateway.log_level)
    handed_over.hold()
    return uvloop.run(_run(config, str(Path(file).absolute()), handed_over, disk or Disk()))


if __name__ == "__main__":
    sys.exit(main())
