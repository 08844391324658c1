"""What an idle client takes in memory: there are ten thousand of them."""

from gateway.broker.backlog import Backlog
from tests.broker.world import World


def test_a_connection_has_no_table_of_its_attributes() -> None:
    client = World().connected("c")
    assert not hasattr(client.connection, "__dict__")


def test_an_idle_session_has_no_line() -> None:
    one, other = (World().connected(name).connection.session for name in "ab")
    assert one is not None and other is not None
    assert isinstance(one.backlog, Backlog)
    assert one.backlog.line is other.backlog.line
