"""What a gateway says of its disk, asked on its control socket before and after a load.

The protocol is the one of docs/status-json.md. Another broker has no such socket, and no account.
"""

import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.wire import BrokerError

TIMEOUT_S = 10.0
SOCKET_S_MAX = 2.0  # it comes a moment after the port
COPIED_S_MAX = 20.0
NEVER_WRITTEN = "never written, %"
WRITTEN = "bytes a message"
DISKS = "on all disks, bytes a message"


@dataclass(frozen=True, slots=True)
class Account:
    """Counts since the start of the gateway."""

    commits: int
    commit_ms: float  # smoothed
    never_written: int
    written_bytes: int
    shipped_bytes: int  # to the copy at another gateway


def ask(path: Path, command: str) -> Any:
    """The result of a command without arguments. Raises BrokerError."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(TIMEOUT_S)
            line.connect(str(path))
            line.sendall(json.dumps({"command": command}).encode() + b"\n")
            answer = json.loads(line.makefile("rb").readline())
    except (OSError, ValueError) as error:
        raise BrokerError(f"the control socket gave no answer: {error}") from error
    if not answer.get("ok"):
        raise BrokerError(f"{command} was refused: {answer.get('error')}")
    return answer["result"]


def read(path: Path) -> Account | None:
    """The account now; None for a broker that keeps none."""
    if not path.exists():
        return None
    status = ask(path, "status")
    store, copies = status["store"], status["copies"]
    return Account(
        store["commits"],
        store["commit_ms"],
        store["messages_never_written"],
        store["written_bytes"],
        copies["sent_bytes"] if copies else 0,
    )


def wait_for_two_copies(path: Path) -> None:
    """Raises BrokerError if there is one only for too long. A peer that only shovels has no socket."""
    until = time.monotonic() + COPIED_S_MAX
    while not path.exists():
        if time.monotonic() > until - COPIED_S_MAX + SOCKET_S_MAX:
            return
        time.sleep(0.05)
    while ask(path, "status")["copies"]["state"] != "two":
        if time.monotonic() > until:
            why = ask(path, "status")["copies"]["reason"]
            raise BrokerError(f"there is one copy only: {why}")
        time.sleep(0.1)


def shipped(before: Account | None, after: Account | None, published: int) -> float:
    """What each of `published` messages took on the way to the copy, in bytes."""
    if before is None or after is None or not published:
        return 0.0
    return (after.shipped_bytes - before.shipped_bytes) / published


def between(before: Account | None, after: Account | None, published: int) -> dict[str, float]:
    """What `published` messages cost the disk, by name; empty without an account."""
    if before is None or after is None or not published:
        return {}
    commits = after.commits - before.commits
    never = after.never_written - before.never_written
    return {
        NEVER_WRITTEN: 100 * never / published,
        WRITTEN: (after.written_bytes - before.written_bytes) / published,
        "messages a commit": (published - never) / commits if commits else 0.0,
        "ms a commit": after.commit_ms,
    }


def all_between(
    before: Sequence[Account | None], after: Sequence[Account | None], published: int
) -> dict[str, float]:
    """What `published` messages had several gateways write, by name; empty without accounts."""
    pairs = zip(before, after, strict=True)
    accounts = [account for pair in pairs if (account := between(*pair, published))]
    if not accounts:
        return {}
    commits = [each for each in accounts if each["messages a commit"]]
    return {
        DISKS: sum(each[WRITTEN] for each in accounts),
        "ms a commit": max((each["ms a commit"] for each in commits), default=0.0),
    }
