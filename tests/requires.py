"""What a test needs besides Python: there, or the test is skipped with a reason. In CI it fails."""

import os
import shutil
from typing import NoReturn

import pytest

PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def absent(reason: str) -> NoReturn:
    """End the running test: skipped with `reason`, failed where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(f"in CI nothing may be missing: {reason}", pytrace=False)
    pytest.skip(reason)


def needs(*programs: str) -> None:
    """Let the running test or fixture go on only if every program is installed."""
    if missing := [name for name in programs if shutil.which(name, path=PLACES) is None]:
        absent(f"not installed: {', '.join(missing)}")


def needs_root() -> None:
    """Let the running test or fixture go on only as root (network namespaces)."""
    if os.geteuid() != 0:
        absent("network namespaces need root")
