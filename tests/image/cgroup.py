"""A control group for each container, in each tree that systemd keeps its units in.

nspawn puts a container into the group that it was started in. In one group, several containers
would take each other's units for their own.
"""

import contextlib
import re
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# Trees that systemd uses: the one of version 2, alone or beside version 1, and version 1's own.
TREES = {"0::": (ROOT / "unified", ROOT), "name=systemd": (ROOT / "systemd",)}


class ControlGroup:
    """Made at once; `remove` when nothing runs in it any more."""

    def __init__(self, name: str) -> None:
        self._folders = [parent / name for parent in _own_groups()]
        for folder in self._folders:
            folder.mkdir()

    def entering(self, *command: str) -> list[str]:
        """The command, as a process in this group."""
        entries = "".join(f"echo $$ >{folder}/cgroup.procs; " for folder in self._folders)
        return ["sh", "-euc", f'{entries}exec "$@"', "sh", *command]

    def remove(self) -> None:
        for top in self._folders:
            for folder in sorted(top.rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()


def _own_groups() -> list[Path]:
    """This process's group in each of the trees that are mounted."""
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        match = re.fullmatch(r"\d+:(name=systemd):(.*)|(0::)(.*)", line)
        if match is None:
            continue
        path = (match[2] or match[4]).lstrip("/")
        for root in TREES[match[1] or match[3]]:
            if (root / path / "cgroup.procs").is_file():
                groups.append(root / path)
                break
    return groups
