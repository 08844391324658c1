"""A state directory that its gateway leaves behind, to be a new member of the mesh with a new store.

The wish is a file (`rejoin`), so that it outlives the process; at the next start all that is in the
directory goes into a folder `left-N`, where nobody looks any more and nothing is deleted. What is the
box's own stays: the cluster's keys, and the certificate that clients know. Must not know what the files
say.
"""

import os
from pathlib import Path

from gateway.shell.renewal import OWN_FILE as CERTIFICATE

WISH = "rejoin"
FOLDER = "left-"


def wish(directory: str) -> None:
    """At the next start. Raises OSError."""
    handle = os.open(Path(directory) / WISH, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def leave(directory: Path, *stays: str) -> list[str]:
    """Does what was wished for, if something was; `stays` are further files to let be. What the log
    should say. Done again from the start, it does what is left to do. Raises OSError."""
    if not (directory / WISH).exists():
        return []
    from gateway.shell.link_keys import FILE_NAME as KEYS  # links are not for every gateway

    kept = {WISH, KEYS, CERTIFICATE, *stays}
    left = [path for path in sorted(directory.iterdir()) if path.name not in kept]
    left = [path for path in left if not path.name.startswith(FOLDER)]
    folder = _folder(directory)
    for path in left:
        path.rename(folder / path.name)
    (directory / WISH).unlink()
    return [f"this gateway begins anew, with a new store; what it had is in {folder}"]


def _folder(directory: Path) -> Path:
    number = 1
    while (folder := directory / f"{FOLDER}{number}").exists():
        number += 1
    folder.mkdir(mode=0o700)
    return folder
