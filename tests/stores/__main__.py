"""Records a store of the version at hand, and tries whether an older version can open one.

    python -m tests.stores record NAME      two archives beside this file: NAME-killed, NAME-closed
    python -m tests.stores first NAME       the same, with what the first durable version knew only
    python -m tests.stores back COMMIT      fills a store here, opens it with the code of that commit

A store is recorded once, when its version has landed, and never again. `back` needs the commit in the
repository's history; it is run by hand before a version lands.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.gateways import Gateway, free_port
from tests.stores.scenario import NAME, check, check_later, fill, fill_later

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WAYS = ("killed", "closed")
FIRST = "51a74dc"  # the first durable version
LEFT_OUT = ("ballast", "gatewayd.pid")  # room, and the process that is gone


def gateway_on(directory: Path) -> Gateway:
    """A gateway whose state is directory/state; it is not started."""
    return Gateway(NAME, "127.0.0.1", directory, port=free_port())


def filled(directory: Path, way: str, later: bool) -> Path:
    """The state directory of a gateway that was filled, and then killed or closed."""
    gateway = gateway_on(directory)
    with gateway:
        fill(gateway)
        if later:
            fill_later(gateway)
        gateway.kill() if way == "killed" else gateway.stop()
    return gateway.state_dir


def record(name: str, later: bool) -> None:
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            state = filled(Path(folder), way, later)
            with tarfile.open(HERE / f"{name}-{way}.tar.xz", "w:xz") as archive:
                for path in sorted(state.rglob("*")):
                    if path.is_file() and path.name not in LEFT_OUT:
                        archive.add(path, path.relative_to(state))


def back(commit: str) -> None:
    """In a process of its own: the older code takes the place of this one, also for the clients."""
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder, "old")
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(old), commit], check=True)
        try:
            for way in WAYS:
                filled(Path(folder, way), way, later=True)
                _open_with(old, Path(folder, way))
                with gateway_on(Path(folder, way)) as again:
                    check_later(again, rewritten=commit.startswith(FIRST))
                print(f"{commit} opens a store that was {way}, and this version opens it again")
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)


def _open_with(old: Path, directory: Path) -> None:
    (old / "tests" / "stores").mkdir(exist_ok=True)
    for part in ("stores/scenario.py", "stores/__main__.py", "kill/peer.py", "gateways.py"):
        (old / "tests" / part).write_text((ROOT / "tests" / part).read_text())
    command = [sys.executable, "-m", "tests.stores", "open", str(directory)]
    environment = os.environ | {"PYTHONPATH": str(old)}
    subprocess.run(command, cwd=old, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("record", "first", "back", "open"))
    parser.add_argument("name", help="of the record, a commit, or a directory")
    options = parser.parse_args()
    match options.what:
        case "record" | "first":
            record(options.name, options.what == "record")
        case "back":
            back(options.name)
        case "open":
            with gateway_on(Path(options.name)) as gateway:
                check(gateway)


if __name__ == "__main__":
    main()
