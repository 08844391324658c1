"""What a test needs of the machine: without it the test is skipped, with the reason; in CI it
fails.

Asks with the commands that tests/packages.sh installs. A test that needs something says so in its
fixture or first line, never by a skip of its own: a skip that nobody sees in CI is a test that is
not there.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def needs(command: str) -> str:
    """The path of `command`; without it the test ends here."""
    return shutil.which(command, path=SEARCH_PATH) or missing(f"{command} is not installed")


def prepared(script: Path) -> Path:
    """The path that `script` prints of what it prepared; the test ends here when it could not."""
    run = subprocess.run([script], capture_output=True, text=True, timeout=100, check=False)
    if run.returncode != 0:
        missing(run.stderr.strip().rpartition("\n")[2])
    return Path(run.stdout.strip())


def missing(what: str) -> NoReturn:
    """Ends the test: a failure in CI (CI=true), a skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing is skipped, but: {what}")
    pytest.skip(what)
