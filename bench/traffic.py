"""What brokers sent each other, and how much their files grew: the same for every product.

On the wire: the bytes of their TCP connections to each other, both directions, encryption included
and TCP's own headers not. In files: the blocks that are taken, not how often they were written; a
gateway reserves 8 MB at a time, and has an account that is better. Needs ss (iproute2).
"""

import contextlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.account import DISKS
from bench.brokers import Running
from bench.wire import BrokerError

WIRE = "on the wire, bytes a message"

SS_S_MAX = 5.0
BLOCK_BYTES = 512  # of st_blocks, whatever the file system's are


@dataclass(frozen=True, slots=True)
class Traffic:
    """So far, all brokers together."""

    wire_bytes: int
    file_bytes: int


def read(running: Running) -> Traffic:
    """Raises BrokerError where it cannot be seen."""
    return Traffic(_sent(running.link_ports), _taken(running.folder))


def a_message(before: Traffic, after: Traffic, published: int) -> dict[str, float]:
    """By name, for each of `published` messages."""
    if not published:
        return {}
    return {
        WIRE: (after.wire_bytes - before.wire_bytes) / published,
        DISKS: (after.file_bytes - before.file_bytes) / published,
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


def _taken(folder: Path) -> int:
    """A file that goes while this looks was on its way out."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.lstat().st_blocks * BLOCK_BYTES
    return total
