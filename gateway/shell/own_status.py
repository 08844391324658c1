"""How this gateway stands: measured each second, told to the others, and shown to who asks.

Must not know how it is shown.
"""

import asyncio
import time
from collections.abc import Callable

from gateway import __version__
from gateway.config import Config
from gateway.control import ProblemStatus, Severity, Status, StoreStatus
from gateway.mesh.frames import Vitals
from gateway.report import Reporter
from gateway.shell import set_aside
from gateway.shell.hardware import Measures, addresses, is_every_address, measure
from gateway.shell.renewal import Renewal
from gateway.shell.runtime import Runtime

MEASURE_S = 1.0


class OwnStatus:
    """`notes` say what was amiss with the files at the start; `store` is asked for the disk's state."""

    def __init__(
        self,
        config: Config,
        gateway: str,
        runtime: Runtime,
        store: Callable[[], StoreStatus],
        notes: Callable[[], list[str]],
    ) -> None:
        self._config, self._runtime, self._node = config, runtime, runtime.node
        self._reporter = Reporter(self._node, config.gateway.name, gateway, __version__)
        self._store = store
        self._notes = notes
        self._started = time.monotonic()
        self._measures: Measures | None = None
        self._set_aside: list[str] = []
        self._address = config.gateway.advertise or config.gateway.address

    async def measuring(self) -> None:
        """Looks at the box again and again, until it is cancelled."""
        changes = is_every_address(self._address)
        state_dir, mesh = self._config.gateway.state_dir, self._node.mesh
        while True:
            self._measures = await asyncio.to_thread(measure, state_dir)
            self._set_aside = await asyncio.to_thread(set_aside.names, state_dir)
            if changes:  # which address that is may change while we run
                self._address = (await asyncio.to_thread(addresses) or [self._address])[0]
            if mesh is not None:
                mesh.measured(self._vitals(), self._runtime.now())
                self._runtime.schedule()
            await asyncio.sleep(MEASURE_S)

    def status(self, renewal: Renewal | None) -> Status:
        """The whole document; `renewal` is of what clients are shown by TLS."""
        state_dir = self._config.gateway.state_dir
        found = self._found_at_the_start()
        earlier = set_aside.untold(self._set_aside, [problem.text for problem in found])
        problems = [*found, *set_aside.problems(earlier, state_dir)]
        tls = None
        if renewal is not None:
            tls = renewal.status()
            problems += renewal.problems()
        now = self._runtime.now()
        return self._reporter.status(
            self._vitals(), self._address, now, self._store(), tls, problems
        )

    def _vitals(self) -> Vitals:
        broker = self._node.broker
        return Vitals(
            time.monotonic() - self._started,
            broker.clients(),
            broker.vitals.messages_in_per_s,
            broker.vitals.messages_out_per_s,
            broker.waiting(),
            *(self._measures or (None, None, None, None)),
        )

    def _found_at_the_start(self) -> list[ProblemStatus]:
        """What was amiss with the files, until the next start: from then on `set_aside` names them."""
        remedy = f"nothing is deleted; see {self._config.gateway.state_dir}, and docs/operating.md"
        return [ProblemStatus(Severity.WARNING, note, remedy) for note in self._notes()]
