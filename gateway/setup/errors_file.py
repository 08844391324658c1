"""gateway-errors.txt beside the installer's file: what is wrong with it, for whoever has the card.

Lines end as Windows' editors want them. The partition is writable only while this writes. Must not
know what may stand in the installer's file.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.config import ConfigError
from gateway.setup.files import Target, remove, write

NAME = "gateway-errors.txt"
REMOUNT_TIMEOUT_S = 30.0

_TEXT = """\
The gateway cannot use {file} as it is now. It runs {instead}.

{problems}

What to do: put each line right, save the file as plain text, and start the gateway again. This
note goes away by itself when nothing is wrong any more.
"""


def tell(folder: Path, error: ConfigError, instead: str) -> bool:
    """Whether the note is new or another one. `instead` completes "It runs". Raises OSError."""
    text = _TEXT.format(
        file=error.file_name, instead=instead, problems="\n".join(error.lines())
    ).replace("\n", "\r\n")
    path = folder / NAME
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    with _writable(folder):
        return write(Target(path, mode=None), text)


def withdraw(folder: Path) -> bool:
    """Whether there was a note. Raises OSError."""
    if not (folder / NAME).exists():
        return False
    with _writable(folder):
        return remove(folder / NAME)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    if not os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield
        return
    _remount(folder, "rw")
    try:
        yield
    finally:
        _remount(folder, "ro")


def _remount(folder: Path, how: str) -> None:
    while not os.path.ismount(folder):
        folder = folder.parent
    try:
        subprocess.run(
            ["mount", "-o", f"remount,{how}", os.fspath(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=REMOUNT_TIMEOUT_S,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"{folder} cannot be remounted {how}: {error}") from error
