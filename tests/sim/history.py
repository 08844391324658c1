"""What clients did and saw, as the checkers read it. Plain data; times are virtual seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

NEVER = float("inf")
SUBACK_S = 0.9  # what took less was not answered for want of an answer
LOOK_S = 0.25  # two looks at the whole, and a little


@dataclass
class Publication:
    """One PUBLISH. `acked_at` is PUBACK, or PUBCOMP; an empty `ident` deletes a retained topic.
    `released_at` is the first PUBREL; `again` is where it was sent again, when its client came back."""

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
    released_at: float = NEVER
    again: list[str] = field(default_factory=list)

    def places(self) -> list[str]:
        """The boxes that it was sent to."""
        return list(dict.fromkeys([self.box, *self.again]))


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

    def counts(self, history: "History", at: float) -> bool:
        """Whether what is published then is for it. SUBACK comes after a second also if some gateway has
        not answered: then it counts when all is well."""
        known = self.granted_at - self.sent_at < SUBACK_S or history.is_calm(at, at)
        return self.granted_at <= at and known


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
    """One PUBLISH that the client of a kept session got, where, and on which of its connections."""

    at: float
    ident: str
    qos: int
    box: str
    connection: int


@dataclass
class Visit:
    """One CONNECT of a client with a kept session, until CONNACK, or until it gave up (`over_at`)."""

    box: str
    sent_at: float
    answered_at: float = NEVER
    over_at: float = NEVER


@dataclass
class Kept:
    """A session that is kept on disk; `box` is empty for one that moves.

    `lost_at`: when its client had been told that there is one, and then that there is none. `ended_at`:
    its gateway's disk was lost; from then on another record goes on. `nowhere`: the same, until it was
    served elsewhere: what is published meanwhile does not reach it yet. `visits` are all its CONNECTs.
    """

    client: str
    box: str
    connections: int = 0
    granted: list[Granted] = field(default_factory=list)
    deliveries: list[KeptDelivery] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
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
class Stretch:
    """A stretch of time in which something held; `what`, where there are several."""

    begin: float
    end: float
    what: str = ""


@dataclass
class History:
    """All of a run. `calm` are stretches without a fault in which all gateways were linked.

    `disks`: the gateways keep what they must over a restart. `buried_at` is when a gateway died for
    good, and which clients with it. `joined` and what follows it is what was seen from outside.
    """

    disks: bool = False
    publications: list[Publication] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    tellers: dict[str, Kept] = field(default_factory=dict)  # sessions of publishers
    requests: list[Request] = field(default_factory=list)
    awake: list[Awake] = field(default_factory=list)
    calm: list[tuple[float, float]] = field(default_factory=list)
    joined: dict[tuple[str, str], list[Stretch]] = field(default_factory=dict)  # two boxes
    near: dict[tuple[str, str], list[Stretch]] = field(
        default_factory=dict
    )  # both run, nothing is cut
    starts: dict[str, list[float]] = field(default_factory=dict)  # of each box
    well: dict[str, list[Stretch]] = field(default_factory=dict)  # boxes that run, and their disks
    two_copies: dict[str, list[Stretch]] = field(default_factory=dict)  # `what` has the second
    tears: list[Stretch] = field(default_factory=list)  # when some did not hear others, or slept
    disks_lost: dict[str, float] = field(default_factory=dict)  # boxes, and when
    not_copied: list[str] = field(default_factory=list)  # found while it ran
    copies_read: int = 0
    copied_until: float = float("-inf")  # when a disk was destroyed of which there were two copies
    no_road: list[str] = field(default_factory=list)  # found while it ran
    settled_at: float = NEVER
    ended_at: float = NEVER
    buried_at: float = NEVER
    mourned: list[Session] = field(default_factory=list)

    def is_released_again(self, publication: Publication, box: str) -> bool:
        """Whether subscribers at this other gateway may get a QoS 2 message once more: its own had it
        released and sent on when it crashed, and did not know any more when it started, because that
        was not on disk, or because the card lost what it had written."""
        if not self.disks or publication.qos != 2:
            return False
        places = [place for place in publication.places() if place != box]
        since, until = publication.released_at, publication.acked_at
        return self.lost_later(publication) or any(self._fell(p, since, until) for p in places)

    def _fell(self, box: str, since: float, until: float) -> bool:
        """Whether it was down, or slept, at some time of these."""
        return any(e.box == box and since - LOOK_S <= e.end <= until + LOOK_S for e in self.awake)

    def lost_later(self, publication: Publication) -> bool:
        """Whether a gateway that it was sent to lost what was on its disk after that."""
        lost = (self.disks_lost.get(box, float("-inf")) for box in publication.places())
        return publication.sent_at <= max(lost)

    def is_calm(self, begin: float, end: float) -> bool:
        """Whether nothing was wrong from `begin` to `end`."""
        return any(start <= begin and end <= stop for start, stop in self.calm)

    def were_joined(self, one: str, other: str, begin: float, end: float) -> bool:
        """Whether two boxes were linked all the time, nothing being cut, or all were, some over a third
        one; a box is joined with itself."""
        if self.is_calm(begin, end):
            return True
        return one == other or _holds(self.joined.get(_pair(one, other), ()), begin, end)

    def were_near(self, one: str, other: str, begin: float, end: float) -> bool:
        """Whether both ran all the time, and nothing was cut between them."""
        return one == other or _holds(self.near.get(_pair(one, other), ()), begin, end)

    def all_joined(self, boxes: Sequence[str], begin: float, end: float) -> bool:
        """Whether each of them was joined with each."""
        return all(self.were_joined(*pair, begin, end) for pair in combinations(boxes, 2))

    def was_well(self, box: str, begin: float, end: float) -> bool:
        """Whether it ran all the time, with its disk in order."""
        return _holds(self.well.get(box, ()), begin, end)

    def copy_of(self, box: str, since: float, begin: float, end: float) -> str:
        """Who had the second copy of all that a box had `since` then, as of when it fell, and has it
        still; empty: nobody, or the box is not gone, or has what it had."""
        lost_at = self.disks_lost.get(box, NEVER)
        awake = [each for each in self.awake if each.box == box and each.begin <= end]
        fell_at = awake[-1].end if awake else NEVER
        if since <= lost_at <= begin:
            fell_at = lost_at
        said = [each for each in self.two_copies.get(box, ()) if each.begin <= fell_at]
        if fell_at > begin or not said or said[-1].end < fell_at - LOOK_S:
            return ""
        keeper = said[-1].what
        return keeper if self.was_well(keeper, said[-1].end, end) else ""

    def two_copies_at(self, box: str, at: float) -> float:
        """When it last said so, until then."""
        said = [each for each in self.two_copies.get(box, ()) if each.begin <= at]
        return min(said[-1].end, at) if said else float("-inf")

    def was_torn(self, begin: float, end: float) -> bool:
        """Whether some gateways that ran may not have heard others at some time of these."""
        return any(begin <= tear.end and tear.begin <= end for tear in self.tears)

    def healed_at(self, since: float) -> float:
        """When all was well again, for the first time from then on."""
        return min((max(begin, since) for begin, end in self.calm if end > since), default=NEVER)

    def is_up(self, box: str, since: float) -> bool:
        """Whether the box ran from then on to the end, without a pause."""
        return any(
            each.box == box and each.begin <= since and each.end == NEVER for each in self.awake
        )


def _pair(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


def _holds(stretches: Sequence[Stretch], begin: float, end: float) -> bool:
    return any(each.begin <= begin and end <= each.end for each in stretches)
