"""What a broker costs while nothing happens: resident memory, alone and with idle connections."""

import psutil

from bench import wire
from bench.measure import Round
from bench.stream import Address
from bench.wire import Connection

CONNECTIONS = 1000


def memory_mb(pid: int, address: Address) -> Round:
    """Resident megabytes of a broker that has answered one client, ever."""
    connection = Connection(address, "bench-first")
    connection.close()
    return Round(_resident_bytes(pid) / 1e6)


def connection_kb(pid: int, address: Address) -> Round:
    """Kilobytes of resident memory that each of CONNECTIONS idle clients adds."""
    first = Connection(address, "bench-first")
    connections = [first]
    try:
        before = _resident_bytes(pid)
        for index in range(CONNECTIONS):
            connections.append(Connection(address, f"bench-idle-{index:05d}"))
        connections[-1].socket.sendall(wire.PING)
        connections[-1].read_packet()
        return Round((_resident_bytes(pid) - before) / 1e3 / CONNECTIONS)
    finally:
        for connection in connections:
            connection.close()


def _resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)
