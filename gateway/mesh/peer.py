"""Another gateway, as this one knows it: who it is, whether it lives, what was said to and by it.

A peer outlives its links: streams go on where they stopped. Must not know how frames are handled.
"""

from dataclasses import dataclass, field

from gateway.mesh.frames import Hello, Vitals
from gateway.mesh.life import Life
from gateway.mesh.link import Link
from gateway.mesh.stream import Incoming, Outgoing

NEVER = float("-inf")


@dataclass(slots=True, eq=False)
class Peer:
    """Times are monotonic seconds here; `heard_at` is the last byte from it over any link.

    `knows` is the version of our interest that it has taken, `filters` are its own interest.
    `synced` says that on this link everything was exchanged that must be before clients go on.
    """

    gateway: str
    name: str
    address: str = ""
    port: int = 0
    life: Life = Life.SUSPECT
    heard_at: float = NEVER
    known_since: float = 0.0
    hello: Hello | None = None
    vitals: Vitals | None = None
    vitals_at: float = NEVER
    link: Link | None = None
    rtt_s: float | None = None
    hears: frozenset[str] = frozenset()
    hears_us: bool = True  # as its last heartbeat on the present link says
    outgoing: Outgoing = field(default_factory=Outgoing)
    incoming: Incoming = field(default_factory=Incoming)
    knows: int = 0
    filters: dict[str, None] = field(default_factory=dict)
    awaiting_interest: bool = True
    awaiting_retained: bool = True
    streaming: bool = False  # the other side has said what it has: messages may go
    taken_said: int = 0
    stopping: bool = False

    @property
    def synced(self) -> bool:
        """Whether its interest and its retained messages are in, on the present link."""
        return self.link is not None and not self.awaiting_interest and not self.awaiting_retained
