"""Tickets: the owner is told once, when the last one has done its part."""

import pytest

from gateway.tickets import Ticket


def test_the_owner_is_told_at_the_last_release() -> None:
    told: list[str] = []
    ticket = Ticket(lambda: told.append("free"))
    ticket.hold()
    ticket.hold()
    ticket.release()
    assert told == []
    assert ticket.waiting == 1
    ticket.release()
    assert told == ["free"]


def test_to_release_more_than_was_held_is_a_mistake_that_is_loud() -> None:
    ticket = Ticket(lambda: None)
    ticket.hold()
    ticket.release()
    with pytest.raises(AssertionError):
        ticket.release()
