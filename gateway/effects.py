"""What the core may ask of the world, as data, for what is rare.

Bytes are not effects: connections and links carry them in their outgoing lists. A shell does every
effect once, in order, and reports back by an input of the machine that asked.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.keyring import Key
from gateway.table import Row

Level = Literal["debug", "info", "warning", "error"]


class Writer(Protocol):
    """The shell's end of a connection or link: it hangs on the machine that it writes for."""

    def flush(self) -> None:
        """Writes what waits, and does what the machine asks of the socket."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log, and for the trace of a simulation."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a link to this address; answer with `Mesh.opened` or `Mesh.dial_failed`.

    `keys` are the fingerprints of the cluster keys to try, in this order.
    """

    address: str
    port: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveMeshTime:
    """Keep on disk that mesh time up to here may be in use."""

    time_ms: int


@dataclass(frozen=True, slots=True)
class SaveMember:
    """Keep on disk that this gateway belongs to the mesh and where it was last seen; `dead_s` is for how
    long it has been dead."""

    gateway: str
    name: str
    address: str
    port: int
    store: str = ""
    dead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ForgetMember:
    """This gateway belongs to the mesh no more."""

    gateway: str


@dataclass(frozen=True, slots=True)
class SaveRow:
    """Keep on disk a row of a table that is the mesh's own (`gateway/mesh/state.py`)."""

    table: str
    key: str
    row: Row


@dataclass(frozen=True, slots=True)
class SaveKeys:
    """Put the cluster keys on disk; answer with `Mesh.keys_saved` and this version."""

    version: int
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Look whether a password is the one that is kept as `stored`; answer with `Broker.checked`."""

    token: int
    password: bytes = field(repr=False)
    stored: str = field(repr=False)


Save = SaveMeshTime | SaveMember | ForgetMember | SaveRow | SaveKeys
Effect = Note | Dial | Save | CheckPassword
