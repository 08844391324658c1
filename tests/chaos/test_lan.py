"""The LAN of the chaos tests is one: boxes reach each other, and it leaves nothing behind."""

import os
import subprocess

import pytest

from tests.chaos.lan import PREFIX, Lan, run
from tests.requires import missing, needs

pytestmark = pytest.mark.slow


def reaches(namespace: str, address: str, port: int) -> bool:
    """Whether a TCP connection from a namespace is at least refused, and not lost."""
    script = f"import socket; socket.create_connection(('{address}', {port}), timeout=1)"
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, "python3", "-c", script], capture_output=True, text=True
    )
    return "refused" in done.stderr


def test_boxes_reach_each_other_until_a_cable_is_pulled_and_nothing_stays() -> None:
    needs("ip")
    if os.geteuid() != 0:
        missing("network namespaces need root")
    own = f"{PREFIX}{os.getpid()}"
    with Lan() as lan:
        assert own in run("ip", "netns", "list") and own in run("ip", "-brief", "link")
        one, _ = lan.box("a")
        _, other_address = lan.box("b")
        assert reaches(one, other_address, 1883)
        lan.cut("b")
        assert not reaches(one, other_address, 1883)
        lan.mend("b")
        assert reaches(one, other_address, 1883)
    assert own not in run("ip", "netns", "list") + run("ip", "-brief", "link")
