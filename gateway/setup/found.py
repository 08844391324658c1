"""Which installation counts: the installer's file, the last good one, or the one with nothing set.

The last good file is kept as it was read. Must not know what an installation is made into.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gateway.config import ConfigError
from gateway.config_loader import read_text
from gateway.setup.files import Target, write
from gateway.setup.installer import Installation, parse_installation

KEPT_NAME = "installer.toml"
_MISSING = "put the file back; a card that is written anew has one"


class Source(Enum):
    """Where the installation comes from; completes "It runs"."""

    FILE = "by this file"
    LAST_GOOD = "by the last file in which nothing was wrong"
    NOTHING = "alone, with the settings of a new card: there was no better file yet"


@dataclass(frozen=True, slots=True)
class Found:
    """What counts, the text it was read from, and what is wrong with the installer's file."""

    source: Source
    installation: Installation
    text: str = ""
    error: ConfigError | None = None


def find(installer: Path, kept_folder: Path) -> Found:
    """Reads the installer's file, and what was kept if that is of no use. Raises nothing."""
    try:
        return Found(Source.FILE, *_read(installer))
    except ConfigError as error:
        try:
            return Found(Source.LAST_GOOD, *_read(kept_folder / KEPT_NAME), error)
        except ConfigError:  # none yet, or one that this version does not take any more
            return Found(Source.NOTHING, Installation(), "", error)


def keep(text: str, kept_folder: Path) -> bool:
    """Keeps a file in which nothing is wrong. Whether it is another one. Raises OSError."""
    return write(Target(kept_folder / KEPT_NAME, mode=0o600), text)  # it holds the cluster key


def _read(path: Path) -> tuple[Installation, str]:
    text = read_text(str(path), path.name, _remedy(path))
    return parse_installation(text, path.name), text


def _remedy(path: Path) -> str:
    """Windows hides the ending of a name, and its editor likes to add one."""
    wrong = path.with_name(f"{path.name}.txt")
    return f"rename {wrong.name} to {path.name}" if wrong.exists() else _MISSING
