"""The empty table that sessions share (gateway/broker/nothing.py)."""

from copy import deepcopy

import pytest

from gateway.broker.nothing import NOTHING
from gateway.mqtt.packets import Publish
from tests.broker.world import World


def test_it_has_nothing_and_takes_nothing() -> None:
    assert not NOTHING
    assert NOTHING.pop(1, None) is None
    with pytest.raises(AssertionError):
        NOTHING[1] = 1
    assert deepcopy([NOTHING])[0] is NOTHING


def test_a_session_has_tables_of_its_own_when_it_puts_something_in() -> None:
    world = World()
    client, other = world.connected("c"), world.connected("o")
    session = client.connection.session
    assert session is not None
    tables = ("inflight", "received_mids", "subscriptions", "unreleased", "unsent")
    assert all(getattr(session, name) is NOTHING for name in tables)
    client.subscribe("t", 1)
    client.send(Publish("t", b"1", 1, packet_id=1), Publish("t", b"2", 2, packet_id=2))
    assert [*session.subscriptions] == ["t"]
    assert [*session.inflight] == [1]
    assert [*session.unreleased] == [2]
    assert other.connection.session is not None
    assert all(getattr(other.connection.session, name) is NOTHING for name in tables)
