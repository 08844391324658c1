"""What the operator sees of a broker: bounded, in a stable order, and true."""

from gateway.mqtt.packets import Disconnect
from gateway.mqtt.reasons import Reason
from tests.broker.world import V5, V311, World


def test_clients_are_listed_by_name_up_to_the_limit() -> None:
    world = World()
    for name in ("c", "a", "b"):
        world.connected(name)
    listed = world.broker.list_clients(2, world.now)
    assert [row["client"] for row in listed["clients"]] == ["a", "b"]
    assert listed["total"] == 3


def test_a_client_shows_where_it_is_since_when_and_what_it_wants() -> None:
    world = World()
    client = world.connected("a", V311, keep_alive_s=60)
    client.subscribe("x/#", 1)
    client.subscribe("b", 0)
    shown = world.broker.list_client("a", 10, world.now + 5)
    assert shown is not None
    assert shown["address"] == "192.0.2.7"
    assert (shown["version"], shown["keep_alive_s"], shown["connected_s"]) == ("3.1.1", 60, 5)
    assert [(row["filter"], row["qos"]) for row in shown["subscriptions"]] == [("b", 0), ("x/#", 1)]
    assert world.broker.list_client("nobody", 10, world.now) is None


def test_a_session_shows_whose_it_is_and_a_client_who_it_is() -> None:
    world = World()
    for name, user in (("a", "ann"), ("b", None)):
        client = world.client(name)
        client.connection.certified = user or ""
        client.connect(session_expiry_interval_s=60)
        assert client.take()
    shown = [world.broker.list_client(name, 10, world.now) for name in "ab"]
    assert [each and each["user"] for each in shown] == ["ann", None]
    rows = world.broker.list_clients(10, world.now)["clients"]
    assert [row["user"] for row in rows] == ["ann", None]
    rows = world.broker.list_sessions(False, 10, world.now)["sessions"]
    assert [row["user"] for row in rows] == ["ann", None]


def test_orphans_are_the_sessions_whose_client_is_away() -> None:
    world = World()
    world.connected("here", session_expiry_interval_s=60)
    world.connected("away", session_expiry_interval_s=60).lose()
    every = world.broker.list_sessions(False, 10, world.now)
    assert [(row["client"], row["connected"]) for row in every["sessions"]] == [
        ("away", False),
        ("here", True),
    ]
    orphans = world.broker.list_sessions(True, 10, world.now)
    assert [row["client"] for row in orphans["sessions"]] == ["away"]
    assert orphans["total"] == 1


def test_a_queue_shows_what_was_sent_then_what_waits() -> None:
    world = World()
    reader = world.connected("reader", receive_maximum=2)
    reader.subscribe("t/#", 2)
    writer = world.connected("writer", V311)
    for number in range(4):
        writer.publish(f"t/{number}", b"\x00ab", qos=1)
    shown = world.broker.list_queue("reader", 3, world.now)
    assert shown is not None
    assert [(row["state"], row["topic"]) for row in shown["messages"]] == [
        ("sent", "t/0"),
        ("sent", "t/1"),
        ("queued", "t/2"),
    ]
    assert (shown["queued"], shown["in_flight"], shown["total"]) == (2, 2, 4)
    assert shown["messages"][0]["payload"] == ".ab"
    assert world.broker.list_queue("nobody", 3, world.now) is None


def test_retained_messages_are_found_by_filter_without_the_expired_ones() -> None:
    world = World()
    writer = world.connected("writer")
    for topic in ("b/2", "b/1", "c"):
        writer.publish(topic, b"v", retain=True)
    writer.publish("b/0", b"v", retain=True, message_expiry_interval_s=1)
    later = world.now + 2
    listed = world.broker.list_retained("b/#", 10, later)
    assert [row["topic"] for row in listed["retained"]] == ["b/1", "b/2"]
    assert world.broker.list_retained("#", 1, later)["total"] == 3


def test_who_is_kicked_is_told_so_and_its_session_stays() -> None:
    world = World()
    client = world.connected("a", V5, session_expiry_interval_s=60)
    assert world.broker.kick("a", world.now)
    assert client.take() == [Disconnect(Reason.ADMINISTRATIVE_ACTION)]
    assert client.connection.outbox.ended
    assert not world.broker.kick("a", world.now)
    assert world.broker.list_sessions(True, 10, world.now)["total"] == 1
