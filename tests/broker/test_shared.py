"""Shared subscriptions (section 4.8.2)."""

import pytest

from gateway.broker.access import Access, Rule
from gateway.broker.journal import LAZY_S
from gateway.broker.records import Wish
from gateway.broker.shared import AWAY_S
from gateway.config import MqttSection
from gateway.mqtt.packets import (
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Version,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld, persistent, subscribed
from tests.broker.world import EVERY_VERSION, V311, Client, OneElsewhere, World

GROUP = "$share/g/t/+"
STAYS = {"session_expiry_interval_s": 600}


def members(world: World, *names: str, qos: int = 1, **properties: object) -> list[Client]:
    clients = [world.connected(name, clean=False, **properties) for name in names]
    for client in clients:
        client.subscribe(GROUP, qos)
    return clients


def publish(world: World, count: int, qos: int = 1, first: int = 0) -> None:
    for number in range(first, first + count):
        world.broker.publish("t/x", b"%d" % number, qos, False, world.now)


@EVERY_VERSION
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_goes_to_one_member_in_turn(version: Version, qos: int) -> None:
    world = World()
    clients = [world.connected(name, version) for name in "abc"]
    for client in clients:
        client.subscribe(GROUP, qos)
    publish(world, 6, qos)
    assert [client.payloads() for client in clients] == [[b"0", b"3"], [b"1", b"4"], [b"2", b"5"]]


@pytest.mark.parametrize("qos", [0, 1])
def test_the_short_roads_share_as_well_and_others_get_everything(qos: int) -> None:
    world = World()
    a, b = members(world, "a", "b", qos=qos)
    plain, both = world.connected("p"), world.connected("x")
    plain.subscribe("t/#", qos)
    both.subscribe("t/x", qos)
    both.subscribe("$share/alone/#", qos)
    sender = world.connected("s")
    for first in (1, 5):
        sender.send(
            *(
                Publish("t/x", b"%d" % n, qos, packet_id=n if qos else 0)
                for n in range(first, first + 4)
            )
        )
    everything = [b"%d" % n for n in range(1, 9)]
    assert plain.payloads() == everything
    assert sorted(both.payloads()) == sorted(everything * 2)
    one, two = a.payloads(), b.payloads()
    assert (len(one), len(two)) == (4, 4)
    assert sorted(one + two) == everything
    assert one == sorted(one) and two == sorted(two)


def test_groups_of_different_names_and_filters_each_get_a_message() -> None:
    world = World()
    client, other = world.connected("c"), world.connected("o")
    for topic_filter in ("$share/g/t/+", "$share/h/t/+", "$share/g/t/#", "t/x"):
        client.subscribe(topic_filter, 1)
    other.subscribe("$share/g/t/+", 1)
    publish(world, 2)
    assert sorted(client.payloads() + other.payloads()) == [b"0"] * 4 + [b"1"] * 4
    assert len(world.broker.state.sessions["o"].inflight) == 1


# [MQTT-4.8.2-3]
def test_each_member_gets_its_own_qos_and_identifier() -> None:
    world = World()
    a, b = world.connected("a"), world.connected("b")
    for client, qos in ((a, 0), (b, 2)):
        given = Properties(subscription_identifiers=(qos + 5,))
        client.send(Subscribe(1, (Subscription(GROUP, qos),), given))
        client.take()
    publish(world, 2, 1)
    (one,), (two,) = a.messages(), b.messages()
    assert (one.qos, one.properties.subscription_identifiers) == (0, (5,))
    assert (two.qos, two.properties.subscription_identifiers) == (1, (7,))


def test_what_is_retained_is_not_for_groups() -> None:
    world = World()
    world.broker.publish("t/x", b"kept", 1, True, world.now)
    (client,) = members(world, "a")
    assert client.take() == []
    world.broker.publish("t/x", b"live", 1, True, world.now)
    assert [(m.payload, m.retain) for m in client.messages()] == [(b"live", False)]


# [MQTT-3.8.3-4]
def test_no_local_does_not_go_with_sharing() -> None:
    client = World().connected("c")
    client.send(Subscribe(1, (Subscription(GROUP, 0, no_local=True),)))
    assert client.take() == [Disconnect(Reason.PROTOCOL_ERROR)]


def test_a_member_with_a_full_window_is_passed_over() -> None:
    world = World()
    slow = members(world, "slow", receive_maximum=1)[0]
    quick = members(world, "quick")[0]
    publish(world, 4)
    assert (slow.payloads(), quick.payloads()) == ([b"0"], [b"1", b"2", b"3"])


def test_a_member_that_does_not_read_is_passed_over() -> None:
    world = World()
    deaf, quick = members(world, "deaf", "quick")
    world.broker.congested(deaf.connection, True, world.now)
    publish(world, 2, 0)
    publish(world, 2, 1)
    assert quick.payloads() == [b"0", b"1", b"0", b"1"]
    assert deaf.take() == []


def test_when_all_windows_are_full_the_queues_share() -> None:
    world = World()
    a, b = members(world, "a", "b", receive_maximum=1)
    publish(world, 6)
    sessions = world.broker.state.sessions
    assert [len(sessions[name].backlog) for name in "ab"] == [2, 2]
    assert sorted(a.acknowledge() + b.acknowledge()) == [b"%d" % n for n in range(6)]


def test_a_member_that_is_away_keeps_what_nobody_here_can_have() -> None:
    world = World()
    away, here = members(world, "away", "here", **STAYS)
    away.lose()
    publish(world, 2)
    assert here.acknowledge() == [b"0", b"1"]
    here.disconnect(session_expiry_interval_s=0)
    publish(world, 2)
    publish(world, 1, 0)  # for nobody: QoS 0 is not kept
    assert world.broker.vitals.dropped_shared == 0
    back = world.connected("away", clean=False, **STAYS)
    assert back.acknowledge() == [b"0", b"1"]


def test_nobody_can_take_it_is_counted() -> None:
    world = World(MqttSection(queue_messages_max=1))
    (client,) = members(world, "a", receive_maximum=1)
    publish(world, 4)
    assert client.acknowledge() == [b"0", b"1"]
    assert world.broker.vitals.dropped_shared == 2


def test_qos_0_that_nobody_is_here_for_is_no_loss_and_what_nobody_reads_is() -> None:
    world = World()
    deaf, away = members(world, "deaf", "away", qos=1, **STAYS)
    away.lose()
    world.broker.congested(deaf.connection, True, world.now)
    publish(world, 1, 0)
    assert world.broker.vitals.dropped_shared == 1
    deaf.lose()
    publish(world, 1, 0)
    assert world.broker.vitals.dropped_shared == 1


def test_unsubscribing_ends_the_group_with_its_last_member() -> None:
    world = World(elsewhere=(elsewhere := OneElsewhere("nothing")))
    a, b = members(world, "a", "b")
    assert (elsewhere.told, list(elsewhere.groups)) == ({}, [GROUP])
    assert world.broker.group(GROUP) == (2, 0)
    a.unsubscribe(GROUP)
    publish(world, 2)
    assert world.broker.group(GROUP) == (1, 0)
    assert [m.payload for m in b.messages()] == [b"0", b"1"]
    elsewhere.groups.clear()
    b.unsubscribe(GROUP)
    assert list(elsewhere.groups) == [GROUP]
    assert (world.broker.group(GROUP), world.broker.groups()) == ((0, 0), [])
    sender = world.connected("s")
    sender.publish("t/x", b"", 1, packet_id=1)
    assert sender.take() == [PubAck(1, Reason.NO_MATCHING_SUBSCRIBERS)]
    assert world.broker.filters() == []


# -- What a member had, and does not need ----------------------------------------------------------


@pytest.mark.parametrize("qos", [1, 2])
def test_when_a_session_ends_others_get_what_it_was_not_sent(qos: int) -> None:
    world = World()
    a, b = members(world, "a", "b", qos=qos, receive_maximum=1)
    publish(world, 6, qos)
    assert a.payloads() == [b"0"]
    a.lose()
    came = b.acknowledge()
    # [MQTT-4.8.2-5]: QoS 2 that was begun is lost with its session; QoS 1 is sent to the other
    lost = {b"0"} if qos == 2 else set()
    assert sorted(came) == sorted({b"%d" % n for n in range(6)} - lost)
    assert world.broker.vitals.shared_again == (1 if qos == 1 else 0)


@pytest.mark.parametrize("qos", [1, 2])
def test_a_member_that_is_gone_for_some_seconds_gives_up_what_it_can(qos: int) -> None:
    world = World()
    a, b = members(world, "a", "b", qos=qos, receive_maximum=2, **STAYS)
    publish(world, 8, qos)
    assert [packet.packet_id for packet in a.messages()] == [1, 2]
    if qos == 2:
        a.send(PubRec(1))
    a.lose()
    b.acknowledge()
    world.pass_s(AWAY_S - 0.1)
    assert b.take() == []
    world.pass_s(0.2)
    gone = {b"0", b"2"} if qos == 2 else set()
    assert set(b.acknowledge()) == {b"0", b"2", b"4", b"6"} - gone
    again = world.connected("a", clean=False, **STAYS)
    # [MQTT-4.8.2-4]: what was begun at QoS 2 is finished with it
    if qos == 2:
        assert again.take() == [PubRel(1), Publish("t/x", b"2", 2, False, True, 2)]
        again.send(PubComp(1), PubRec(2))
        assert again.take() == [PubRel(2)]
        again.send(PubComp(2))
    assert again.take() == []
    assert world.broker.waiting() == 0


def test_a_member_that_is_soon_back_keeps_its_own() -> None:
    world = World()
    a, b = members(world, "a", "b", **STAYS)
    publish(world, 2)
    b.acknowledge()
    a.lose()
    world.pass_s(AWAY_S - 1)
    again = world.connected("a", clean=False, **STAYS)
    world.pass_s(AWAY_S * 2)
    assert b.take() == []
    assert again.acknowledge() == [b"0"]


def test_who_comes_gets_what_waits_for_a_member_that_is_gone() -> None:
    world = World()
    (away,) = members(world, "away", **STAYS)
    away.lose()
    publish(world, 3)
    world.pass_s(AWAY_S + 1)
    (late,) = members(world, "late")
    assert late.acknowledge() == [b"0", b"1", b"2"]
    assert world.broker.waiting() == 0


# [MQTT-4.8.2-6]
@pytest.mark.parametrize("qos", [1, 2])
def test_what_a_member_refuses_goes_to_nobody_else(qos: int) -> None:
    world = World()
    a, b = members(world, "a", "b", qos=qos)
    publish(world, 1, qos)
    refusal = PubAck if qos == 1 else PubRec
    (message,) = a.messages()
    a.send(refusal(message.packet_id, Reason.IMPLEMENTATION_SPECIFIC_ERROR))
    a.lose()
    assert b.take() == []


def test_what_has_expired_is_passed_to_nobody() -> None:
    world = World()
    (away,) = members(world, "away", **STAYS)
    away.lose()
    world.connected("s").publish("t/x", b"", 1, message_expiry_interval_s=3)
    world.pass_s(AWAY_S + 1)
    (late,) = members(world, "late")
    assert late.take() == []


def test_a_rule_keeps_members_from_what_they_may_not_read() -> None:
    world = World()
    a, b = world.connected("a"), world.connected("b")
    for client in (a, b):
        client.subscribe("$share/g/#", 1)
    rules = ["allow everybody read #", "deny everybody read secret/%c"]
    world.broker.admission.rules_changed(
        Access([Rule.of(rule.split()) for rule in rules]), world.now
    )
    for _ in range(2):
        world.broker.publish("secret/a", b"", 1, False, world.now)
    assert (a.take(), len(b.messages())) == ([], 2)
    a.send(Subscribe(1, (Subscription("$share/g/secret/a", 1),)))
    assert a.take() == [SubAck(1, (Reason.NOT_AUTHORIZED,))]


# -- On disk ---------------------------------------------------------------------------------------


def test_a_group_survives_a_power_cut_with_what_waits_for_it() -> None:
    world = KeptWorld()
    for name in "ab":
        client = persistent(world, name)
        subscribed(world, client, GROUP, 1)
        subscribed(world, client, "t/x", 1)
        client.lose()
    sender = world.connected("s")
    for number in range(4):
        sender.publish("t/x", b"%d" % number, 1)
    world.settle()
    assert len(sender.take()) == 4
    world.sync(wish=Wish.NOW)
    world.settle()
    world.power_cut()
    world.pass_s(AWAY_S + 1)
    came = persistent(world, "a").acknowledge()
    # its own four, and those of the group: what waited for the other came along
    assert sorted(came) == sorted([b"0", b"1", b"2", b"3"] * 2)
    assert persistent(world, "b").acknowledge() == [b"0", b"1", b"2", b"3"]
    world.pass_s(LAZY_S + 1)  # acknowledgements ride, or wait for so long
    world.settle()
    world.power_cut()
    assert world.broker.waiting() == 0


def test_puback_waits_for_the_disk_of_the_member_that_was_chosen() -> None:
    world = KeptWorld()
    client = persistent(world, "a")
    subscribed(world, client, GROUP, 1)
    client.lose()
    sender = world.connected("s", V311)
    sender.send(*(Publish("t/x", b"", 1, packet_id=n) for n in (1, 2, 3)))
    assert sender.take() == []
    world.settle()
    assert sender.take() == [PubAck(1), PubAck(2), PubAck(3)]
    world.power_cut()
    assert len(persistent(world, "a").acknowledge()) == 3


def test_a_client_that_is_gone_before_its_connack_leaves_nothing_behind() -> None:
    world = KeptWorld()
    client = persistent(world, "a")
    subscribed(world, client, GROUP, 1)
    client.lose()
    for expiry_s in (2, 3):  # the disk is to know it before CONNACK
        client = world.client("a")
        client.connect(False, session_expiry_interval_s=expiry_s)
        assert client.take() == []
        client.lose()
    world.pass_s(AWAY_S * 2)
    assert world.broker.state.sessions == {}
    assert world.broker.state.silent == {}


def test_a_member_that_does_not_acknowledge_keeps_its_window_and_the_others_go_on() -> None:
    world = World()
    slow, good, other = members(world, "slow", "good", "other", receive_maximum=2)
    came = []
    for number in range(300):
        publish(world, 1, first=number)
        came += good.acknowledge() + other.acknowledge()
    assert slow.payloads() == [b"0", b"3"]
    assert sorted(came, key=int) == [b"%d" % n for n in range(300) if n not in (0, 3)]
    assert world.broker.waiting() == 2 and world.broker.vitals.dropped() == 0


@pytest.mark.parametrize("qos", [0, 1])
def test_a_member_that_does_not_read_gets_nothing_while_another_does(qos: int) -> None:
    world = World()
    deaf, good = members(world, "deaf", "good", qos=qos)
    world.broker.congested(deaf.connection, True, world.now)
    publish(world, 300, qos)
    assert len(good.acknowledge()) == 300
    assert deaf.take() == [] and world.broker.waiting() == 0


def test_members_that_are_all_slow_are_bounded_as_any_session_is_and_what_is_lost_is_counted() -> (
    None
):
    world = World(MqttSection(queue_messages_max=10, waiting_bytes_max=1_000_000))
    members(world, "a", "b", receive_maximum=2)
    publish(world, 100)
    assert world.broker.waiting() == 2 * (2 + 10)
    assert world.broker.vitals.dropped_shared == 100 - 24
    others = members(world, *(f"m{number}" for number in range(200)), receive_maximum=2)
    for _ in range(2_000):
        world.broker.publish("t/x", bytes(1_000), 1, False, world.now)
    assert world.broker.state.room.used <= 1_000_000
    good = others[0]
    good.acknowledge()
    publish(world, 1)
    assert good.acknowledge()[-1:] == [b"0"]
