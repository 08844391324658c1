"""The copy of this gateway's store, from the owner's side: what goes there, and who waits for it.

Every batch of the journal goes to the stand-in as it begins, and is kept here until it is on the disk
there (`freight.py`). When a link comes up the stand-in says what it has: if what is kept here goes on
from there, it is gone on with; if not, the copy is made anew, in slices between the batches, one after
the other and with as much rest as they took. Answers wait for the copy only while it keeps up: a
stand-in that is away, or keeps somebody waiting for too long, is not waited for until it has caught up.

Of an earlier start of this gateway only the end is known: a copy that is there is gone on with. One that
is a batch ahead, for the power failed between shipping and writing, is made anew, as nobody was answered
for that batch. One that is further ahead, or is of a store that is lost, is kept beside the new one: it
has what is missing here. Must not know records or disks.
"""

from collections import deque
from enum import Enum

from gateway.copy_place import CopyPlace
from gateway.limits import COPY_BACKLOG_BYTES_MAX
from gateway.mesh.frames import CopyAsk, CopyFrom, CopyHave, CopyKept, CopyRefused
from gateway.mesh.freight import Freight, Item
from gateway.mesh.life import Life
from gateway.mesh.link import Link, LinkState
from gateway.mesh.peer import COPIES, Peer
from gateway.mesh.state import MeshState
from gateway.timers import FOREVER

WAIT_MAX_S = 0.25  # that somebody waits for the stand-in alone
CAUGHT_UP_S = 0.125  # the age of the oldest batch that it has not, when it is waited for again
REST_MAX_S = 1.0  # between two slices
LEFT_MAX_S = 10.0  # a copy is half made, and its place away: what becomes of messages is remembered
REFUSED_S = 60.0  # until one that could not keep it is asked again
PAUSE_MIN_S, PAUSE_MAX_S = 10.0, 600.0  # before a copy that fell too far behind is made again
STEADY_S = 600.0  # one that lasted so long was worth it
END, WHOLE = 2, 3  # of the parts of a writing again: it is the last


class Standing(Enum):
    """How it is with the copy; the words are for the status."""

    NOBODY = "nobody"  # is there to keep one
    AWAY = "away"  # is the stand-in: not linked, or dead
    ASKED = "asked"  # and has not said yet what it has
    REFUSED = "refused"  # it cannot keep one
    RESTING = "resting"  # the next try of a copy is not due
    MAKING = "making"  # all that lives is on its way
    BEHIND = "behind"  # it has all, but not the newest
    TOGETHER = "together"  # two copies of everything


SPEAKING = (Standing.MAKING, Standing.BEHIND, Standing.TOGETHER)


class Copier:
    """Fulfils the broker's `Copier`. `found` comes before the first batch.

    `since` is since when it stands as it does, and `why`, in words, where that needs some;
    `single_since` since when there is one copy only.
    """

    def __init__(self, state: MeshState) -> None:
        self.standing = Standing.NOBODY
        self.since = self.single_since = state.now
        self.why = ""
        self.not_waited = 0  # times that it was no longer waited for, though the stand-in lives
        self.made = 0  # copies that were begun anew
        self.made_bytes = 0  # of all that lives, in the one that was begun last
        self.freight = Freight()
        self._state = state
        self._store = ""
        self._sound = True
        self._ended = 0  # the last batch of the starts before
        self._with = ""  # the gateway with which all below is agreed
        self._link: Link | None = None
        self._copy = ""
        self._whole = False
        # the freight goes on from here; None: it does not
        self._base: tuple[int, int] | None = None
        self._slices = 0
        self._number = 0
        self._from = 0  # the last batch that did not wait for it
        # batches that somebody waits for, until when
        self._owed: deque[tuple[int, float]] = deque()
        self._whole_since = state.now
        self._copying = False  # slices are to come
        self._slice_at = state.now  # when the last one left
        self._slice_due = FOREVER
        self._try_at = 0.0
        self._pause_s = PAUSE_MIN_S

    def found(self, store: str, number: int, sound: bool) -> None:
        """What the log here says at the start: whose it is, its last batch, whether it is all there."""
        self._store, self._ended, self._sound = store, number, sound
        self._number = number
        if self._state.stand_in:
            self._with, self._base = self._state.stand_in, (number, 0)
            self._stand(Standing.AWAY)

    @property
    def stand_in(self) -> str:
        """The gateway that this is about, or empty."""
        return self._with

    @property
    def keeps(self) -> bool:
        """Whether there is anything to be copied: this gateway has a disk."""
        return bool(self._store)

    @property
    def two_copies(self) -> bool:
        """Whether all that was acknowledged is at the stand-in, too."""
        base = self._base
        return self.standing is Standing.TOGETHER and base is not None and base[0] >= self._from

    # what the broker asks (its Copier)

    def takes(self) -> bool:
        """Whether batches are to be shipped: there is a copy, or will be, that goes on with them."""
        return self._base is not None

    def ship(self, number: int, payload: bytes, now: float) -> None:
        """A batch begins."""
        self._state.now, self._number = now, number
        self._add(Item(number, self._slices, payload, now))

    def ship_slice(self, payload: bytes, part: int, now: float) -> None:
        """Some of all that lives; `part`: 1 the first, 2 the last, 3 both, 0 neither."""
        self._state.now = self._slice_at = now
        self._slices += 1
        self.made_bytes += len(payload)
        last = part in (END, WHOLE)
        self._copying = not last
        whole = last and not self._whole
        self._add(Item(self._number, self._slices, payload, now, True, part, whole))

    def owes(self, number: int, now: float) -> bool:
        """Whether the answers of a batch that is on disk here wait for the copy."""
        if self.standing is not Standing.TOGETHER or self._base is None or self._base[0] >= number:
            return False
        self._owed.append((number, now + WAIT_MAX_S))
        return True

    # what the mesh tells

    def look(self) -> None:
        """Brings it up to date with who is there and what is due."""
        state = self._state
        if self._with != state.stand_in:
            self._begin_with(state.stand_in)
        link = _link_to(state.peers.get(self._with))
        if link is not self._link:
            self._hang_up()
            self._link = link
        if self._copying and self.standing is Standing.AWAY and state.now - self.since > LEFT_MAX_S:
            self._give_up(Standing.AWAY)
        waiting = (Standing.AWAY, Standing.REFUSED, Standing.RESTING)
        if link is not None and self.standing in waiting and self._try_at <= state.now:
            self._stand(Standing.ASKED)
            link.say(CopyAsk())
        if self._owed and self._owed[0][1] <= state.now:
            self.not_waited += 1
            self._stand(Standing.BEHIND, "it keeps others waiting")
        state.copied_store = self._store if self._whole and self._base is not None else ""
        self._go_on()

    def deadline(self) -> float:
        """When `look` has something to do, as far as that is known."""
        owed = self._owed[0][1] if self._owed else FOREVER
        tries = (Standing.REFUSED, Standing.RESTING)
        again = self._try_at if self._link is not None and self.standing in tries else FOREVER
        return min(owed, again, self._slice_due if self._may_slice() else FOREVER)

    def on_have(self, link: Link, frame: CopyHave) -> None:
        """The stand-in says what it has."""
        if link is not self._link or self.standing is not Standing.ASKED:
            return
        for place in frame.places:
            if self._fits(place):
                self._resume(link, place)
                return
        lost = any(place.whole and self._is_lost_here(place) for place in frame.places)
        self._make(link, lost)

    def on_kept(self, link: Link, frame: CopyKept) -> None:
        """The stand-in has more on disk, or takes more."""
        if link is not self._link or self.standing not in SPEAKING:
            return
        self.freight.taken(frame.parts)
        for item in self.freight.kept((frame.number, frame.slices)):
            self._base = item.at
            self._is_kept(item)
        while self._owed and self._owed[0][0] <= frame.number:
            self._owed.popleft()
        self._state.local.copied(frame.number, self._state.now)
        if self.standing is Standing.BEHIND:
            self._perhaps_together()
        if self._whole and frame.wish and not self._copying:
            self._write_again(frame.wish)
        self._go_on()

    def on_refused(self, link: Link, frame: CopyRefused) -> None:
        """The stand-in cannot keep it. Another one is chosen, if there is one."""
        if link is not self._link:
            return
        peer = self._state.peers[self._with]
        peer.refused_copy_until = self._try_at = self._state.now + REFUSED_S
        self._give_up(Standing.REFUSED, frame.why)

    # inside

    def _stand(self, standing: Standing, why: str = "") -> None:
        if standing is not self.standing:
            self.since = self._state.now
            if self.standing is Standing.TOGETHER:
                self.single_since = self.since
        self.standing, self.why = standing, why
        if standing is not Standing.TOGETHER:
            self._owed.clear()
            self._state.local.copied(None, self._state.now)

    def _begin_with(self, gateway: str) -> None:
        """Another gateway is the stand-in: it has nothing of this."""
        self._give_up(Standing.AWAY if gateway else Standing.NOBODY)
        self._with, self._link, self._copy = gateway, None, ""
        self._try_at = 0.0

    def _hang_up(self) -> None:
        """The link is over, or the stand-in is silent; what it has not stays here, up to a bound."""
        self.freight.rewind()
        self._slice_due = FOREVER
        if self._whole:
            self._end_copying()
        if self.standing in SPEAKING or self.standing is Standing.ASKED:
            self._stand(Standing.AWAY)

    def _give_up(self, standing: Standing, why: str = "") -> None:
        """What is there cannot be gone on with."""
        self.freight.clear()
        self._base, self._whole = None, False
        self._end_copying()
        self._stand(standing, why)

    def _end_copying(self) -> None:
        if self._copying:
            self._state.local.end_copy()
        self._copying, self._slice_due = False, FOREVER

    def _fits(self, place: CopyPlace) -> bool:
        """Whether what is kept here goes on from there."""
        if self._base is None or place.store != self._store:
            return False
        if place.run == self._state.identity.nonce:
            known = place.copy == self._copy and (place.whole or not self._whole)
            return known and self._base <= place.at <= (self._number, self._slices)
        ended = self._base[0] == place.number == self._ended
        # it may have said so before, and not have written since
        known = self._copy in ("", place.copy)
        return place.whole and self._sound and ended and known

    def _is_lost_here(self, place: CopyPlace) -> bool:
        if place.store != self._store:
            return True
        if place.run == self._state.identity.nonce:
            return False
        return not self._sound or place.number > self._ended + 1

    def _resume(self, link: Link, place: CopyPlace) -> None:
        if place.run != self._state.identity.nonce:
            self._copy = place.copy
            place = place.but(run=self._state.identity.nonce, slices=self._slices)
        self.freight.begin_behind(place.at)
        self._base, self._whole = place.at, place.whole
        link.say(CopyFrom(place, anew=False))
        self._stand(Standing.BEHIND if self._whole else Standing.MAKING)
        if self._copying:
            self._slice_due = self._state.now
        self._perhaps_together()
        self._go_on()

    def _make(self, link: Link, keep_old: bool) -> None:
        """All that lives goes there, once more."""
        state = self._state
        self._give_up(Standing.MAKING)
        self.made += 1
        self.made_bytes = 0
        time_ms, counter, _ = state.clock.stamp(state.now)
        self._copy, self._slices = f"{time_ms}-{counter}", 0
        self._number = state.local.begin_copy(anew=True)
        self._base = (self._number, 0)
        self._copying, self._slice_due = True, state.now
        me = state.identity.nonce
        place = CopyPlace(self._copy, self._store, me, self._number, 0, False)
        link.say(CopyFrom(place, anew=True, keep_old=keep_old))
        self._go_on()

    def _write_again(self, wish: int) -> None:
        """The log of the copy is long: all that lives goes to its end, and it stays whole."""
        if wish > 1 or self._state.local.copy_is_long():
            self._state.local.begin_copy(anew=False)
            self._copying, self._slice_due = True, self._state.now

    def _add(self, item: Item) -> None:
        self.freight.add(item)
        if self.freight.bytes > COPY_BACKLOG_BYTES_MAX:
            self._fall_behind()
        else:
            self._send()

    def _fall_behind(self) -> None:
        """More waits for it than may: it has to be made anew, later and later if that happens again."""
        if self.standing not in SPEAKING:
            self._give_up(self.standing, self.why)
            return
        now = self._state.now
        steady = self._whole and now - self._whole_since > STEADY_S
        self._pause_s = PAUSE_MIN_S if steady else min(self._pause_s * 2, PAUSE_MAX_S)
        self._try_at = now + self._pause_s
        self._give_up(Standing.RESTING, "it fell too far behind")

    def _send(self) -> None:
        if self._link is None or self.standing not in SPEAKING:
            return
        while (piece := self.freight.next_piece()) is not None:
            self._link.say(piece)

    def _go_on(self) -> None:
        """Sends what may be sent; the next slice, when the one before is kept and a rest is over."""
        self._send()
        if self._slice_due <= self._state.now and self._may_slice():
            self._slice_due = FOREVER
            self._state.local.copy_slice(self._state.now)

    def _may_slice(self) -> bool:
        """Whether the next slice only waits for its time."""
        speaking = self._link is not None and self.standing in SPEAKING and self._copying
        is_out = self._base is None or self._base[1] < self._slices
        return speaking and not is_out and self.freight.is_all_sent()

    def _is_kept(self, item: Item) -> None:
        now = self._state.now
        if item.is_slice and self._copying:
            self._slice_due = now + min(now - self._slice_at, REST_MAX_S)
        if item.last:
            self._whole, self._whole_since = True, now
            self._stand(Standing.BEHIND)

    def _perhaps_together(self) -> None:
        oldest = self.freight.oldest()
        caught_up = oldest is None or self._state.now - oldest.shipped < CAUGHT_UP_S
        if self._whole and caught_up:
            self._from = self._number
            self._stand(Standing.TOGETHER)


def _link_to(peer: Peer | None) -> Link | None:
    """The link over which a copy can be kept there now."""
    if peer is None or peer.link is None or peer.link.state is not LinkState.UP:
        return None
    able = peer.life is Life.ALIVE and peer.speaks(COPIES) and peer.stores
    return peer.link if able else None
