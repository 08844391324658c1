"""What the tables of 100,000 sessions at 32 gateways take in memory, on each of them.

Run as a program it prints megabytes, a line each: python -m bench.tables. In a process of its own,
so that nothing else is weighed.
"""

import resource
import subprocess
import sys

from bench.measure import Round
from bench.wire import BrokerError
from gateway.broker.elsewhere import Nowhere
from gateway.broker.journal import Journal
from gateway.broker.registry import Entry, Registry, _encode
from gateway.ids import Stamp
from gateway.mesh.frames import Interest
from gateway.mesh.interest import PeersInterest
from gateway.mesh.peer import Peer
from gateway.table import Row

SESSIONS = 100_000
GATEWAYS = 32
CHILD_S_MAX = 120.0


def weigh() -> Round:
    """Megabytes of all; the details are its parts."""
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_S_MAX)
    if done.returncode:
        raise BrokerError(f"the tables could not be made: {done.stderr}")
    parts = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    details = {f"{name}, MB": float(value) for name, value in parts.items()}
    return Round(sum(details.values()), details=details)


def measure() -> dict[str, float]:
    """Megabytes of resident memory: registry, who is connected, what they subscribe to."""
    names = [f"{number:016x}" for number in range(GATEWAYS)]
    peers = [Peer(name, name) for name in names]
    before = _resident_mb()
    registry = Registry(names[0], Nowhere(), Journal())
    for number in range(SESSIONS):
        stamp = Stamp(1_000_000_000 + number, 0, names[number % GATEWAYS])
        filters = [(f"site/device-{number:06d}/command", 1, 0), ("site/all", 0, 0)]
        entry = Entry(stamp.gateway, "device", 3, stamp.time_ms << 14, 604_800.0, filters)
        registry.take([(f"device-{number:06d}", Row(stamp, stamp, _encode(entry)))])
    rows = _resident_mb()
    for number in range(SESSIONS):
        peer = peers[number % GATEWAYS]
        peer.clients[f"device-{number:06d}"] = Stamp(1_000_000_000 + number, 0, peer.gateway)
    clients = _resident_mb()
    interest = PeersInterest()
    for number in range(SESSIONS):
        added = [f"site/device-{number:06d}/command"]
        interest.apply(peers[number % GATEWAYS], Interest(1, False, added, []))
    ends = _resident_mb()
    return {"registry": rows - before, "clients": clients - rows, "interest": ends - clients}


def _resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


if __name__ == "__main__":
    for name, megabytes in measure().items():
        print(f"{name} {megabytes:.1f}")
