"""What brokers sent each other and gave the disk, as the kernel counts it: the same for every product.

On the wire: the bytes of their TCP connections to each other, both directions, encryption included
and TCP's own headers not. On disk: what their processes had the kernel write, so that a page
counts whole, and a file that is made ahead of its use counts too. Needs ss (iproute2) for the first.
"""

import re
import subprocess
from dataclasses import dataclass

import psutil

from bench.brokers import Running
from bench.wire import BrokerError

SS_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Since the processes and connections began, all of them together."""

    wire_bytes: int
    disk_bytes: int


def read(running: Running) -> Traffic:
    """Raises BrokerError where it cannot be seen."""
    disk = sum(psutil.Process(pid).io_counters().write_bytes for pid in running.pids)
    return Traffic(_sent(running.link_ports), disk)


def a_message(before: Traffic, after: Traffic, published: int) -> dict[str, float]:
    """By name, for each of `published` messages."""
    if not published:
        return {}
    return {
        "on the wire, bytes a message": (after.wire_bytes - before.wire_bytes) / published,
        "on all disks, bytes a message": (after.disk_bytes - before.disk_bytes) / published,
    }


def _sent(ports: tuple[int, ...]) -> int:
    """By both ends of every connection to one of these ports."""
    try:
        done = subprocess.run(
            ["ss", "-tinH"], capture_output=True, text=True, timeout=SS_S_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BrokerError(
            f"what is on the wire cannot be seen (ss, of iproute2): {error}"
        ) from error
    lines = iter(done.stdout.splitlines())
    total = 0
    for names, figures in zip(lines, lines, strict=True):
        if any(re.search(rf":{port}\b", names) for port in ports):
            sent = re.search(r"\bbytes_sent:(\d+)", figures)
            total += int(sent[1]) if sent else 0
    return total
