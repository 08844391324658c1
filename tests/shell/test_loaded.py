"""What gatewayd loads before it serves: it counts for memory, and for the start."""

import subprocess
import sys

LINKS_ONLY = ("cryptography", "gateway.shell.peers", "gateway.shell.tls")
AFTER_THE_START = ("zeroconf", "gateway.shell.discovery")


def test_what_links_and_mdns_need_is_not_loaded_with_the_daemon() -> None:
    program = "import sys, gateway.shell.daemon; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "gateway.shell.clients" in said
    assert not {*LINKS_ONLY, *AFTER_THE_START} & set(said)
