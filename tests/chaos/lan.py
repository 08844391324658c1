"""A LAN of network namespaces: one bridge, one namespace a box, and this machine as a guest on it.

    namespace gwt<pid>lan: the bridge      namespace gwt<pid>a: a box, eth0 = 198.18.<n>.1
    this machine: interface gwt<pid>, 198.18.<n>.254, which is how the tests reach every box

The bridge has a namespace of its own, so that no firewall of the machine sees what boxes say to
each other. 198.18.0.0/15 is the range for tests of networks; nobody routes it. Names carry the
process id; what a killed run has left behind goes when the next one begins.
"""

import contextlib
import os
import re
import subprocess
from pathlib import Path
from typing import Self

PREFIX = "gwt"
RUN_S_MAX = 20


def run(*words: str) -> str:
    """A command that must succeed; what it wrote."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=RUN_S_MAX)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Lan:
    """Make with `open`, or use as a context manager; `close` takes away every part, always."""

    def __init__(self) -> None:
        self._id = f"{PREFIX}{os.getpid()}"
        self._net = f"198.18.{os.getpid() % 250}"
        self._switch = f"{self._id}lan"
        self._boxes: list[str] = []

    def open(self) -> Self:
        remove_leftovers()
        run("ip", "netns", "add", self._switch)
        self._inside("ip", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
        self._inside("ip", "link", "set", "bridge", "up")
        self._plug("guest", self._id)
        run("ip", "address", "add", f"{self._net}.254/24", "dev", self._id)
        run("ip", "link", "set", self._id, "up")
        return self

    def _inside(self, *words: str) -> None:
        run("ip", "netns", "exec", self._switch, *words)

    def _plug(self, port: str, far_end: str, namespace: str | None = None) -> None:
        """A cable from the bridge's `port` to an interface `far_end` in `namespace`, or here."""
        place = ["netns", namespace] if namespace else ["netns", str(os.getpid())]
        peer = ["peer", "name", far_end, *place]
        self._inside("ip", "link", "add", "name", port, "type", "veth", *peer)
        self._inside("ip", "link", "set", "dev", port, "master", "bridge", "up")

    def box(self, name: str) -> tuple[str, str]:
        """A new box, connected: its namespace and its address."""
        namespace = f"{self._id}{name}"
        self._boxes.append(namespace)
        address = f"{self._net}.{len(self._boxes)}"
        run("ip", "netns", "add", namespace)
        self._plug(name, "eth0", namespace)
        run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        for interface in ("lo", "eth0"):
            run("ip", "-n", namespace, "link", "set", interface, "up")
        return namespace, address

    def cut(self, name: str) -> None:
        """Pull the network cable of a box."""
        self._inside("ip", "link", "set", "dev", name, "down")

    def mend(self, name: str) -> None:
        """Put it back."""
        self._inside("ip", "link", "set", "dev", name, "up")

    def deafen(self, name: str, *addresses: str) -> None:
        """A box does not hear these addresses any more; they hear it."""
        for address in addresses:
            self._filter(name, "-A", "INPUT", "-s", address, "-j", "DROP")

    def hear(self, name: str) -> None:
        """It hears everybody again."""
        self._filter(name, "-F", "INPUT")

    def slow(self, name: str, rate: str) -> None:
        """The cable of a box carries no more than this, each way, and 400 ms of it wait."""
        shape = ("root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms")
        self._inside("tc", "qdisc", "add", "dev", name, *shape)
        run("ip", "netns", "exec", f"{self._id}{name}", "tc", "qdisc", "add", "dev", "eth0", *shape)

    def fast(self, name: str) -> None:
        """As it was."""
        self._inside("tc", "qdisc", "del", "dev", name, "root")
        run("ip", "netns", "exec", f"{self._id}{name}", "tc", "qdisc", "del", "dev", "eth0", "root")

    def _filter(self, name: str, *words: str) -> None:
        run("ip", "netns", "exec", f"{self._id}{name}", "iptables", "-w", *words)

    def close(self) -> None:
        _remove(self._id)

    def __enter__(self) -> Self:
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


def _remove(name: str) -> None:
    """Every namespace whose name begins so; the cables go with the bridge's."""
    for namespace in run("ip", "netns", "list").split():
        if re.fullmatch(rf"{name}[a-z][a-z0-9]*", namespace):
            with contextlib.suppress(OSError):
                run("ip", "netns", "delete", namespace)
    with contextlib.suppress(OSError):
        run("ip", "link", "delete", name)


def remove_leftovers() -> None:
    """What test runs that no longer live have left behind."""
    for namespace in run("ip", "netns", "list").split():
        found = re.fullmatch(rf"({PREFIX}(\d+))[a-z][a-z0-9]*", namespace)
        if found and not Path(f"/proc/{found[2]}").exists():
            _remove(found[1])
