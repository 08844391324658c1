"""Between the broker's journal and the disk: batches out, and what became of them in.

Everything here happens on the loop but the commit itself. Must not know what a record says.
"""

import gc
import logging
import time

from gateway.broker.broker import Broker
from gateway.broker.journal import Batch
from gateway.control import StoreState, StoreStatus
from gateway.shell.disk import StoreFailure
from gateway.shell.durable import DurableStore, Recovered, Report
from gateway.shell.runtime import Runtime

# A rule of thumb, for want of a card that says: consumer cards bear some hundred writes of all they
# hold, and write several times what they are given.
CARD_WRITES = 500
CARD_AMPLIFICATION = 4
LIFE_KNOWN_S = 600.0  # a start writes more than a day like others: not judged before

logger = logging.getLogger("gatewayd")


class Keeper:
    """One broker's disk. `restore` comes first, then `commit` for each batch, `close` at last.

    `notes` is what was amiss with the files at the start, a line each.
    """

    def __init__(self, store: DurableStore) -> None:
        self.store = store
        self.notes: list[str] = []
        self._runtime: Runtime | None = None

    def restore(self, broker: Broker, now: float) -> Recovered:
        """Fills the broker with what the disk has. Raises StoreFailure if the disk cannot be used.

        Of what is returned the batches are used up.
        """
        gc.disable()  # nothing of this is garbage, and looking for some takes half of the time
        try:
            recovered = self.store.recover()
            broker.restore(recovered.rows, recovered.batches, now)
            gc.freeze()  # nor is it looked through while it waits
        finally:
            gc.enable()
        self.notes = recovered.notes
        for note in recovered.notes:
            logger.warning(note)
        return recovered

    def serve(self, runtime: Runtime) -> None:
        """From here on batches may come."""
        self._runtime = runtime

    def commit(self, batch: Batch) -> None:
        """Hands the batch to the writer; the broker hears of it in a later turn."""
        assert self._runtime is not None, "not serving"
        soon, told = self._runtime.loop.call_soon_threadsafe, self._told
        self.store.submit(batch.records, batch.rewrite, lambda outcome: soon(told, outcome))

    def close(self) -> None:
        """Writes what the broker still has, and lets go of the files. Nobody waits any more."""
        assert self._runtime is not None, "not serving"
        journal = self._runtime.node.broker.journal
        last = journal.last()
        if last:
            self.store.commit(last)
        self.store.close()

    def status(self, copies_bytes: int = 0) -> StoreStatus:
        """The disk, for `gwctl status`; `copies_bytes` went to copies of others' stores."""
        assert self._runtime is not None, "not serving"
        vitals = self.store.vitals
        written = vitals.log_written_bytes + vitals.rows_written_bytes + copies_bytes
        up_s = time.monotonic() - vitals.started
        state = StoreState.OK if vitals.state is None else StoreState(vitals.state.value)
        return StoreStatus(
            state,
            vitals.commits,
            round(vitals.smoothed_ms, 2),
            self._runtime.node.broker.journal.never_written,
            written,
            vitals.written_total_bytes + written,
            vitals.log_bytes,
            vitals.free_bytes,
            _card_life_days(written, up_s, vitals.disk_bytes),
        )

    def _told(self, outcome: Report | StoreFailure) -> None:
        assert self._runtime is not None, "not serving"
        broker, now = self._runtime.node.broker, self._runtime.now()
        if isinstance(outcome, Report):
            broker.committed(outcome.seconds, outcome.rewrite, now, outcome.refusing)
        else:
            broker.commit_failed(str(outcome), now)
        self._runtime.schedule()


def _card_life_days(written_bytes: int, up_s: float, disk_bytes: int) -> float | None:
    if up_s < LIFE_KNOWN_S or not written_bytes:
        return None
    day_bytes = written_bytes / up_s * 86_400 * CARD_AMPLIFICATION
    return min(round(disk_bytes * CARD_WRITES / day_bytes, 1), 36_500.0)
