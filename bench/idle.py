"""What a broker costs while nothing happens: memory, alone and with idle connections.

The figure is the resident memory of the process (RSS), which counts every page of a shared library in
full. Beside it, where the system says so: PSS, which shares them between the processes that use them,
and USS, which leaves them out. The kernel's socket buffers are in none of them.
"""

import time

import psutil

from bench import wire
from bench.measure import Round
from bench.stream import Address
from bench.wire import BrokerError, Connection

CONNECTIONS = 1000
MANY = 10_000
SETTLE_TIMEOUT_S = 10.0
SETTLED_S = 1.0  # as long without a change: what is loaded after the start is loaded


def memory_mb(pid: int, address: Address) -> Round:
    """Resident megabytes of a broker that has answered one client, ever."""
    Connection(address, "bench-first").close()
    return _settled(pid)


def subscribed_mb(pid: int, address: Address, clients: int = MANY) -> Round:
    """Resident megabytes with so many connected clients, each with a subscription of its own."""
    connections = []
    try:
        for number in range(clients):
            connections.append(Connection(address, f"bench-idle-{number:05d}"))
            connections[-1].subscribe(f"idle/{number:05d}", 0)
        return _settled(pid)
    except OSError as error:
        at = len(connections)
        raise BrokerError(f"client {at:,} could not connect: {error.strerror}") from error
    finally:
        for connection in connections:
            connection.close()


def connection_kb(pid: int, address: Address) -> Round:
    """Kilobytes of resident memory that each of CONNECTIONS idle clients adds."""
    connections = [Connection(address, "bench-first")]
    try:
        before = _settled(pid).value
        for index in range(CONNECTIONS):
            connections.append(Connection(address, f"bench-idle-{index:05d}"))
        connections[-1].socket.sendall(wire.PING)
        connections[-1].read_packet()
        return Round((_resident_mb(pid) - before) * 1e3 / CONNECTIONS)
    finally:
        for connection in connections:
            connection.close()


def _settled(pid: int) -> Round:
    """The memory, once it no longer changes."""
    end = time.monotonic() + SETTLE_TIMEOUT_S
    value, since = _resident_mb(pid), time.monotonic()
    while (now := time.monotonic()) < min(end, since + SETTLED_S):
        time.sleep(SETTLED_S / 10)
        if (current := _resident_mb(pid)) != value:
            value, since = current, now
    memory = psutil.Process(pid).memory_full_info()
    return Round(value, details={"PSS, MB": memory.pss / 1e6, "USS, MB": memory.uss / 1e6})


def _resident_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 1e6)
