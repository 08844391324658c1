"""$SYS/broker/... (gateway/broker/sys_topics.py)."""

from math import exp

import pytest

from gateway import __version__
from gateway.broker.sys_topics import Load
from gateway.config import MqttSection
from gateway.mqtt.packets import SubAck, Subscribe, Subscription
from tests.broker.world import Client, OneElsewhere, World


def heard(client: Client) -> dict[str, str]:
    """The values that came, by the topic behind $SYS/broker/."""
    came = client.messages()
    topics = [message.topic.removeprefix("$SYS/broker/") for message in came]
    assert len(set(topics)) == len(topics), topics
    return dict(zip(topics, (message.payload.decode() for message in came), strict=True))


def test_a_subscription_gets_the_present_values_as_retained() -> None:
    world = World()
    client = world.connected("a")
    world.pass_s(42)
    client.subscribe("$SYS/broker/+", 1)
    came = {message.topic: message for message in client.messages()}
    assert came.keys() == {"$SYS/broker/version", "$SYS/broker/uptime"}
    assert came["$SYS/broker/version"].payload.decode() == f"gatewayd version {__version__}"
    assert came["$SYS/broker/uptime"].payload == b"42 seconds"
    assert all(message.retain and message.qos == 0 for message in came.values())


def test_the_figures_are_those_of_the_broker() -> None:
    world = World()
    kept = world.connected("kept", clean=False, session_expiry_interval_s=600)
    kept.subscribe("t", 1)
    kept.subscribe("u", 1)
    kept.lose()
    client = world.connected("a")
    client.publish("t", qos=1)
    client.publish("r", retain=True)
    client.take()
    client.subscribe("$SYS/#")
    values = heard(client)
    expected = {
        "clients/connected": "1",
        "clients/disconnected": "1",
        "clients/total": "2",
        "clients/maximum": "1",
        "publish/messages/received": "2",
        "publish/messages/dropped": "0",
        "retained messages/count": "1",
        "store/messages/count": "1",
        "messages/stored": "1",
        "clients/active": "1",
        "clients/inactive": "1",
        "subscriptions/count": "3",
    }
    assert {name: values[name] for name in expected} == expected
    assert not any(name.startswith("heap") for name in values)  # what is not counted has no topic


def test_bytes_and_connections_and_what_waits_are_counted() -> None:
    world = World()
    kept = world.connected("kept", clean=False, session_expiry_interval_s=600)
    kept.subscribe("t", 1)
    kept.lose()
    client = world.connected("a")
    before = world.broker.vitals.bytes_in
    client.publish("t", b"x" * 1_000, qos=1)
    client.take()
    assert 1_000 < world.broker.vitals.bytes_in - before < 1_020
    world.pass_s(60)
    client.subscribe("$SYS/#")
    values = heard(client)
    assert int(values["bytes/received"]) > 1_000
    assert 300 < float(values["load/bytes/received/1min"]) < 1_000, "most of it is in this minute"
    assert int(values["store/messages/bytes"]) > 1_000
    assert 0 < float(values["load/connections/1min"]) <= 2
    assert {"bytes/sent", "load/bytes/sent/5min", "load/sockets/15min"} <= values.keys()


def test_sessions_that_expired_and_shared_subscriptions_are_counted() -> None:
    world = World()
    kept = world.connected("kept", clean=False, session_expiry_interval_s=60)
    kept.lose()
    world.pass_s(61)
    for name in "ab":
        world.connected(name).subscribe("$share/g/t")
    client = world.connected("c")
    client.subscribe("$SYS/#")
    values = heard(client)
    assert values["clients/expired"] == "1"
    assert values["shared_subscriptions/count"] == "2"
    assert values["subscriptions/count"] == "3"


def test_what_has_changed_is_said_once_an_interval_and_nothing_else() -> None:
    world = World(MqttSection(sys_interval_s=10))
    client = world.connected("a")
    client.subscribe("$SYS/broker/clients/#")
    client.take()
    world.pass_s(10)
    heard(client)  # the first time everything is news
    world.pass_s(60)
    assert heard(client) == {}
    world.connected("b")
    assert heard(client) == {}, "not before the interval is over"
    world.pass_s(10)
    assert heard(client) == {
        "clients/connected": "2",
        "clients/active": "2",
        "clients/total": "2",
        "clients/maximum": "2",
    }


def test_wildcards_on_the_first_level_do_not_show_it() -> None:
    """[MQTT-4.7.2-1]"""
    world = World()
    client = world.connected("a")
    client.subscribe("#")
    client.subscribe("+/broker/uptime")
    world.pass_s(60)
    assert client.take() == []


def test_it_is_neither_stored_nor_told_to_other_gateways() -> None:
    elsewhere = OneElsewhere("$SYS/broker/uptime")
    world = World(elsewhere=elsewhere)
    client = world.connected("a")
    client.subscribe("$SYS/#")
    world.pass_s(30)
    assert client.messages()
    assert elsewhere.peer.offered == []
    assert len(world.broker.retained) == 0


def test_it_waits_for_nobody_who_is_away() -> None:
    world = World()
    client = world.connected("a", clean=False, session_expiry_interval_s=600)
    client.subscribe("$SYS/#", 2)
    client.lose()
    world.pass_s(60)
    assert world.broker.waiting() == 0


def test_a_client_that_wants_only_what_is_new_gets_no_present_values() -> None:
    world = World()
    client = world.connected("a")
    client.subscribe("$SYS/broker/version", retain_handling=2)
    assert client.take() == []


def test_an_interval_of_zero_means_no_such_topics() -> None:
    world = World(MqttSection(sys_interval_s=0))
    client = world.connected("a")
    client.send(Subscribe(1, (Subscription("$SYS/#", 0),)))
    world.pass_s(60)
    assert [type(packet) for packet in client.take()] == [SubAck]


def test_a_steady_rate_becomes_the_load_a_minute() -> None:
    load = Load()
    for second in range(1, 3601):
        load.tick(second * 2, 1.0)
    assert load.per_minute == pytest.approx({1: 120.0, 5: 120.0, 15: 120.0}, rel=0.02)


def test_a_load_fades_within_its_own_minutes() -> None:
    load = Load()
    load.tick(1000, 1.0)
    burst = dict(load.per_minute)
    for _ in range(60):
        load.tick(1000, 1.0)
    left = {minutes: load.per_minute[minutes] / burst[minutes] for minutes in burst}
    assert left == pytest.approx({1: exp(-1), 5: exp(-1 / 5), 15: exp(-1 / 15)})
