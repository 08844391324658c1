"""What gateways say to each other: the frames of a link.

    frame  =  length (4 bytes, big-endian, of what follows)  body
    body   =  one MessagePack value: a map with "t", the frame's type, and its fields

The first frame of each side is Hello; what follows depends on both understanding a common version of
the protocol. Unknown fields are ignored and missing ones have defaults, so that a field may be added
without a new version. Entries are arrays, for speed, and grow at their end only. A frame of a type that
is not known (`Strange`) is passed over if its sender speaks a later version.

Refusal codes: "protocol" (no common version), "cluster" (another cluster name), "self" (one's own
address), "clone" (two boxes with one identity), "identity" (the certificate names another gateway),
"double" (a second link; the first one stays), "forgotten" (the mesh has forgotten this store),
"malformed" (what came is no frame).

Must not know what is done about a frame.
"""

from typing import Any, Final, get_args

import msgspec

from gateway.copy_place import CopyPlace
from gateway.durability import Durability
from gateway.errors import LinkError
from gateway.keyring import Key
from gateway.limits import LINK_FRAME_BYTES_MAX
from gateway.moves import Move
from gateway.table import Row

PROTOCOL: Final = 2  # what this version speaks
PROTOCOL_MIN: Final = 1  # the oldest that it still understands
HEADER_BYTES: Final = 4
TYPE_CHARACTERS_MAX: Final = 40  # of a type that is not known, as it is shown


class Frame(msgspec.Struct, frozen=True, tag_field="t"):
    """Any of the frames below."""


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A gateway somebody knows, with its store, and where its link port was."""

    gateway: str
    name: str
    address: str
    port: int
    store: str = ""


class Hello(Frame, frozen=True, tag="hello"):
    """Who I am. `boot` grows at each start of this store; `nonce` is new at each start."""

    protocol: int
    protocol_min: int
    cluster: str
    gateway: str
    name: str
    store: str
    boot: int
    nonce: str
    version: str
    mesh_time_ms: int
    address: str = ""
    link_port: int = 0
    mqtt_port: int = 0
    members: tuple[Member, ...] = ()


class Refuse(Frame, frozen=True, tag="refuse"):
    """No link, and why; the sender closes behind it."""

    code: str
    detail: str


Ranges = list[tuple[int, int]]  # of entries of a stream: numbers of the first and the last


class Received(Frame, frozen=True, tag="received", omit_defaults=True):
    """Of the stream that your store's `boot` sends me I have all up to `number`; of these `waits` are
    in memory only."""

    store: str
    boot: int
    number: int
    waits: Ranges = []


class Start(Frame, frozen=True, tag="start"):
    """My stream to you goes on with the entry after `number`."""

    number: int


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One message. `field` is the topic in wire form; `stamp` is there when it is retained.

    `properties` are in MQTT 5.0 form with their length, or empty. `expires_ms` is what is left. `late`
    are those that were offered to an earlier start of the receiver: they are for sessions of its disk.
    `will`: it was sent for a client whose gateway was dead: the stamp of its connection. `group`: it is
    for one member of this shared subscription there and nobody else; `moves`: how often one gave it up.
    `level`: what its publisher's answer waits for. `taken`: its publisher was told that it is ours.
    """

    field: bytes
    payload: bytes
    qos: int
    publisher: str
    stamp: tuple[int, int] | None = None
    properties: bytes = b""
    expires_ms: int | None = None
    late: bool = False
    will: tuple[int, int, str] | None = None
    group: str = ""
    moves: int = 0
    level: Durability = Durability.MESH
    taken: bool = False


class Entries(Frame, frozen=True, tag="entries"):
    """Messages accepted here, numbered from `number` on; for sessions there, never further."""

    number: int
    entries: list[Entry]


class Said(Frame, frozen=True, tag="said"):
    """About a session that moves, as entry `number` of the same stream. Since protocol 2."""

    number: int
    move: Move


class Taken(Frame, frozen=True, tag="taken", omit_defaults=True):
    """Your entries up to `number` are in memory here and on their way to sessions. Of the new ones
    `waits` are for sessions that are kept: `Synced` says when they are."""

    number: int
    waits: Ranges = []


class Synced(Frame, frozen=True, tag="synced"):
    """These entries, which waited, are kept now; or, with `why`, cannot be. Since protocol 2."""

    ranges: Ranges
    why: str = ""


class Interest(Frame, frozen=True, tag="interest"):
    """The filters that sessions here subscribe to: all of them (`full`), or what changed.

    `more` says that the rest of this version follows in the next frame.
    """

    version: int
    full: bool
    add: list[str]
    remove: list[str]
    more: bool = False


class Here(msgspec.Struct, frozen=True, array_like=True):
    """A client that is connected at the sender, since `stamp`. `silent_ms`, where it is not news: for
    how long nothing was heard from it. `clean`: what it had before is over."""

    client_id: str
    stamp: tuple[int, int]
    silent_ms: int | None = None
    clean: bool = False


class Clients(Frame, frozen=True, tag="clients"):
    """Clients that are connected here: all of them (`full`), or who came and left. The version of
    interest that follows counts them, too. Since protocol 2."""

    full: bool
    came: list[Here]
    left: list[str]


class Groups(Frame, frozen=True, tag="groups"):
    """Shared subscriptions of sessions at the sender, all of them (`full`) or those that changed: their
    names, how many members are connected, and how many away. The version of interest that follows
    counts them, too. Since protocol 2."""

    full: bool
    groups: list[tuple[str, int, int]]


class KeptWill(msgspec.Struct, frozen=True, array_like=True):
    """The will of a client of the sender, and the stamp of its connection. `delay_ms` counts from the
    end of that; where the client is `gone`, it is what is left of it."""

    client_id: str
    since: tuple[int, int]
    entry: Entry
    delay_ms: int = 0
    gone: bool = False


class Wills(Frame, frozen=True, tag="wills"):
    """Wills of the sender's clients, for the receiver to keep: all of them (`full`), or what changed.
    `choice` counts how often the sender chose a keeper. The interest that follows counts them, too.
    Since protocol 2."""

    choice: int
    full: bool
    add: list[KeptWill]
    remove: list[str]


class WillsHeld(Frame, frozen=True, tag="wills-held"):
    """The sender keeps the wills of a start of a gateway that is over, by that `choice`. Those of
    `clients` it has sent, or no longer has to, or, told to the gateway itself, will send."""

    gateway: str
    start: str
    choice: int
    clients: list[str]


class InterestTaken(Frame, frozen=True, tag="interest-taken"):
    """Your interest is known here as of `version`."""

    version: int


class Digest(Frame, frozen=True, tag="digest"):
    """One number a bucket of my retained topics, or of a table of this name."""

    buckets: list[int]
    table: str = ""


class Compare(Frame, frozen=True, tag="compare"):
    """Topics (or keys of a table) and stamps of the buckets in which we differ; `last` says that no
    more follow."""

    buckets: list[int]
    topics: list[tuple[str, tuple[int, int, str]]]
    last: bool
    table: str = ""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One retained message as it lies in the store; no payload: it was deleted."""

    topic: str
    stamp: tuple[int, int, str]
    payload: bytes | None
    qos: int = 0
    publisher: str = ""
    properties: bytes = b""
    expires_ms: int | None = None
    will: tuple[int, int, str] | None = None


class Retained(Frame, frozen=True, tag="retained"):
    """What I have newer than you; `last` says that you have it all now."""

    kept: list[Kept]
    last: bool


class Rows(Frame, frozen=True, tag="rows"):
    """Rows of a table, with their keys: what changed here, or (`compared`) what differs from your list
    of a bucket; `last` says that you have all of those now. Since protocol 2."""

    table: str
    rows: list[tuple[str, Row]]
    compared: bool = False
    last: bool = True


class Beat(Frame, frozen=True, tag="beat"):
    """A sign of life. Times are milliseconds of the sender's monotonic clock.

    `echo` is the `sent` of the last beat from the other side and `echo_held_ms` how long ago it came:
    together they give the round trip. `hears` are the gateways that the sender hears itself. `roots`
    are the digests of its tables, each as one number. `stores`: its disk takes what must be kept;
    `stand_in` keeps the copy of its store, and has all of the store that is named as `copied`. `copies`
    are the gateways of whose stores there is a copy at the sender.
    """

    sent_ms: float
    echo_ms: float
    echo_held_ms: float
    mesh_time_ms: int
    hears: list[str]
    roots: dict[str, int] = {}
    stores: bool = False
    stand_in: str = ""
    copied: str = ""
    copies: list[str] = []


class Vitals(Frame, frozen=True, tag="vitals"):
    """How the sender is, for everybody's status. Shares are percent."""

    uptime_s: float
    clients: int
    messages_in_per_s: float
    messages_out_per_s: float
    waiting: int
    load: float | None = None
    memory_percent: float | None = None
    disk_percent: float | None = None
    temperature_c: float | None = None


class CopyAsk(Frame, frozen=True, tag="copy-ask"):
    """You are my stand-in: what do you have of my store? Since protocol 2, as all of these."""


class CopyHave(Frame, frozen=True, tag="copy-have"):
    """The copies of your store here."""

    places: list[CopyPlace]


class CopyFrom(Frame, frozen=True, tag="copy-from"):
    """What follows belongs into the copy that is at `place`: one that you have, or (`anew`) another.

    `keep_old`: the one before has what I have lost.
    """

    place: CopyPlace
    anew: bool
    keep_old: bool = False


class CopyPart(Frame, frozen=True, tag="copy-part"):
    """Records as they stand in a log, or a piece of them: `more` follows. Then the copy is at `number`
    and `slices`, and with `last` it is whole. `part`: what they are in writing again what lives."""

    payload: bytes
    more: bool = False
    number: int = 0
    slices: int = 0
    part: int = 0
    last: bool = False


class CopyKept(Frame, frozen=True, tag="copy-kept"):
    """`parts` of the frames that came on this link are off my hands, so that as many may follow. All up
    to `number` and `slices` is on disk. `wish`: how much I want all that lives to be written again."""

    parts: int
    number: int
    slices: int
    wish: int = 0


class CopyRefused(Frame, frozen=True, tag="copy-refused"):
    """I cannot keep your copy now, and why."""

    why: str


class Keys(Frame, frozen=True, tag="keys"):
    """What I know of the keys of the links. Since protocol 2."""

    keys: list[Key]


class Known(Frame, frozen=True, tag="known"):
    """Gateways of this mesh that the receiver may not have met."""

    members: tuple[Member, ...]


class Bye(Frame, frozen=True, tag="bye"):
    """I stop on purpose."""


class Ask(Frame, frozen=True, tag="ask"):
    """An operator at the sender asks this: `what` is a command of gwctl. Since protocol 2."""

    number: int
    what: str
    client: str = ""
    limit: int = 0
    orphans: bool = False


class Answer(Frame, frozen=True, tag="answer"):
    """What is here of what was asked under this number; None: nothing, or not told, and why not."""

    number: int
    document: dict[str, Any] | None
    why: str = ""


class Watch(Frame, frozen=True, tag="watch"):
    """An operator at the sender watches what clients publish at the receiver. Since protocol 2."""

    number: int
    filters: list[str]
    client: str = ""
    payload: bool = True


class Shown(Frame, frozen=True, tag="shown"):
    """Messages for the watch of this number, each with how many milliseconds ago it came; so many
    were `lost` before. The first says whether it is watched at all, or why it is `refused`."""

    number: int
    steps: list[tuple[float, dict[str, Any]]]
    lost: int = 0
    refused: str = ""


class Unwatch(Frame, frozen=True, tag="unwatch"):
    """The watch of this number is over."""

    number: int


class Lock(Frame, frozen=True, tag="lock"):
    """I want the mesh's lock since `stamp`; without one I do not. Since protocol 2."""

    stamp: tuple[int, int] | None = None
    why: str = ""


class LockHeard(Frame, frozen=True, tag="lock-heard"):
    """I know of your wish of this stamp."""

    stamp: tuple[int, int]


class Relayed(Frame, frozen=True, tag="relayed", omit_defaults=True):
    """Between `origin` and `target`, which do not reach each other, over a third: some of the bytes of
    the link that both number so. `first`: it begins; `over`: it has ended, and why.

    `taken`: so many bytes of that link have come from the target, in all, and left its road. Since
    protocol 2.
    """

    origin: str
    target: str
    number: int
    payload: bytes = b""
    first: bool = False
    taken: int = 0
    over: str = ""


class Strange(Frame, frozen=True, tag="strange"):
    """What came is a frame of this type, which is not known here. Nobody sends this one."""

    type: str


class _Typed(msgspec.Struct, frozen=True):
    t: str


AnyFrame = (
    Hello
    | Refuse
    | Received
    | Start
    | Entries
    | Said
    | Taken
    | Synced
    | Interest
    | Clients
    | Groups
    | Wills
    | WillsHeld
    | InterestTaken
    | Digest
    | Compare
    | Retained
    | Rows
    | Beat
    | Vitals
    | CopyAsk
    | CopyHave
    | CopyFrom
    | CopyPart
    | CopyKept
    | CopyRefused
    | Known
    | Lock
    | LockHeard
    | Relayed
    | Strange
    | Keys
    | Bye
    | Ask
    | Answer
    | Watch
    | Shown
    | Unwatch
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyFrame)
_type_decoder = msgspec.msgpack.Decoder(_Typed)
_KNOWN: Final = frozenset(frame.__struct_config__.tag for frame in get_args(AnyFrame))


def encode(frame: Frame) -> bytes:
    """The frame as it goes over the link, length first."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def _frame(body: memoryview) -> AnyFrame:
    try:
        frame: AnyFrame = _decoder.decode(body)
        return frame
    except msgspec.DecodeError as error:  # ValidationError is one
        try:
            kind = _type_decoder.decode(body).t
        except msgspec.DecodeError:
            kind = ""
        if kind and kind not in _KNOWN:
            return Strange(kind[:TYPE_CHARACTERS_MAX])
        raise LinkError("malformed", f"not a frame: {error}") from error


def split(data: bytes) -> tuple[list[AnyFrame], int]:
    """Every whole frame in `data`, and the offset where the rest begins.

    Raises LinkError("malformed") for what is no frame, or is longer than a frame may be.
    """
    frames: list[AnyFrame] = []
    start, size = 0, len(data)
    while size - start >= HEADER_BYTES:
        body = start + HEADER_BYTES
        length = int.from_bytes(data[start:body], "big")
        if length > LINK_FRAME_BYTES_MAX:
            raise LinkError("malformed", f"a frame of {length} bytes")
        if body + length > size:
            break
        frames.append(_frame(memoryview(data)[body : body + length]))
        start = body + length
    return frames, start
