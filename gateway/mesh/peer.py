"""Another gateway, as this one knows it: who it is, whether it lives, what was said to and by it.

A peer outlives its links: streams go on where they stopped. Must not know how frames are handled.
"""

from dataclasses import dataclass, field

from gateway.ids import Stamp
from gateway.mesh.frames import Hello, Vitals
from gateway.mesh.incoming import Incoming
from gateway.mesh.life import Life
from gateway.mesh.link import Link
from gateway.mesh.stream import Outgoing

NEVER = float("-inf")
TABLES_AND_CLIENTS = 2  # since this version of the link protocol there are their frames
COPIES = 2  # and those of copies
QUESTIONS = 2  # and those of operators' questions
WILLS = 2  # and those of wills
ROADS = 2  # and those of links over a third gateway
INTEREST, RETAINED = "interest", "retained"  # what is awaited of a peer, beside tables


@dataclass(slots=True)
class Wish:
    """For the mesh's lock (`lock.py`); `heard` are the ids of those that know of it."""

    stamp: Stamp
    why: str
    heard: dict[str, None] = field(default_factory=dict)
    granted: bool = False


@dataclass(slots=True, eq=False)
class Peer:
    """Times are monotonic seconds here; `heard_at` is the last byte from it over any link.

    `knows` is the version of our interest that it has taken, `filters` are its own interest,
    `groups` its shared subscriptions, with how many members are connected and away;
    `clients` who is connected there, since when; `lost_clients` who was when it died.
    `awaiting` is what must come on this link before clients go on: its interest, its retained messages,
    its tables by name. `came`: moves of sessions reckon with it. `buried`:
    it was found dead, and has not said all again. `roots` are its tables as its last
    heartbeat has them, `differing_since` says for how long they are not as here. `dead_s` is for how
    long it has been dead while others lived, `dead_saved_s` what the disk has of that.
    `over` is the gateway over which its last link that was up went, if it was no connection of its own.
    `away_since` is since when it is not alive. `stores`, `stand_in`, `copied` and `copies` are as it
    said last (`Beat`); None: it has not said. It does not keep the copy of this gateway's store before
    `refused_copy_until`.
    """

    gateway: str
    name: str
    address: str = ""
    port: int = 0
    life: Life = Life.SUSPECT
    away_since: float = 0.0
    heard_at: float = NEVER
    known_since: float = 0.0
    store: str = ""
    dead_s: float = 0.0
    dead_saved_s: float = 0.0
    hello: Hello | None = None
    vitals: Vitals | None = None
    vitals_at: float = NEVER
    link: Link | None = None
    over: str = ""
    rtt_s: float | None = None
    echoed_ms: float = 0.0  # the latest heartbeat of ours that it has answered, as sent
    hears: frozenset[str] = frozenset()
    hears_us: bool = True  # as its last heartbeat on the present link says
    outgoing: Outgoing = field(default_factory=Outgoing)
    incoming: Incoming = field(default_factory=Incoming)
    knows: int = 0
    filters: dict[str, None] = field(default_factory=dict)
    groups: dict[str, tuple[int, int]] = field(default_factory=dict)
    clients: dict[str, Stamp] = field(default_factory=dict)
    lost_clients: dict[str, Stamp] = field(default_factory=dict)
    awaiting: set[str] = field(default_factory=set)
    roots: dict[str, int] = field(default_factory=dict)
    differing_since: dict[str, float] = field(default_factory=dict)
    came: bool = False
    buried: bool = False
    waited_for: bool = (
        True  # answers wait for it: it is alive, or has been silent for a moment only
    )
    streaming: bool = False  # the other side has said what it has: messages may go
    taken_said: int = 0
    stopping: bool = False
    stores: bool | None = None
    stand_in: str = ""
    copied: str = ""
    copies: tuple[str, ...] = ()
    refused_copy_until: float = 0.0
    wish: Wish | None = None
    refuses: bool = False  # it has forgotten this gateway: that it says so is no sign of life

    def speaks(self, protocol: int) -> bool:
        """Whether it understands this version of the link protocol."""
        return self.hello is not None and self.hello.protocol >= protocol

    @property
    def synced(self) -> bool:
        """Whether all that it has to say first is in, on the present link."""
        return self.link is not None and not self.awaiting
