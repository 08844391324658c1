"""How long clients wait, on a LAN of three real gateways:

    .venv/bin/python -m tests.chaos.measure [--times 5]

    killed     from kill -9 of a gateway with 50 connected clients until the last of them has, from
               another gateway, a message that was published behind the kill
    moved      from CONNECT at one gateway until a session with 10,000 messages at another one, which
               lives, is there: CONNACK, and the last message, each acknowledged (QoS 1)
    promoted   the same, when its gateway was killed just before, from the copy

Needs root, for the namespaces. Knows no fault but this one; `loop.py` has them all.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.lan import Lan
from tests.chaos.loop import COPIED_S_MAX, is_whole
from tests.chaos.mesh import Mesh
from tests.gateways import wait_until
from tests.numbered.numbers import Publisher, Subscriber
from tests.numbered.peer import Address, Habits

CLIENTS = 50
QUEUED = 10_000
PATIENCE_S = 2.0
WAIT_S_MAX = 60.0
PACE_S = 0.01  # between two messages of the publisher


class Site:
    """Three gateways, and names for what begins on them."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._serial = 0

    def name(self) -> str:
        self._serial += 1
        return f"m{self._serial}"

    def door(self, name: str) -> Address:
        return self.mesh[name].host, self.mesh[name].port

    def settle(self) -> None:
        """All live, and have two copies."""
        self.mesh.settle()
        wait_until(lambda: is_whole(self.mesh), "two copies of everything", COPIED_S_MAX)


def killed_s(site: Site) -> float:
    """Seconds until the last client is served elsewhere."""
    site.settle()
    below = site.name()
    habits = Habits((site.door("gw2"), site.door("gw3")), PATIENCE_S)
    readers = [
        Subscriber(site.door("gw1"), f"{below}-{n}", 1, f"{below}/#", habits=habits)
        for n in range(CLIENTS)
    ]
    writer = Publisher(site.door("gw2"), f"{below}-writer", 1, below)
    for reader in readers:
        reader.start()
    wait_until(lambda: all(each.subscribed for each in readers), "SUBACK", WAIT_S_MAX)
    writer.start()
    writer.number_max = 1
    wait_until(lambda: all(each.came for each in readers), "the first message", WAIT_S_MAX)
    site.mesh["gw1"].kill()
    killed_at, said = time.monotonic(), writer.number

    def served() -> bool:
        writer.number_max = said + int((time.monotonic() - killed_at) / PACE_S)
        return all(each.came[writer.topic][-1] > said for each in readers)

    wait_until(served, "everybody is served elsewhere", WAIT_S_MAX)
    took_s = time.monotonic() - killed_at
    for each in (*readers, writer):
        each.end()
        assert not each.lost_sessions, each.client_id
    return took_s


def resumed_s(site: Site, before: Callable[[], None]) -> tuple[float, float]:
    """Seconds until CONNACK, and until the last message, at gw2; the session was left at gw1."""
    site.settle()
    below = site.name()
    reader = Subscriber(site.door("gw1"), f"{below}-reader", 1, f"{below}/#")
    reader.start()
    wait_until(lambda: reader.subscribed, "SUBACK", WAIT_S_MAX)
    reader.end()
    writer = Publisher(site.door("gw3"), f"{below}-writer", 1, below, window=200)
    writer.number_max = QUEUED
    writer.start()
    wait_until(lambda: len(writer.acknowledged) == QUEUED, "all are acknowledged", WAIT_S_MAX)
    writer.end()
    site.settle()
    before()
    back = Subscriber(site.door("gw2"), reader.client_id, 1, reader.topic_filter)
    back.follow(reader)
    begun_at = time.monotonic()
    back.start()
    wait_until(lambda: back.connections > 1, "CONNACK", WAIT_S_MAX)
    connack_s = time.monotonic() - begun_at
    wait_until(lambda: len(back.came.get(writer.topic, ())) >= QUEUED, "all messages", WAIT_S_MAX)
    took_s = time.monotonic() - begun_at
    back.end()
    assert back.came[writer.topic] == list(range(1, QUEUED + 1)) and not back.lost_sessions
    return connack_s, took_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    times = range(parser.parse_args().times)
    with tempfile.TemporaryDirectory(prefix="gwt") as name, Lan() as lan:
        mesh = Mesh(Path(name), lan)
        try:
            mesh.start()
            site = Site(mesh)
            print(_told(f"killed, {CLIENTS} clients", [killed_s(site) for _ in times]))
            for what, before in (("moved", lambda: None), ("promoted", mesh["gw1"].kill)):
                found = [resumed_s(site, before) for _ in times]
                print(_told(f"{what}, CONNACK", [connack_s for connack_s, _ in found]))
                print(_told(f"{what}, {QUEUED} messages", [took_s for _, took_s in found]))
        finally:
            mesh.close()
    return 0


def _told(what: str, seconds: list[float]) -> str:
    middle = statistics.median(seconds)
    return f"{what:25} median {middle:.2f} s, at most {max(seconds):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
