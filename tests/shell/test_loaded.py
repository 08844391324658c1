"""What gatewayd loads before it serves: it counts for memory, and for the start."""

import subprocess
import sys
from pathlib import Path

from tests.gateways import Gateway, free_port

LINKS_ONLY = (
    "cryptography",
    "gateway.mesh.mesh",
    "gateway.mesh.peer",
    "gateway.shell.peers",
    "gateway.shell.tls",
)
AFTER_THE_START = ("zeroconf", "gateway.shell.discovery", "psutil")
FOR_MISTAKES = ("difflib",)
FOR_FEW = ("argparse", "_strptime", "stringprep")


def test_what_links_and_mdns_need_is_not_loaded_with_the_daemon() -> None:
    program = "import sys, gateway.shell.daemon; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "gateway.shell.clients" in said
    assert not {*LINKS_ONLY, *AFTER_THE_START, *FOR_MISTAKES, *FOR_FEW} & set(said)


def test_a_daemon_that_had_its_certificate_made_does_not_hold_the_library(tmp_path: Path) -> None:
    limits: dict[str, object] = {"tls_port": free_port()}
    with Gateway("gw1", "127.0.0.1", tmp_path, port=free_port(), mqtt=limits) as gateway:
        assert (tmp_path / "state" / "server.pem").exists()
        assert gateway._process is not None
        mapped = Path(f"/proc/{gateway._process.pid}/maps").read_text()
    assert "uvloop" in mapped
    assert "cryptography" not in mapped
