"""What gateways say to each other about a session that moves: G has the client, H has the session.

    G > H      Claim       the client is here: give me its session
    H > G      Parcel      one piece of it, or Ended (a clean start), or Refused
    G > H      Kept        this piece is on my disk
    G > all    Moved       from here on this session is here
    P > H, G   Through     you have what was published here before I knew that
    H > G      Forgotten   my disk has nothing of it any more
    G > H      Abandoned   I cannot take it, keep it
    H > owner  Offered     I still have something of a session that is yours

If H is dead or does not answer, the gateway that keeps the copy of its store stands for it.

They travel in the numbered stream, in the order of the messages, so that a broken link costs none and
every gateway P switches in one instant. `token` names one move. Fields may be added, with a default.
What a parcel holds is the broker's to say (`broker/parcel.py`); this knows neither broker nor links.
"""

from typing import TypeAlias

import msgspec


class _Move(msgspec.Struct, frozen=True, tag_field="m"):
    """Any of those below."""

    client_id: str
    token: int


class Claim(_Move, frozen=True, tag="claim"):
    """`stamp` is when the client connected at the sender. `clean`: it wants no old session.

    `rest`: its owner is the sender already, and asks for what the receiver still has: all of it, or
    what stands in the queue behind message number `have`, or with `whole` all that is newer than that.
    `owner`: it is that gateway's, which does not answer, and is to be taken from the receiver's copy;
    `lost`: of the store that it had before, for it lives and has nothing.
    """

    stamp: tuple[int, int]
    clean: bool = False
    address: str = ""
    rest: bool = False
    have: int = 0
    owner: str = ""
    whole: bool = False
    lost: bool = False


class Parcel(_Move, frozen=True, tag="parcel"):
    """Piece `number` of a session, from 1 on; the first one has its `label`, but where the receiver has
    it (`Claim.have`). `ready`: all that was sent
    to the client is in, it may be served. `last`: nothing follows. `end`, if it is not 0: this is from a
    copy, and that is the last message number in it; `streams` are gateways, which start of each, and up
    to which entry of its stream the copy has what it said (`mesh/stream.py`)."""

    number: int
    label: bytes = b""
    records: bytes = b""
    ready: bool = False
    last: bool = False
    address: str = ""
    end: int = 0
    streams: tuple[tuple[str, str, int], ...] = ()


class Kept(_Move, frozen=True, tag="kept"):
    """Pieces up to this one."""

    number: int


class Ended(_Move, frozen=True, tag="ended"):
    """The old session is over, as was asked."""

    address: str = ""


class Refused(_Move, frozen=True, tag="refused"):
    """There is nothing here: ask `owner` (empty: there is no such session; the sender: it should be
    here, and the disk has lost it), or, if `late`, the client has connected elsewhere since."""

    owner: str = ""
    late: bool = False


class Moved(_Move, frozen=True, tag="moved"):
    """The session is the sender's. `source` is where it was. It came from the copy of the store of
    `owner` if that is not empty: which has what the receiver, as of its `start`, said up to entry
    `number`."""

    source: str
    owner: str = ""
    start: str = ""
    number: int = 0


class Through(_Move, frozen=True, tag="through"):
    """What I publish from here on is for the session at the gateway that said Moved."""


class Forgotten(_Move, frozen=True, tag="forgotten"):
    """Until this is said the receiver remembers how much of the queue it has."""


class Abandoned(_Move, frozen=True, tag="abandoned"):
    """The sender gives the move up."""


class Offered(_Move, frozen=True, tag="offered"):
    """`line` is the session's (`broker/registry.py`): of another line nothing is wanted. So many
    messages are `waiting`."""

    line: int
    waiting: int = 0


Move: TypeAlias = (
    Claim | Parcel | Kept | Ended | Refused | Moved | Through | Forgotten | Abandoned | Offered
)
