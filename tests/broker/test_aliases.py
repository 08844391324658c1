"""Topic aliases, both ways (section 3.3.2.3.4)."""

import pytest

from gateway.broker.aliases import SENT_MAX
from gateway.config import MqttSection
from gateway.mqtt.packets import Disconnect, PubAck, Publish, Version
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V5, Client, World

TOPIC = "plant/hall 1/line 2/temperature"


def shorts(client: Client) -> list[tuple[str, int | None]]:
    """What came, as it stands on the wire: topic and alias."""
    return [(message.topic, message.properties.topic_alias) for message in client.messages()]


# [MQTT-3.3.2-12] [MQTT-3.3.2-10]
@EVERY_VERSION
def test_a_number_stands_for_the_topic_it_was_given_last(version: Version) -> None:
    world = World(MqttSection(topic_aliases_max=2))
    watcher, client = world.connected("w", version), world.connected("c")
    watcher.subscribe("#")
    for topic, alias in (("a", 2), ("", 2), ("b", 2), ("", 2), ("c", 1), ("", 2)):
        client.publish(topic, b"", topic_alias=alias)
    assert [m.topic for m in watcher.messages()] == ["a", "a", "b", "b", "c", "b"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_alias_is_not_passed_on_and_what_else_is_said_is(qos: int) -> None:
    world = World()
    watcher, client = world.connected("w"), world.connected("c")
    watcher.subscribe("#", qos)
    client.publish("a", b"1", 0, topic_alias=1)
    client.publish("", b"2", qos, retain=True, topic_alias=1, content_type="x")
    if qos == 2:
        client.acknowledge()
        client.publish("", b"", 0, topic_alias=1)
        assert [m.payload for m in watcher.messages()] == [b"1", b""]
        return
    one, two = watcher.messages()
    assert (one.properties, two.properties) == (NO_PROPERTIES, Properties(content_type="x"))
    late = world.connected("l")
    late.subscribe("a")
    assert late.messages()[0].properties == Properties(content_type="x")


# [MQTT-3.3.2-9] [MQTT-3.3.2-8]
@pytest.mark.parametrize(
    ("topic", "alias", "reason"),
    [
        ("a", 3, Reason.TOPIC_ALIAS_INVALID),
        ("", 3, Reason.TOPIC_ALIAS_INVALID),
        ("", 1, Reason.PROTOCOL_ERROR),
    ],
)
def test_an_alias_that_was_not_offered_or_given_ends_the_connection(
    topic: str, alias: int, reason: Reason
) -> None:
    client = World(MqttSection(topic_aliases_max=2)).connected("c")
    client.publish(topic, b"", topic_alias=alias)
    assert client.take() == [Disconnect(reason)]
    assert client.closed


def test_aliases_may_be_switched_off() -> None:
    client = World(MqttSection(topic_aliases_max=0)).connected("c")
    assert client.connack is not None
    assert client.connack.properties.topic_alias_maximum is None
    client.publish("a", b"", topic_alias=1)
    assert client.take() == [Disconnect(Reason.TOPIC_ALIAS_INVALID)]


# [MQTT-3.3.2-7]
def test_aliases_end_with_their_connection() -> None:
    world = World()
    stays = {"session_expiry_interval_s": 60}
    client = world.connected("c", clean=False, **stays)
    client.publish("a", b"", topic_alias=1)
    client.lose()
    client = world.connected("c", clean=False, **stays)
    client.publish("", b"", topic_alias=1)
    assert client.take() == [Disconnect(Reason.PROTOCOL_ERROR)]


def test_a_message_may_not_go_where_a_rule_forbids_by_its_alias() -> None:
    client = World().connected("c")
    client.publish("$SYS/x", b"", 1, packet_id=1, topic_alias=1)
    client.publish("", b"", 1, packet_id=2, topic_alias=1)
    assert [packet.reason for packet in client.take()] == [Reason.NOT_AUTHORIZED] * 2  # type: ignore[union-attr]


# -- To clients ------------------------------------------------------------------------------------


# [MQTT-3.3.2-11] [MQTT-3.1.2-26]
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("properties", [{}, {"content_type": "text/plain" * 20}])
def test_a_topic_that_comes_again_becomes_a_number(qos: int, properties: dict[str, object]) -> None:
    world = World()
    watcher, client = world.connected("w", topic_alias_maximum=1), world.connected("c")
    watcher.subscribe("#", qos)
    for topic in (TOPIC, TOPIC, TOPIC, "another topic", "another topic", TOPIC):
        world.broker.publish(topic, b"x" * 100, 2, False, world.now)
    given = [(TOPIC, None), (TOPIC, 1), ("", 1), ("another topic", None), ("another topic", None)]
    assert shorts(watcher) == [*given, ("", 1)]
    client.publish(TOPIC, b"y", 0, **properties)
    (message,) = watcher.messages()
    assert (message.topic, message.payload) == ("", b"y")
    assert message.properties == Properties(topic_alias=1, **properties)  # type: ignore[arg-type]


def test_qos_2_keeps_its_topic_for_clients_that_forget_aliases_before_pubrel() -> None:
    world = World()
    watcher = world.connected("w", topic_alias_maximum=9)
    watcher.subscribe("#", 2)
    for qos in (1, 1, 2, 1):
        world.broker.publish(TOPIC, b"", qos, False, world.now)
    assert shorts(watcher) == [(TOPIC, None), (TOPIC, 1), (TOPIC, None), ("", 1)]


# [MQTT-3.1.2-27]
def test_who_offers_none_gets_none() -> None:
    world = World()
    watcher = world.connected("w", topic_alias_maximum=0)
    watcher.subscribe("#")
    for _ in range(3):
        world.broker.publish(TOPIC, b"", 0, False, world.now)
    assert shorts(watcher) == [(TOPIC, None)] * 3


def test_who_takes_aliases_shares_the_short_road_with_others() -> None:
    world = World()
    short, plain, client = (
        world.connected("s", topic_alias_maximum=9),
        world.connected("n"),
        world.connected("c"),
    )
    for each in (short, plain):
        each.subscribe("#")
    client.send(*(Publish(TOPIC, b"x" * (number % 3)) for number in range(9)))
    client.send(*(Publish(TOPIC, b"x" * (number % 3)) for number in range(9)))
    assert shorts(plain) == [(TOPIC, None)] * 18
    assert shorts(short) == [(TOPIC, None), (TOPIC, 1)] + [("", 1)] * 16
    assert world.broker.vitals.messages_in == 18


@pytest.mark.parametrize("topic", ["a/b/c", "t" * 300])
def test_a_topic_that_is_not_worth_it_or_too_long_gets_no_alias(topic: str) -> None:
    world = World()
    watcher = world.connected("w", topic_alias_maximum=9)
    watcher.subscribe("#")
    for _ in range(3):
        world.broker.publish(topic, b"", 0, False, world.now)
    assert shorts(watcher) == [(topic, None)] * 3


def test_aliases_to_one_client_are_bounded_whatever_it_offers() -> None:
    world = World()
    watcher = world.connected("w", topic_alias_maximum=65_535)
    watcher.subscribe("#")
    for _ in range(2):
        for number in range(1_000):
            for _ in range(2):
                world.broker.publish(f"{TOPIC}/{number}", b"", 0, False, world.now)
    given = {alias for _, alias in shorts(watcher)}
    assert given == {None, *range(1, SENT_MAX + 1)}


def test_an_alias_is_not_given_in_a_packet_that_cannot_be_sent() -> None:
    world = World()
    plain_bytes = 2 + 2 + len(TOPIC) + 1 + 10
    watcher = world.connected("w", topic_alias_maximum=9, maximum_packet_size_bytes=plain_bytes)
    watcher.subscribe("#")
    for size in (10, 10, 11, 9, 9, 5, 5):
        world.broker.publish(TOPIC, b"x" * size, 0, False, world.now)
    assert shorts(watcher) == [(TOPIC, None)] * 4 + [(TOPIC, 1), ("", 1)]
    assert world.broker.vitals.dropped_too_large == 1


def test_what_is_sent_again_on_a_new_connection_names_its_topic() -> None:
    world = World()
    offers = {"session_expiry_interval_s": 60, "topic_alias_maximum": 5}
    watcher = world.connected("w", V5, False, **offers)
    watcher.subscribe("#", 1)
    for _ in range(3):
        world.broker.publish(TOPIC, b"", 1, False, world.now)
    watcher.take()
    watcher.lose()
    watcher = world.connected("w", V5, False, **offers)
    messages = watcher.messages()
    assert [(m.topic, m.properties.topic_alias, m.dup) for m in messages] == [
        *((TOPIC, None, True), (TOPIC, 1, True), ("", 1, True)),
    ]
    watcher.send(*(PubAck(message.packet_id) for message in messages))
    assert world.broker.waiting() == 0


def test_topics_that_are_remembered_for_a_client_count_as_waiting_and_end_with_it() -> None:
    world = World()
    client = world.connected("c", topic_alias_maximum=10)
    client.subscribe("#")
    publisher = world.connected("p")
    for number in range(300):
        publisher.publish(f"topic/{number // 2}", b"x")
    assert world.broker.state.room.used == world.held_bytes() == 10 * 500
    client.lose()
    assert world.broker.state.room.used == 0
