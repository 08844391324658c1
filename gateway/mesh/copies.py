"""The copies of other gateways' stores that are kept here: what owners send, on its way to the disk.

An owner asks what is here, says from where it goes on, and sends batches and slices in pieces. Each goes
to the disk as it is whole, in order; the owner hears when it is there. What waits for the disk is
bounded over all owners together: beyond it pieces are not acknowledged, so that no more follow. A copy
is deleted when its owner has another one, whole, elsewhere. Must not know records or files.
"""

from collections import deque
from dataclasses import dataclass, field

from gateway.copy_place import CopyPlace
from gateway.effects import BeginCopy, DropCopies, FindCopies, WriteCopy
from gateway.errors import LinkError
from gateway.limits import COPY_BACKLOG_BYTES_MAX, COPY_WAITING_BYTES_MAX
from gateway.mesh.frames import CopyAsk, CopyFrom, CopyHave, CopyKept, CopyPart, CopyRefused
from gateway.mesh.link import Link
from gateway.mesh.state import MeshState


@dataclass(slots=True)
class Kept:
    """One owner's copy, as agreed with it on this link."""

    link: Link
    place: CopyPlace  # behind what was handed to the disk
    on_disk: CopyPlace
    told: CopyKept
    pieces: list[bytes] = field(default_factory=list)  # of what is not whole yet
    pieces_bytes: int = 0
    came: int = 0  # pieces, on this link
    writing: deque[int] = field(default_factory=deque)  # the sizes of what the disk has not
    wish: int = 0


class Copies:
    """By the owner's gateway id. Those of which something lies on the disk here are in the state."""

    def __init__(self, state: MeshState) -> None:
        self._state = state
        self._asked: dict[str, Link] = {}
        self._kept: dict[str, Kept] = {}
        self._dropped: dict[str, str] = {}  # the store of which the copies were last given up

    # what an owner says

    def on_ask(self, link: Link, frame: CopyAsk) -> None:
        """It wants to know what is here."""
        self._kept.pop(link.gateway, None)
        if not self._state.local.stores():
            link.say(CopyRefused("it does not store"))
            return
        self._asked[link.gateway] = link
        self._state.effects.append(FindCopies(link.gateway))

    def on_from(self, link: Link, frame: CopyFrom) -> None:
        """What follows belongs there."""
        owner, place = link.gateway, frame.place
        told = CopyKept(0, place.number, place.slices)
        self._kept[owner] = Kept(link, place, place, told)
        self._dropped.pop(owner, None)
        if frame.anew:
            self._state.copies[owner] = None
            self._state.effects.append(BeginCopy(owner, place, frame.keep_old))

    def on_part(self, link: Link, frame: CopyPart) -> None:
        """A piece of what belongs there."""
        kept = self._kept.get(link.gateway)
        if kept is None or kept.link is not link:
            return  # it was refused meanwhile
        kept.came += 1
        kept.pieces.append(frame.payload)
        kept.pieces_bytes += len(frame.payload)
        if kept.pieces_bytes > COPY_BACKLOG_BYTES_MAX:
            raise LinkError("malformed", "more of a copy at once than a gateway may have waiting")
        if frame.more:
            return
        payload, kept.pieces, kept.pieces_bytes = b"".join(kept.pieces), [], 0
        kept.writing.append(len(payload))
        place = kept.place
        whole = place.whole or frame.last
        kept.place = place.but(number=frame.number, slices=frame.slices, whole=whole)
        part = frame.part if place.whole else 0  # in a new copy there is nothing to be freed
        self._state.effects.append(WriteCopy(link.gateway, kept.place, payload, part))

    def look(self) -> None:
        """Gives up what its owner has elsewhere; to be called now and then."""
        for owner in self._state.copies:
            peer = self._state.peers.get(owner)
            if peer is None or not peer.copied or self._dropped.get(owner) == peer.copied:
                continue
            if peer.stand_in != self._state.identity.gateway:
                self._kept.pop(owner, None)
                self._dropped[owner] = peer.copied
                self._state.effects.append(DropCopies(owner, peer.copied))

    # what the disk says

    def found(self, owner: str, places: list[CopyPlace], why: str) -> None:
        """What is here of its store; `why` nothing can be kept, or nothing."""
        link = self._asked.pop(owner, None)
        if link is None or link.closed:
            return
        link.say(CopyRefused(why) if why else CopyHave(places))

    def written(self, owner: str, place: CopyPlace, wish: int, why: str) -> None:
        """A copy is on disk up to this place; `why` it is not, or takes no more."""
        kept = self._kept.get(owner)
        if kept is None or place.copy != kept.place.copy:
            return  # of a link before
        if not why:
            kept.writing.popleft()
            kept.on_disk, kept.wish = place, wish
            return
        del self._kept[owner]
        if not kept.link.closed:
            kept.link.say(CopyRefused(why))

    def here(self, owner: str, anything: bool) -> None:
        """Whether there is anything of this gateway's stores on the disk."""
        if anything:
            self._state.copies[owner] = None
        else:
            self._state.copies.pop(owner, None)

    def tell(self) -> None:
        """The end of a turn: owners are told how far their copies are."""
        if not self._kept:
            return
        waiting = sum(sum(kept.writing) for kept in self._kept.values())
        for kept in self._kept.values():
            if kept.link.closed:  # what is not whole comes again on the next one
                kept.pieces, kept.pieces_bytes = [], 0
                continue
            held = waiting > COPY_WAITING_BYTES_MAX and kept.writing
            pieces = kept.told.parts if held else kept.came
            news = CopyKept(pieces, kept.on_disk.number, kept.on_disk.slices, kept.wish)
            if news != kept.told:
                kept.told = news
                kept.link.say(news)
