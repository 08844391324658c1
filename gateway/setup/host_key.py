"""The key by which SSH clients know this box: made at the first start, kept for good.

One of type ed25519, which every client of the last ten years knows. Must not know sshd's other
settings.
"""

import os
import shutil
import subprocess
from pathlib import Path

from gateway.setup.files import sync_folder

NAME = "ssh_host_ed25519_key"
KEYGEN_TIMEOUT_S = 60.0  # the kernel of a box without a clock may have to gather randomness first


def ensure_host_key(folder: Path) -> bool:
    """Whether a key had to be made. Raises OSError.

    A key that cannot be read, as after a plug pulled at the wrong moment, is made anew: clients
    will warn, but a box that nobody can log in to is worse.
    """
    key = folder / NAME
    if _is_whole(key):
        return False
    draft = folder / ".new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    _keygen("-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(draft / NAME))
    for name in (f"{NAME}.pub", NAME):  # the key last: with it there, all is
        with (draft / name).open("rb+") as file:
            os.fsync(file.fileno())
        (draft / name).replace(folder / name)
    draft.rmdir()
    sync_folder(folder)
    return True


def _is_whole(key: Path) -> bool:
    if not key.is_file():
        return False
    try:
        key.chmod(0o600)  # ssh-keygen and sshd refuse a key that others may read
        _keygen("-y", "-P", "", "-f", str(key))
    except OSError:
        return False
    return True


def _keygen(*arguments: str) -> None:
    """Raises OSError with the program's own words."""
    try:
        subprocess.run(
            ["ssh-keygen", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=KEYGEN_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise OSError(f"ssh-keygen: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise OSError("ssh-keygen does not come to an end") from error
