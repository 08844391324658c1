"""Files written so that a plug pulled at any moment leaves the old one or the new one, whole.

A file that is already right is not touched: cards wear. Must not know what is in the files.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """A file to be written. Without `mode` and `group` they are the file system's business."""

    path: Path
    mode: int | None = 0o644
    group: int | None = None


def write(target: Target, text: str) -> bool:
    """Whether anything had to be changed. Makes missing folders. Raises OSError."""
    content = text.encode()
    if _is_right(target, content):
        return False
    target.path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name: what a pulled plug leaves behind is written over the next time.
    draft = target.path.with_name(f".{target.path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        if target.group is not None:
            os.fchown(handle, -1, target.group)
        if target.mode is not None:
            os.fchmod(handle, target.mode)
        file.write(content)
        file.flush()
        os.fsync(handle)
    draft.replace(target.path)
    sync_folder(target.path.parent)
    return True


def _is_right(target: Target, content: bytes) -> bool:
    path = target.path
    if path.is_symlink() or not path.is_file():
        return False
    status = path.stat()
    return (
        target.mode in (None, status.st_mode & 0o7777)
        and target.group in (None, status.st_gid)
        and status.st_size == len(content)
        and path.read_bytes() == content
    )


def remove(path: Path) -> bool:
    """Whether there was such a file. Raises OSError."""
    if not path.exists():
        return False
    path.unlink()
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """What was renamed or removed in the folder is on the disk when this returns."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def group_id(root: Path, name: str) -> int | None:
    """The number of a group of the system in `root`; None where there is none."""
    try:
        lines = (root / "etc/group").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2])
    return None
