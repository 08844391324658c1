"""What the core may ask of the world, as data, for what is rare.

Bytes are not effects: connections and links carry them in their outgoing lists. A shell does every
effect once, in order, and reports back by an input of the machine that asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.copy_place import CopyPlace
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
class SaveStandIn:
    """Keep on disk which gateway keeps the copy of this one's store."""

    gateway: str


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Look whether a password is the one that is kept as `stored`; answer with `Broker.checked`."""

    token: int
    password: bytes = field(repr=False)
    stored: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FindCopies:
    """Look what is here of another gateway's store; answer with `Mesh.copies_found`."""

    gateway: str


@dataclass(frozen=True, slots=True)
class BeginCopy:
    """Begin a copy in a place of its own; the one before counts until this one is whole.

    `keep_old`: it goes on to count, under another name, for its owner has lost what is in it.
    """

    gateway: str
    place: CopyPlace
    keep_old: bool


@dataclass(frozen=True, slots=True)
class WriteCopy:
    """Add records, as they stand in a log; the copy is then at `place`. Answer: `Mesh.copy_written`.

    `part` is what they are in the writing again of all that lives (`Rewrite` of the broker).
    """

    gateway: str
    place: CopyPlace
    payload: bytes = field(repr=False)
    part: int


@dataclass(frozen=True, slots=True)
class DropCopies:
    """Delete the copies of this store: another gateway has it whole."""

    gateway: str
    store: str


@dataclass(frozen=True, slots=True)
class ReadCopy:
    """Read the copy of another gateway's store, the newest whole one that is not of the store `but`.

    `make(rows, batches)`, as a restart of that gateway would find them, may be called on any thread:
    it takes long. `then(made, why)` is called in a turn; `why` there is none, or nothing.
    """

    gateway: str
    but: str
    make: Callable[[Any, Any], Any]
    then: Callable[[Any, str], None]


Copies = FindCopies | BeginCopy | WriteCopy | DropCopies | ReadCopy
Save = SaveMeshTime | SaveMember | ForgetMember | SaveRow | SaveKeys | SaveStandIn
Effect = Note | Dial | Save | Copies | CheckPassword
