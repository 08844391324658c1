"""Which addresses are dialled, and when again."""

from random import Random

from gateway.limits import DIAL_BACKOFF_MAX_S, DIAL_BACKOFF_MIN_S, TARGETS_MAX
from gateway.mesh.dialling import Dialling

HERE = ("192.0.2.1", 7883)


def test_each_failure_makes_the_pause_longer_up_to_a_limit() -> None:
    dialling = Dialling("a", Random(1))
    dialling.add(HERE, "", 0.0)
    now, pauses = 0.0, []
    for _ in range(8):
        assert dialling.due(set(), now) == [HERE]
        assert dialling.due(set(), now) == []  # one attempt at a time
        dialling.failed(HERE, now)
        pauses.append(dialling.deadline(set()) - now)
        now = dialling.deadline(set())
    assert DIAL_BACKOFF_MIN_S * 0.75 <= pauses[0] <= DIAL_BACKOFF_MIN_S * 1.25
    assert DIAL_BACKOFF_MAX_S * 0.75 <= pauses[-1] <= DIAL_BACKOFF_MAX_S * 1.25
    assert sorted(pauses[:4]) == pauses[:4]


def test_an_answer_makes_the_next_pause_short_again() -> None:
    dialling = Dialling("a", Random(1))
    dialling.add(HERE, "", 0.0)
    for _ in range(6):
        dialling.failed(HERE, 0.0)
    dialling.answered(HERE, "b")
    dialling.failed(HERE, 100.0)
    assert dialling.deadline(set()) < 100.0 + DIAL_BACKOFF_MIN_S * 1.3


def test_news_of_an_address_ends_the_back_off() -> None:
    dialling = Dialling("a", Random(1))
    dialling.add(HERE, "b", 0.0)
    for _ in range(6):
        dialling.failed(HERE, 0.0)
    dialling.add(HERE, "b", 0.1)
    assert dialling.deadline(set()) <= 0.1 + DIAL_BACKOFF_MIN_S


def test_a_gateway_that_is_linked_is_not_dialled() -> None:
    dialling = Dialling("a", Random(1))
    dialling.add(HERE, "b", 0.0)
    assert dialling.due({"b"}, 1.0) == []
    assert dialling.deadline({"b"}) == float("inf")
    assert dialling.due(set(), 1.0) == [HERE]


def test_addresses_are_bounded_and_what_is_none_is_ignored() -> None:
    dialling = Dialling("a", Random(1))
    dialling.add(("", 7883), "", 0.0)
    dialling.add(("192.0.2.1", 0), "", 0.0)
    for number in range(TARGETS_MAX + 10):
        dialling.add((f"host-{number}", 7883), "", 0.0)
    assert len(dialling.due(set(), 0.0)) == TARGETS_MAX
