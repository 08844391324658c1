"""What an operator at one gateway asks all others, and who has not answered yet.

    Ask >      a listing, one client, or a client to be sent away
    < Answer   what is there of it

Every gateway that is known and does not answer is named, with the reason. Must not know what is asked,
or what an answer says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.control_lines import ANSWER_BYTES_MAX
from gateway.limits import QUESTION_TIMEOUT_S
from gateway.mesh.frames import Answer, Ask, encode
from gateway.mesh.life import Life
from gateway.mesh.peer import QUESTIONS, Peer
from gateway.timers import FOREVER

TIMED_OUT = f"it did not answer within {QUESTION_TIMEOUT_S:g} s"
LINK_BROKE = "its link broke"


class Asker(Protocol):
    """Who asks; it is called within the turn of `ask`, too."""

    def answered(self, gateway: str, document: dict[str, Any] | None) -> None:
        """What is at the gateway of this name; None: nothing."""

    def silent(self, gateway: str, why: str) -> None:
        """The gateway of this name does not answer."""

    def done(self) -> None:
        """No more comes."""


@dataclass(slots=True)
class _Question:
    due: float
    asker: Asker
    awaited: dict[str, str]  # names of gateways by id


class Questions:
    """The questions that were asked here. How many there are the control socket bounds."""

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[int, _Question] = {}

    def ask(self, question: Ask, peers: Iterable[Peer], asker: Asker, now: float) -> None:
        """Asks every gateway; the question's own number does not count."""
        self._last += 1
        asked = _Question(now + QUESTION_TIMEOUT_S, asker, {})
        frame = Ask(self._last, question.what, question.client, question.limit, question.orphans)
        for peer in peers:
            why = why_not_asked(peer)
            if why:
                asker.silent(peer.name, why)
                continue
            assert peer.link is not None, "it can be asked"
            peer.link.say(frame)
            asked.awaited[peer.gateway] = peer.name
        self._open[self._last] = asked
        self._perhaps_done(self._last)

    def answered(self, peer: Peer, answer: Answer) -> None:
        """A gateway answers; what comes too late is passed over."""
        question = self._open.get(answer.number)
        if question is None or question.awaited.pop(peer.gateway, None) is None:
            return
        if answer.why:
            question.asker.silent(peer.name, answer.why)
        else:
            question.asker.answered(peer.name, answer.document)
        self._perhaps_done(answer.number)

    def unlinked(self, peer: Peer) -> None:
        """A gateway's link is over: it does not answer any more."""
        for number, question in list(self._open.items()):
            if question.awaited.pop(peer.gateway, None) is not None:
                question.asker.silent(peer.name, LINK_BROKE)
                self._perhaps_done(number)

    def wake(self, now: float) -> None:
        """Gives up those who take too long."""
        for number, question in list(self._open.items()):
            if question.due <= now:
                for name in question.awaited.values():
                    question.asker.silent(name, TIMED_OUT)
                question.awaited.clear()
                self._perhaps_done(number)

    def deadline(self) -> float:
        """When the first of them is given up."""
        return min((question.due for question in self._open.values()), default=FOREVER)

    def _perhaps_done(self, number: int) -> None:
        question = self._open[number]
        if not question.awaited:
            del self._open[number]
            question.asker.done()


def why_not_asked(peer: Peer) -> str:
    """Why this gateway cannot be asked now; "": it can."""
    if peer.life is Life.DEAD:
        return "it is dead"
    if peer.link is None or not peer.streaming:
        return "there is no link to it"
    return "" if peer.speaks(QUESTIONS) else "its version is too old to be asked"


def encoded(answer: Answer) -> bytes:
    """The frame of an answer, if that is no longer than gwctl would read."""
    frame = encode(answer)
    if len(frame) <= ANSWER_BYTES_MAX:
        return frame
    return encode(Answer(answer.number, None, "its answer is too long; ask for less with --limit"))
