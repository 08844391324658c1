"""The .network file in the hands of systemd-networkd, on a wire made for the test."""

import os
import subprocess
from pathlib import Path

import pytest

from gateway.setup.installer import NetworkSection
from gateway.setup.system_files import network_file
from tests.requires import missing, needs

pytestmark = pytest.mark.slow
NETWORKD = Path("/usr/lib/systemd/systemd-networkd")
FIXED = NetworkSection("", "192.168.1.10/24", "192.168.1.1", ("192.168.1.1",))


def brought_up(text: str, waited_for: str, folder: Path) -> tuple[str, str]:
    """What eth0 became, and what networkd had to say."""
    if os.geteuid() != 0:
        missing("only root may make a network of its own")
    if not NETWORKD.exists():
        missing("systemd-networkd is not installed")
    needs("ip")
    file, log = folder / "10-gateway.network", folder / "log"
    file.write_text(text)
    spaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    script = Path(__file__).parent / "network.sh"
    run = subprocess.run(
        [needs("unshare"), *spaces, script, file, log, waited_for],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, log.read_text()


def test_a_fixed_address_is_taken_with_its_router(tmp_path: Path) -> None:
    shown, said = brought_up(network_file(FIXED), "default via", tmp_path)
    assert "inet 192.168.1.10/24 " in shown
    assert "default via 192.168.1.1 " in shown
    assert "gateway.network:" not in said  # where networkd names a line, it complains of it


def test_without_a_word_the_address_comes_by_dhcp(tmp_path: Path) -> None:
    shown, said = brought_up(network_file(NetworkSection()), "dynamic", tmp_path)
    assert "inet 10.61.0." in shown
    assert "dynamic" in shown
    assert "gateway.network:" not in said


def test_networkd_would_complain_of_a_word_that_it_does_not_know(tmp_path: Path) -> None:
    text = network_file(FIXED).replace("LLMNR=", "Llmrn=")
    _, said = brought_up(text, "default via", tmp_path)
    assert "10-gateway.network:" in said
