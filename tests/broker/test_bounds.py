"""Bounds of one gateway on what clients make it remember: each told, counted and given back."""

import pytest

from gateway.broker import access, retained, routes
from gateway.broker.access import VERDICTS_MAX, Access, Action, Rule, Subject
from gateway.broker.retained import Retained
from gateway.config import MqttSection
from gateway.digest import BUCKETS
from gateway.ids import Stamp
from gateway.limits import CLIENT_ID_BYTES_MAX
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.packets import (
    ConnAck,
    Disconnect,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld
from tests.broker.world import V5, V311, Client, World

STAYS = {"session_expiry_interval_s": 600}


def answer(world: World, client_id: str, **options: object) -> Reason | int:
    client = world.client(client_id, **options)  # type: ignore[arg-type]
    client.connect(False, **STAYS)
    (connack,) = client.take()
    assert isinstance(connack, ConnAck)
    return connack.reason


def asks(client: Client, *filters: str) -> list[Reason]:
    client.send(Subscribe(client.packet_id(), tuple(Subscription(each, 1) for each in filters)))
    suback = client.take()[-1]
    assert isinstance(suback, SubAck)
    return [Reason(reason) for reason in suback.reasons]


def test_sessions_are_bounded_and_known_ones_are_welcome() -> None:
    world = World(MqttSection(sessions_max=2))
    assert answer(world, "a") == answer(world, "b") == Reason.SUCCESS
    assert answer(world, "c") == Reason.QUOTA_EXCEEDED
    assert answer(world, "a") == Reason.SUCCESS
    assert world.broker.vitals.refused_full == 1 and world.broker.vitals.last_refused_at


def test_a_client_id_has_its_length() -> None:
    # [MQTT-3.1.3-8]
    world = World()
    assert answer(world, "x" * CLIENT_ID_BYTES_MAX) == Reason.SUCCESS
    assert answer(world, "x" * (CLIENT_ID_BYTES_MAX + 1)) == Reason.CLIENT_IDENTIFIER_NOT_VALID
    assert answer(world, "ä" * CLIENT_ID_BYTES_MAX) == Reason.CLIENT_IDENTIFIER_NOT_VALID


def test_subscriptions_of_all_sessions_are_bounded_in_bytes_and_given_back() -> None:
    world = World(MqttSection(subscription_bytes_max=1_100_000))
    granted = 0
    clients = [world.connected(f"c{number}") for number in range(20)]
    for client in clients:
        name = client.client_id
        reasons = asks(client, *("/".join([f"{name}-{each}"] * 100) for each in range(2)))
        granted += reasons.count(Reason.GRANTED_QOS_1)
    assert 25 < granted < 35  # 100 levels each, and their names
    assert world.broker.vitals.subscriptions_refused_full == 40 - granted
    assert asks(clients[0], "/".join(["c0-0"] * 100)) == [Reason.GRANTED_QOS_1]  # it has it
    for client in clients:
        client.lose()
    assert world.broker.state.routes.bytes_held() == 0


def test_filters_that_share_their_levels_cost_less() -> None:
    world = World()
    client = world.connected("c")
    asks(client, *(f"a/b/c/d/{number}" for number in range(100)))
    assert world.broker.state.routes.bytes_held() < 100 * 800


def test_topics_and_filters_have_so_many_levels_as_is_configured() -> None:
    world = World(MqttSection(topic_levels_max=3))
    client = world.connected("c")
    allowed = ["a/b/c", "+/+/#", "$share/g/a/b/c"]
    assert asks(client, *allowed) == [Reason.GRANTED_QOS_1] * 3
    for topic_filter in ("a/b/c/d", "+/+/+/#", "$share/g/a/b/c/d"):
        assert asks(client, topic_filter) == [Reason.QUOTA_EXCEEDED]
    publisher = world.connected("p")
    publisher.publish("a/b/c", b"x", 1)
    assert publisher.take() == [PubAck(1)]
    publisher.publish("a/b/c/d", b"x", 1)
    assert publisher.take() == [Disconnect(Reason.TOPIC_NAME_INVALID)]


def put(store: Retained, topic: str, payload: bytes, time_ms: int) -> bool:
    message = Message(topic, topic_field(topic), payload, 0, True) if payload else None
    return store.put(topic, message, Stamp(time_ms, 0, "g"))


def test_levels_of_retained_topics_count_and_deleting_gives_them_back() -> None:
    store = Retained(1_000, 1_000_000)
    deep = ["/".join([f"{number}"] * 100) for number in range(100)]
    kept = 0
    for topic in deep:
        try:
            kept += put(store, topic, b"x", 1)
        except OverflowError:
            break
    assert 20 < kept < 30
    for topic in deep[:kept]:
        put(store, topic, b"", 2)
    assert store.bytes_held() == 0


def test_topics_of_deleted_messages_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "TOMBSTONES_BYTES_MAX", 100_000)
    store = Retained(1_000, 1_000_000)
    for number in range(100):
        put(store, f"{number}/" + "x" * 10_000, b"", number)
    remembered = [topic for bucket in range(BUCKETS) for topic, _ in store.bucket(bucket)]
    assert 5 < len(remembered) < 15


def test_what_was_retained_under_higher_limits_is_there_after_a_restart() -> None:
    world = KeptWorld()
    for number in range(20):
        world.broker.publish(f"t/{number}", bytes(100), 1, True, world.now)
    world.pass_s(10.1)
    world.settle()
    world._settings = MqttSection(retained_messages_max=5)
    world.power_cut()
    assert len(world.broker.retained) == 20
    client = world.connected("c")
    client.publish("t/20", b"x", 1, retain=True)
    assert client.take() == [PubAck(1, Reason.QUOTA_EXCEEDED)]


def test_cached_routes_are_bounded_in_subscribers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "ROUTED_MAX", 100)
    world = World()
    for number in range(30):
        world.connected(f"c{number}").subscribe("#")
    for number in range(50):
        world.broker.publish(f"t/{number}", b"x", 0, False, world.now)
        cached = world.broker.state.routes.cache.values()
        assert 0 < sum(len(route.targets) for route in cached) <= 130


def test_topics_that_a_client_numbers_have_so_many_bytes_in_all() -> None:
    world = World(MqttSection(topic_aliases_max=4))
    client = world.connected("c")
    for alias in range(1, 5):
        client.send(Publish("t" * 700, b"", 0, properties=Properties(topic_alias=alias)))
        assert client.closed == (alias > 2)
    assert client.take() == [Disconnect(Reason.QUOTA_EXCEEDED)]
    assert client.told == ["the topics of its aliases are too long"]


def test_verdicts_of_rules_are_bounded_and_gone_with_the_client() -> None:
    world = World(MqttSection(allow_anonymous="everywhere"))
    everybody = Rule(Subject.EVERYBODY, "", Action.WRITE, True, "#")
    world.broker.admission.rules_changed(Access([everybody]), world.now)
    client = world.connected("c", clean=False, **STAYS)
    for number in range(VERDICTS_MAX + 10):
        client.publish(f"t/{number}", b"x")
    client.publish("long/" + "x" * 600, b"x")
    rights = world.broker.state.sessions["c"].rights
    assert rights is not None and 0 < len(rights.written) <= VERDICTS_MAX
    assert max(map(len, rights.written)) < 20
    client.lose()
    assert rights.written == {} and rights._kept.verdicts == 0


def test_verdicts_of_all_clients_are_bounded_and_beyond_that_decided_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "ALL_VERDICTS_MAX", 5)
    world = World(MqttSection(allow_anonymous="everywhere"))
    allow = Rule(Subject.EVERYBODY, "", Action.WRITE, True, "t/+")
    world.broker.admission.rules_changed(Access([allow]), world.now)
    clients = [world.connected(name) for name in "abc"]
    for client in clients:
        for number in range(4):
            client.publish(f"t/{number}", b"x", 1)
            client.publish("u", b"x", 1)
    sessions = world.broker.state.sessions.values()
    assert sum(len(each.rights.written) for each in sessions if each.rights) == 5
    granted = [Reason.NO_MATCHING_SUBSCRIBERS, Reason.NOT_AUTHORIZED] * 4
    assert [packet.reason for packet in clients[2].take()] == granted  # type: ignore[union-attr]


@pytest.mark.parametrize("version", [V311, V5])
def test_too_many_connections_are_counted(version: object) -> None:
    world = World(MqttSection(connections_max=1))
    world.connected("a")
    client = world.client("b", version)  # type: ignore[arg-type]
    client.connect()
    assert client.closed and world.broker.vitals.refused_full == 1
