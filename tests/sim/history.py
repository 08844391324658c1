"""What clients did and saw, as the checkers read it. Plain data; times are virtual seconds."""

from dataclasses import dataclass, field

NEVER = float("inf")


@dataclass
class Publication:
    """One PUBLISH. `acked_at` is PUBACK, or PUBCOMP; an empty `ident` deletes a retained topic."""

    ident: str
    publisher: str
    connection: int
    box: str
    topic: str
    qos: int
    retain: bool
    number: int
    sent_at: float
    acked_at: float = NEVER
    refused: bool = False


@dataclass
class Delivery:
    """One PUBLISH that a client got."""

    at: float
    ident: str
    topic: str
    qos: int
    retain: bool


@dataclass
class Granted:
    """One subscription; granted when SUBACK came, `ended_at` when its session was found to be lost."""

    topic_filter: str
    qos: int
    sent_at: float
    granted_at: float = NEVER
    ended_at: float = NEVER


@dataclass
class Session:
    """One connection of a client, and its clean session; `will` is the payload of its will, if it has
    one. Clients go without a word, so that each is due when the connection is over."""

    client: str
    box: str
    number: int
    opened_at: float = NEVER
    closed_at: float = NEVER
    granted: list[Granted] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    will: str = ""


@dataclass
class KeptDelivery:
    """One PUBLISH that the client of a kept session got, on which of its connections."""

    at: float
    ident: str
    qos: int
    connection: int


@dataclass
class Kept:
    """A session that is kept on disk; `box` is empty for one that moves.

    `lost_at`: when its client had been told that there is one, and then that there is none. `unheard`:
    when it gave a CONNECT up before it was answered: it may have been told there that there is none.
    `ended_at`: its gateway's disk was lost; from then on another record goes on. `nowhere`: the same,
    until it was served elsewhere: what is published meanwhile does not reach it yet.
    """

    client: str
    box: str
    connections: int = 0
    granted: list[Granted] = field(default_factory=list)
    deliveries: list[KeptDelivery] = field(default_factory=list)
    unheard: list[float] = field(default_factory=list)
    lost_at: list[tuple[float, float]] = field(default_factory=list)
    ended_at: float = NEVER
    nowhere: list[tuple[float, float]] = field(default_factory=list)


@dataclass(eq=False)
class Request:
    """Something that a client waits for."""

    what: str
    client: str
    box: str
    sent_at: float
    answered_at: float = NEVER


@dataclass
class Awake:
    """A stretch of time in which a box ran and was not stopped."""

    box: str
    begin: float
    end: float = NEVER


@dataclass
class History:
    """All of a run. `calm` are stretches without a fault in which all gateways were linked.

    `disks`: the gateways keep what they must over a restart. `torn`: not all gateways heard each other
    all the time. `buried_at` is when a gateway died for good, and which clients with it.
    """

    disks: bool = False
    publications: list[Publication] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    awake: list[Awake] = field(default_factory=list)
    calm: list[tuple[float, float]] = field(default_factory=list)
    disks_lost: dict[str, None] = field(default_factory=dict)  # boxes
    not_copied: list[str] = field(default_factory=list)  # found while it ran
    copies_read: int = 0
    copied_until: float = float("-inf")  # when a disk was destroyed of which there were two copies
    no_road: list[str] = field(default_factory=list)  # found while it ran
    settled_at: float = NEVER
    ended_at: float = NEVER
    torn: bool = False
    buried_at: float = NEVER
    mourned: list[Session] = field(default_factory=list)

    def is_released_again(self, publication: Publication, box: str) -> bool:
        """Whether subscribers at this other gateway may get a QoS 2 message once more: its own had it
        released and sent on when it crashed, and did not know any more when it started, because that
        was not on disk, or because the card lost what it had written."""
        open_ = publication.acked_at == NEVER or publication.box in self.disks_lost
        return self.disks and publication.qos == 2 and open_ and publication.box != box

    def is_calm(self, begin: float, end: float) -> bool:
        """Whether nothing was wrong from `begin` to `end`."""
        return any(start <= begin and end <= stop for start, stop in self.calm)

    def is_up(self, box: str, since: float) -> bool:
        """Whether the box ran from then on to the end, without a pause."""
        return any(
            each.box == box and each.begin <= since and each.end == NEVER for each in self.awake
        )
