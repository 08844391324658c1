"""The gateway on a disk whose sync takes long: `python -m bench.slow_disk MS STALL_MS --config FILE`.

The same daemon, given another `Disk`: its sync sleeps so many milliseconds in place of the system
call. SIGUSR1 makes one of them stall for STALL_MS more. SQLite syncs by itself, every half
minute, and is as fast as the machine. gatewayd has no switch for any of this.
"""

import dataclasses
import signal
import sys
import threading
import time

from gateway.shell.daemon import main
from gateway.shell.disk import Disk


def slow_disk(sync_s: float, stall_s: float) -> Disk:
    """A disk of that speed; SIGUSR1 stalls it from now on. Call it on the main thread."""
    stalling = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: stalling.set())

    def sync(_: int) -> None:
        more_s = stall_s if stalling.is_set() else 0.0
        stalling.clear()
        time.sleep(sync_s + more_s)

    return dataclasses.replace(Disk(), fdatasync=sync, fsync=sync)


if __name__ == "__main__":
    sync_ms, stall_ms = map(float, sys.argv[1:3])
    sys.exit(main(sys.argv[3:], slow_disk(sync_ms / 1000, stall_ms / 1000)))
