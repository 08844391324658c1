"""The recipe of the image as far as it can be checked without cooking it."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requires import needs

REPOSITORY = Path(__file__).parent.parent
RECIPE = REPOSITORY / "image"
SCAN = RECIPE / "elf-scan.py"
AARCH64, X86_64 = 183, 62


def program(path: Path, machine: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF" + bytes(14) + struct.pack("<H", machine) + bytes(44))


def scan(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCAN, folder, "aarch64"], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.slow
def test_a_system_of_one_processor_passes_the_scan(tmp_path: Path) -> None:
    program(tmp_path / "usr/bin/ls", AARCH64)
    (tmp_path / "usr/bin/text").write_text("no program")
    assert scan(tmp_path).returncode == 0


@pytest.mark.slow
def test_a_program_of_another_processor_fails_the_build(tmp_path: Path) -> None:
    program(tmp_path / "usr/bin/ls", AARCH64)
    program(tmp_path / "usr/lib/slipped-in.so", X86_64)
    result = scan(tmp_path)
    assert result.returncode == 1
    assert "slipped-in.so" in result.stderr


@pytest.mark.slow
def test_a_scan_that_finds_no_program_has_looked_in_the_wrong_place(tmp_path: Path) -> None:
    assert scan(tmp_path).returncode == 1


@pytest.mark.slow
def test_every_script_is_one_that_shellcheck_accepts() -> None:
    scripts = [*RECIPE.glob("*.sh"), *RECIPE.glob("steps/*.sh")]
    assert len(scripts) > 10
    for command in (["-x", *scripts], ["--shell=dash", RECIPE / "initrd/init"]):
        checked = subprocess.run(
            [needs("shellcheck"), *command],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout


def test_the_state_of_every_service_survives_a_reboot() -> None:
    kept = (RECIPE / "persist.list").read_text().splitlines()
    for unit in (REPOSITORY / "systemd").glob("*.service"):
        for line in unit.read_text().splitlines():
            key, _, name = line.partition("=")
            if key == "StateDirectory":
                assert f"/var/lib/{name}/" in kept, unit.name


def test_every_service_is_started() -> None:
    preset = (RECIPE / "files/usr/lib/systemd/system-preset/10-gateway.preset").read_text()
    units = [*(REPOSITORY / "systemd").glob("*.service"), *(REPOSITORY / "systemd").glob("*.path")]
    for unit in units:
        assert f"enable {unit.name}\n" in preset


@pytest.mark.slow
def test_the_manual_page_and_completion_come_with_the_wheel_and_lie_where_programs_look(
    tmp_path: Path,
) -> None:
    """As image/steps/40-wheels.sh makes the wheel, and image/lay.sh lays it over a system."""
    copy = tmp_path / "repository"
    names = ("gateway", "docs", "systemd", "image", "pyproject.toml", "README.md", "LICENSE")
    for name in names:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    run(copy, *pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", "wheel", ".")
    (wheel,) = (copy / "wheel").glob("*.whl")
    site = "build/image/site-amd64"
    run(copy, *pip, "install", *offline, "--no-compile", "--target", site, str(wheel))
    system = tmp_path / "system"
    for folder in ("usr/bin", "usr/lib/gateway", "usr/share"):
        (system / folder).mkdir(parents=True)
    run(copy, "image/lay.sh", str(system), "amd64")
    share = system / "usr/share"
    docs = REPOSITORY / "docs"
    for laid, source in {
        "man/man1/gwctl.1": "man/gwctl.1",
        "bash-completion/completions/gwctl.bash": "completion/gwctl.bash",
        "zsh/site-functions/_gwctl": "completion/_gwctl",
    }.items():
        assert (share / laid).read_bytes() == (docs / source).read_bytes()
    assert (system / "usr/bin/gwctl").stat().st_mode & 0o777 == 0o755
    assert not (system / "usr/lib/gateway/site-packages/share").exists()


def run(folder: Path, *command: str) -> None:
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
