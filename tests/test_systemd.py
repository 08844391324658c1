"""The units as systemd reads them: valid, closed up, and with the users that they name.

systemd-analyze works in a root folder made for the test: the system's own units, ours, and a stub
for each command, because the commands are not installed on this machine. Whether the daemons run
inside their sandbox is for the image's boot test to say.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.shell.draining import WISH
from gateway.shell.handed_over import NAME, SERVING
from tests.requires import missing, needs

pytestmark = pytest.mark.slow
OURS = Path(__file__).parent.parent / "systemd"
UNITS = sorted(OURS.glob("*.service"))
PATHS = sorted(OURS.glob("*.path"))
SYSTEM_UNITS = Path("/usr/lib/systemd/system")
DAEMONS = [unit for unit in UNITS if unit.name != "gateway-setup.service"]
EXPOSURE_MAX = 2.0  # systemd-analyze's scale: 10 is open, 0 is closed
EXPOSURE_OF_SETUP_MAX = 2.6  # it is root, before there is a network, and then it is gone


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )


def settings(unit: Path) -> dict[str, list[str]]:
    """Every setting of a unit with all its values."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder in which the units can be checked."""
    if not SYSTEM_UNITS.is_dir():
        missing("the units of the package systemd are not installed")
    units = tmp_path / "usr" / "lib" / "systemd" / "system"
    shutil.copytree(SYSTEM_UNITS, units, symlinks=True)
    for unit in PATHS:
        shutil.copy(unit, units)
    for unit in UNITS:
        shutil.copy(unit, units)
        for key in ("ExecStart", "ExecReload", "ExecStopPost"):
            for line in settings(unit).get(key, []):
                command = tmp_path / line.split()[0].lstrip("/")
                command.parent.mkdir(parents=True, exist_ok=True)
                command.write_text("#!/bin/sh\n")
                command.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("unit", [*UNITS, *PATHS], ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong(unit: Path, root: Path) -> None:
    verified = run(needs("systemd-analyze"), "verify", f"--root={root}", unit.name)
    assert [line for line in verified.stdout.splitlines() if "gateway" in line] == []
    assert verified.returncode == 0, verified.stdout


def test_verify_would_notice_a_missing_command(root: Path) -> None:
    (root / "usr/bin/gatewayd").unlink()
    verified = run(needs("systemd-analyze"), "verify", f"--root={root}", "gatewayd.service")
    assert "/usr/bin/gatewayd is not executable" in verified.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_closed_up(unit: Path) -> None:
    threshold = int(10 * (EXPOSURE_MAX if unit in DAEMONS else EXPOSURE_OF_SETUP_MAX))
    scored = run(
        needs("systemd-analyze"), "security", "--offline=true", f"--threshold={threshold}", unit
    )
    assert scored.returncode == 0, scored.stdout
    assert "Overall exposure level" in scored.stdout


@pytest.mark.parametrize("unit", DAEMONS, ids=lambda unit: unit.name)
def test_a_daemon_has_no_capability(unit: Path) -> None:
    assert settings(unit)["CapabilityBoundingSet"] == [""]


@pytest.mark.parametrize("unit", DAEMONS, ids=lambda unit: unit.name)
def test_every_user_and_group_of_a_unit_is_made(unit: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    made = run(needs("systemd-sysusers"), f"--root={tmp_path}", OURS / "gateway-sysusers.conf")
    assert made.returncode == 0, made.stdout
    users = names(tmp_path / "etc" / "passwd")
    groups = names(tmp_path / "etc" / "group")
    wanted = settings(unit)
    assert set(wanted["User"]) <= users
    assert {*wanted["Group"], *" ".join(wanted["SupplementaryGroups"]).split()} <= groups


def names(table: Path) -> set[str]:
    return {line.split(":")[0] for line in table.read_text().splitlines()}


def test_the_operator_has_the_shell_and_may_ask_gatewayd(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    made = run(needs("systemd-sysusers"), f"--root={tmp_path}", OURS / "gateway-sysusers.conf")
    assert made.returncode == 0, made.stdout
    (entry,) = [line for line in lines(tmp_path / "etc/passwd") if line.startswith("gw:")]
    assert entry.split(":")[5:] == ["/", "/usr/bin/gw-shell"]
    assert "gateway-operator" in [
        line.split(":")[0] for line in lines(tmp_path / "etc/group") if line.endswith(":gw")
    ]
    (secret,) = [line for line in lines(tmp_path / "etc/shadow") if line.startswith("gw:")]
    assert secret.split(":")[1].startswith("!")  # no password ever fits


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_settings_come_before_what_they_are_for() -> None:
    unit = settings(OURS / "gateway-setup.service")
    before = " ".join(unit["Before"]).split()
    needed = {"systemd-networkd.service", "ssh.service", "gatewayd.service"}
    assert needed | {"gateway-devices.service", "network-pre.target"} <= set(before)


def test_gatewayd_asks_for_a_reboot_where_systemd_looks() -> None:
    """What happens then is in tests/image/test_restart.py."""
    (wish,) = settings(OURS / "gateway-reboot.path")["PathExists"]
    assert wish == f"/run/gatewayd/{WISH}"


def test_the_door_is_kept_over_a_restart_and_closed_behind_a_start_that_failed() -> None:
    """What happens then is in tests/image/test_restart.py."""
    unit = settings(OURS / "gatewayd.service")
    assert int(unit["FileDescriptorStoreMax"][0]) >= 10
    assert unit["NotifyAccess"] == ["exec"] and unit["RuntimeDirectoryPreserve"] == ["restart"]
    (behind,) = unit["ExecStopPost"]
    assert f"/run/gatewayd/{SERVING}" in behind and f"FDNAME={NAME}" in behind


def test_there_are_three_units() -> None:
    assert [unit.name for unit in UNITS] == [
        "gateway-devices.service",
        "gateway-setup.service",
        "gatewayd.service",
    ]
