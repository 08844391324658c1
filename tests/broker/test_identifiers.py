"""Subscription identifiers (sections 3.3.2.3.8 and 3.8.2.1.2)."""

from itertools import permutations

import pytest

from gateway.broker.records import Wish
from gateway.mqtt.packets import (
    Publish,
    SubAck,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason
from tests.broker.kept import WEEK_S, KeptWorld, persistent
from tests.broker.world import V5, V311, Client, World


def subscribe(client: Client, identifier: int, topic_filter: str, qos: int, **more: int) -> None:
    given = Properties(subscription_identifiers=(identifier,) if identifier else ())
    client.send(Subscribe(9, (Subscription(topic_filter, qos, **more),), given))  # type: ignore[arg-type]


def identified(client: Client) -> list[tuple[bytes, tuple[int, ...]]]:
    came = [packet for packet in client.take() if isinstance(packet, Publish)]
    return [(m.payload, m.properties.subscription_identifiers) for m in came]


# [MQTT-3.3.4-3] [MQTT-3.3.4-4]
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_one_copy_carries_the_identifiers_of_all_that_match(qos: int) -> None:
    world = World()
    client, other = world.connected("c"), world.connected("o")
    subscribe(client, 1, "a/+", qos)
    subscribe(client, 268_435_455, "#", qos)
    subscribe(client, 0, "a/b", qos)
    subscribe(client, 1, "+/b", qos)
    subscribe(other, 7, "a/b", qos)
    world.broker.publish("a/b", b"x", qos, False, world.now)
    world.broker.publish("z", b"y", qos, False, world.now)
    big = 268_435_455
    assert identified(client) == [(b"x", (1, big, 1)), (b"y", (big,))]
    assert identified(other) == [(b"x", (7,))]


@pytest.mark.parametrize("qos", [0, 1])
def test_an_identifier_costs_those_without_one_nothing(qos: int) -> None:
    world = World()
    with_one, plain, old = world.connected("c"), world.connected("p"), world.connected("o", V311)
    subscribe(with_one, 5, "t", qos)
    plain.subscribe("t", qos)
    old.subscribe("t", qos)
    sender = world.connected("s")
    packets = [Publish("t", b"%d" % n, qos, packet_id=n if qos else 0) for n in range(1, 6)]
    sender.send(*packets)
    sender.publish("t", b"6", qos, content_type="x")
    payloads = [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert identified(with_one) == [(payload, (5,)) for payload in payloads]
    messages = plain.messages()
    assert [m.payload for m in messages] == payloads
    assert messages[-1].properties == Properties(content_type="x")
    assert {m.properties for m in messages[:-1]} == {NO_PROPERTIES}
    assert old.payloads() == payloads


def test_a_subscription_that_replaces_another_has_its_own_identifier_or_none() -> None:
    world = World()
    client = world.connected("c")
    for identifier in (3, 4, 0):
        subscribe(client, identifier, "t", 0)
        world.broker.publish("t", b"x", 0, False, world.now)
    assert identified(client) == [(b"x", (3,)), (b"x", (4,)), (b"x", ())]


def test_a_retained_message_carries_the_identifier_of_the_subscription_it_greets() -> None:
    world = World()
    world.broker.publish("a", b"kept", 1, True, world.now)
    client = world.connected("c")
    subscribe(client, 3, "#", 1)
    subscribe(client, 4, "a", 1)
    assert identified(client) == [(b"kept", (3,)), (b"kept", (4,))]


def test_the_packet_says_which_identifier_its_filters_share() -> None:
    world = World()
    client = world.connected("c")
    given = Properties(subscription_identifiers=(8,))
    client.send(Subscribe(1, (Subscription("a", 0), Subscription("b", 1)), given))
    assert client.take() == [SubAck(1, (Reason.GRANTED_QOS_0, Reason.GRANTED_QOS_1))]
    for topic in ("a", "b"):
        world.broker.publish(topic, b"", 1, False, world.now)
    assert identified(client) == [(b"", (8,)), (b"", (8,))]


@pytest.mark.parametrize("version", [V311, V5])
def test_a_session_keeps_its_identifiers_and_only_5_0_hears_them(version: Version) -> None:
    world = KeptWorld()
    client = persistent(world, "s")
    subscribe(client, 3, "t", 1)
    subscribe(client, 4, "+", 1)
    world.settle()
    client.lose()
    other = persistent(world, "o")
    subscribe(other, 5, "t", 1)
    world.settle()
    other.lose()
    sender = world.connected("p")
    sender.publish("t", b"1", 1, content_type="x")
    world.settle()
    world.power_cut()
    world.connected("p").publish("t", b"2", 1)
    again = world.connected("s", version, False, session_expiry_interval_s=WEEK_S)
    messages = again.messages()
    assert [m.payload for m in messages] == [b"1", b"2"]
    assert [m.properties.subscription_identifiers for m in messages] == (
        [(3, 4)] * 2 if version is V5 else [()] * 2
    )
    assert messages[0].properties.content_type == ("x" if version is V5 else None)
    back = persistent(world, "o")
    assert identified(back) == [(b"1", (5,)), (b"2", (5,))]


def test_identifiers_survive_the_writing_again_of_the_log_and_do_not_spread() -> None:
    world = KeptWorld()
    names = {"a": 1, "b": 0, "c": 2}
    for name, identifier in names.items():
        client = persistent(world, name)
        subscribe(client, identifier, "t", 1)
        world.settle()
        client.lose()
    world.connected("p").publish("t", b"1", 1)
    world.sync(wish=Wish.NOW)
    world.settle()
    world.power_cut()
    for name, identifier in names.items():
        given = (identifier,) if identifier else ()
        assert identified(persistent(world, name)) == [(b"1", given)]


# [MQTT-3.8.3-3] [MQTT-3.3.4-2] [MQTT-3.3.4-4]
@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("qos", [0, 1])
def test_a_subscription_without_local_gives_nothing_to_what_its_client_publishes(
    order: tuple[int, ...], qos: int
) -> None:
    world = World()
    client, other = world.connected("c"), world.connected("o")
    for place in order:
        given = Properties(subscription_identifiers=(place + 1,))
        asked = Subscription(("t/+", "t/#", "+/x")[place], (2, 0, 1)[place], place == 0)
        client.send(Subscribe(1, (asked,), given))
        client.take()
    for sender in (client, other):
        sender.send(*(Publish("t/x", b"", qos, packet_id=n if qos else 0) for n in (1, 2)))
    came = [packet for packet in client.take() if isinstance(packet, Publish)]
    found = [(m.qos, sorted(m.properties.subscription_identifiers)) for m in came]
    assert found == [(qos, [2, 3])] * 2 + [(qos, [1, 2, 3])] * 2
    client.send(Unsubscribe(1, ("+/x",)))
    client.publish("t/x", b"", 1)
    mine = [packet for packet in client.take() if isinstance(packet, Publish)]
    assert [(m.qos, m.properties.subscription_identifiers) for m in mine] == [(0, (2,))]
