"""What is promised of a session that moves depends on what its gateways could know of each other.

A move is smooth when whoever may have the session was joined with the gateway where the client came,
and their disks were in order; or, if one was gone, whoever had the second copy of all that it had. Any
other move is rough: the session may have gone on with less than it had, and until all gateways are
linked again, and a little longer, it may be at two of them. Must not know checkers.
"""

from dataclasses import dataclass

from tests.sim.history import NEVER, History, Kept, Publication, Visit

MARGIN_S = 0.2  # two looks of the watcher
ANSWER_S = 2.0  # a gateway goes on to fetch a session though its client has left
STREAMED_S = 3.0  # behind CONNACK, until the rest of a queue is there
MERGED_S = 4.0  # once all are linked: what is left over is offered each second, and comes


@dataclass(frozen=True, slots=True)
class Rough:
    """A move after which the session may be at two gateways, from `begin` on. What is sent until
    `healed` may come from both, but for what was delivered before `since`. `bare`: the client may have
    been served with less than there was."""

    begin: float
    healed: float
    since: float
    bare: bool
    answered: bool


class Moves:
    """Of one session."""

    def __init__(self, history: History, kept: Kept) -> None:
        self._history = history
        self._kept = kept
        visits = () if kept.box else kept.visits
        self._rough = [r for visit in visits if (r := self._look_at(visit)) is not None]

    def homes(self, begin: float, end: float) -> list[str]:
        """Where the session may have been in this time; the last one that answered comes first."""
        if self._kept.box:
            return [self._kept.box]
        return list(dict.fromkeys(visit.box for visit in self._served(begin, end)))

    def _served(self, begin: float, end: float) -> list[Visit]:
        """The visit that was the last to be answered, and what came behind it."""
        answered = [each for each in self._kept.visits if each.answered_at <= begin]
        since = answered[-1].sent_at if answered else float("-inf")
        return [each for each in self._kept.visits if since <= each.sent_at <= end]

    def may_come_again(self, sent_at: float, before: float, again: float) -> bool:
        """Whether what came at `before` may come again then."""
        return any(
            rough.bare
            and rough.since <= before
            and rough.begin <= again
            and sent_at <= rough.healed
            for rough in self._rough
        )

    def may_come_late(self, sent_at: float, at: float) -> bool:
        """Whether what comes then may come behind what was sent later."""
        return any(rough.begin <= at and sent_at <= rough.healed for rough in self._rough)

    def may_begin_anew(self, until: float) -> bool:
        """Whether the client went on twice without all that there was of its session."""
        return sum(rough.bare and rough.begin <= until for rough in self._rough) >= 2

    def lost_at(self) -> list[float]:
        """When the client was told that it has no session, having had one."""
        return [at for _, at in self._kept.lost_at]

    def may_have_begun_anew(self) -> bool:
        """Whether it may have done so and not heard of it."""
        unheard = [each.begin for each in self._rough if each.bare and not each.answered]
        return any(self.may_begin_anew(begin) for begin in unheard)

    def may_be_lost(self, box: str, sent_at: float, lost_at: float) -> bool:
        """Whether what was sent then may have been on the disk of this box alone when that was lost."""
        if sent_at > lost_at:
            return False
        apart = any(each.begin <= lost_at <= each.healed for each in self._rough)
        return apart or box in self.homes(lost_at - STREAMED_S, lost_at)

    def _look_at(self, visit: Visit) -> Rough | None:
        begin, end = visit.sent_at, min(visit.answered_at, visit.over_at + ANSWER_S)
        visits = self._served(begin, begin)
        bare = not self._is_smooth(visits, begin - MARGIN_S, end + MARGIN_S)
        if not bare and self._is_smooth(visits, begin, end + STREAMED_S):
            return None
        history = self._history
        healed = history.healed_at(end) + MERGED_S
        since = min(history.two_copies_at(each.box, begin) for each in visits)
        return Rough(begin, healed, since, bare, visit.answered_at < NEVER)

    def _is_smooth(self, visits: list[Visit], begin: float, end: float) -> bool:
        """Whether the last one of these was."""
        history, places = self._history, []
        end = min(end, history.ended_at)
        for visit in visits:
            keeper = history.copy_of(visit.box, visit.sent_at, begin, end)
            lost = visit.sent_at <= history.disks_lost.get(visit.box, NEVER) <= end
            if lost and not keeper:
                return False
            places.append(keeper or visit.box)
        places = list(dict.fromkeys(places))
        if len(places) == 1:
            return True
        well = all(history.was_well(box, begin, end) for box in places)
        return well and history.all_joined(places, begin, end)


class Tellers:
    """Of the sessions of publishers: what of theirs may come again, or late."""

    def __init__(self, history: History) -> None:
        self._moves = {name: Moves(history, kept) for name, kept in history.tellers.items()}

    def may_come_again(self, publication: Publication, before: float, again: float) -> bool:
        """Whether a message that came at `before` may come again then."""
        moves = self._moves.get(publication.publisher)
        return moves is not None and moves.may_come_again(publication.sent_at, before, again)

    def may_come_late(self, publication: Publication, at: float) -> bool:
        """Whether a message that comes then may come behind what was sent later."""
        moves = self._moves.get(publication.publisher)
        return moves is not None and moves.may_come_late(publication.sent_at, at)

    def lost_sessions(self) -> list[str]:
        """Who was told without need that it has no session."""
        return [
            f"{name} lost its session at {at:.4f}"
            for name, moves in self._moves.items()
            for at in moves.lost_at()
            if not moves.may_begin_anew(at)
        ]
