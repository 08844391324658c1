"""What an operator asks all gateways is answered by each, or it is said why not."""

from typing import Any

import pytest

from gateway.broker.connection import State
from gateway.control_lines import ANSWER_BYTES_MAX
from gateway.limits import QUESTION_TIMEOUT_S
from gateway.mesh.frames import Answer, Ask, Hello, Received, Start
from gateway.mesh.life import Life
from gateway.mesh.questions import LINK_BROKE, TIMED_OUT, encoded
from tests.mesh.room import Gate, Room, between, stranger


class Asker:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any] | None] = {}
        self.missing: dict[str, str] = {}
        self.over = 0

    def answered(self, gateway: str, document: dict[str, Any] | None) -> None:
        assert not self.over
        self.answers[gateway] = document

    def silent(self, gateway: str, why: str) -> None:
        assert not self.over
        self.missing[gateway] = why

    def done(self) -> None:
        self.over += 1


def ask(gate: Gate, what: str, client: str = "", limit: int = 100) -> Asker:
    asker = Asker()
    gate.mesh.operating.ask(Ask(0, what, client, limit), asker, gate.room.now)
    return asker


def test_every_gateway_tells_what_it_has() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    b.client("at-b")
    c.client("at-c")
    room.settle()
    asker = ask(a, "clients")
    assert not asker.over
    room.settle()
    assert asker.over == 1 and not asker.missing
    shown = {
        name: [row["client"] for row in document["clients"]]
        for name, document in asker.answers.items()
        if document is not None
    }
    assert shown == {"b": ["at-b"], "c": ["at-c"]}


def test_what_is_not_there_is_answered_as_nothing() -> None:
    room = Room()
    a, _b, c = room.linked("a", "b", "c")
    c.client("x")
    room.settle()
    for what in ("client", "queue"):
        asker = ask(a, what, "x")
        room.settle()
        assert asker.answers["b"] is None and asker.answers["c"] is not None


def test_a_client_is_sent_away_wherever_it_is_and_its_gateway_says_by_whom() -> None:
    room = Room()
    a, _b, c = room.linked("a", "b", "c")
    there = c.client("x")
    room.settle()
    asker = ask(a, "kick", "x")
    room.settle()
    assert asker.answers == {"b": None, "c": {}}
    assert there.connection.state is State.CLOSED
    assert any("the operator at a disconnects it" in note for note in c.notes)


def test_a_gateway_alone_has_its_answer_at_once() -> None:
    room = Room()
    asker = ask(room.gate("a"), "clients")
    assert asker.over == 1 and not asker.answers and not asker.missing


def test_who_does_not_answer_is_given_up_and_named() -> None:
    room = Room()
    a, _b, _c = room.linked("a", "b", "c")
    between(room, "a", "c").muted = {1}  # c's words wait
    asker = ask(a, "clients")
    room.settle()
    assert list(asker.answers) == ["b"] and not asker.over
    room.wait(QUESTION_TIMEOUT_S - 0.1)
    assert not asker.over
    room.wait(0.1)
    assert asker.over == 1 and asker.missing == {"c": TIMED_OUT}
    between(room, "a", "c").muted = set()
    room.settle()
    assert list(asker.answers) == ["b"]  # too late


def test_a_link_that_breaks_ends_the_waiting() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    between(room, "a", "b").muted = {1}
    asker = ask(a, "clients")
    between(room, "a", "b").cut()
    assert asker.over == 1 and asker.missing == {"b": LINK_BROKE}
    asker = ask(a, "clients")
    assert asker.over == 1 and asker.missing == {"b": "there is no link to it"}
    room.wait(4)
    assert a.peer("b").life is Life.DEAD
    assert ask(a, "clients").missing == {"b": "it is dead"}


def old_peer(room: Room, gate: Gate) -> Any:
    """A gateway z of the link protocol before."""
    _, say = stranger(room, gate)
    say(Hello(1, 1, "room", "z", "z", "store-z", 1, "n", "0.9", 5))
    say(Received("store-a", 1, 0))
    return say(Start(0))


def test_a_gateway_of_an_older_version_is_not_asked() -> None:
    room = Room()
    a = room.gate("a")
    old_peer(room, a)
    link = a.peer("z").link
    assert link is not None
    asker = ask(a, "clients")
    assert asker.missing == {"z": "its version is too old to be asked"}
    assert not link.out


def test_a_question_of_a_later_version_is_answered_as_unknown() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    asker = ask(a, "weather")
    room.settle()
    assert asker.missing == {"b": "its version does not know the question"}


@pytest.mark.parametrize("limit", [-5, 0, 10**9])
def test_a_listing_has_a_limit_whatever_is_asked(limit: int) -> None:
    room = Room()
    a, b = room.linked("a", "b")
    b.client("x")
    asker = ask(a, "clients", limit=limit)
    room.settle()
    document = asker.answers["b"]
    assert document is not None and len(document["clients"]) == 1


def test_an_answer_that_is_too_long_says_so() -> None:
    answer = Answer(7, {"text": "x" * ANSWER_BYTES_MAX})
    assert len(encoded(answer)) < 200
    assert b"too long" in encoded(answer)
