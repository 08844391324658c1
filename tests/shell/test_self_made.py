"""The certificate that a gateway makes for itself, as its first start has it made."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gateway.shell.self_made import self_made

ROOT = Path(__file__).parents[2]
WAIT_S = 30


def test_it_is_a_key_and_a_certificate_for_these_names() -> None:
    made = self_made(["gw1", "gw1.local"], ["127.0.0.1"])
    assert made.count(b"-----BEGIN PRIVATE KEY-----") == 1
    assert made.count(b"-----BEGIN CERTIFICATE-----") == 1


@pytest.mark.slow
def test_it_is_made_where_only_the_program_itself_knows_its_modules(tmp_path: Path) -> None:
    """As in the image: a system's Python, isolated, whose path a line of the program extends."""
    python = Path(sys.base_prefix) / "bin" / Path(sys._base_executable).name  # type: ignore[attr-defined]
    modules = [str(ROOT), sysconfig.get_path("purelib")]
    program = (
        f"import sys; sys.path[:0] = {modules!r}; from gateway.shell.self_made import self_made; "
        "sys.stdout.buffer.write(self_made(['gw1'], ['127.0.0.1']))"
    )
    made = subprocess.run(
        [python, "-I", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (made.returncode, made.stderr) == (0, b"")
    assert b"-----BEGIN CERTIFICATE-----" in made.stdout
