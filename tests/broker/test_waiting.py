"""What waits for other gateways: acknowledgements, SUBACK, the boot barrier, paused publishers."""

import pytest

from gateway.arrival import Arrival
from gateway.ids import Stamp
from gateway.limits import HELD_BYTES_MAX, UNANSWERED_MAX
from gateway.mqtt.message import Message
from gateway.mqtt.packets import (
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V311, OneElsewhere, World


@EVERY_VERSION
def test_an_acknowledgement_waits_until_the_other_gateway_has_the_message(
    version: Version,
) -> None:
    there = OneElsewhere("far")
    world = World(elsewhere=there)
    client = world.connected("c", version)
    client.publish("far", b"1", 1, packet_id=1)
    client.publish("far", b"2", 0)
    client.send(PingReq())
    assert client.take() == [PingResp()]
    assert [message.payload for message in there.peer.offered] == [b"1", b"2"]
    there.peer.take_all()
    assert client.take() == [PubAck(1)]


def test_acknowledgements_leave_in_the_order_of_their_messages() -> None:
    """[MQTT-4.6.0-2]"""
    there = OneElsewhere("far")
    world = World(elsewhere=there)
    world.connected("s").subscribe("near")
    client = world.connected("c")
    client.publish("far", b"1", 1, packet_id=1)
    client.publish("near", b"2", 1, packet_id=2)
    client.publish("far", b"3", 2, packet_id=3)
    client.send(PubRel(3))
    assert client.take() == []
    first, *others = there.peer.tickets
    for ticket in others:
        ticket.release()
    assert client.take() == []
    first.release()
    assert client.take() == [PubAck(1), PubAck(2), PubRec(3), PubComp(3)]


def test_a_connection_that_ends_meanwhile_is_not_answered() -> None:
    there = OneElsewhere("far")
    world = World(elsewhere=there)
    client = world.connected("c")
    client.publish("far", b"1", 1)
    client.lose()
    there.peer.take_all()
    assert client.take() == []


def test_a_client_far_ahead_of_the_other_gateway_is_not_read_and_not_cut_off() -> None:
    there = OneElsewhere("far")
    world = World(elsewhere=there)
    client = world.connected("c", V311, keep_alive_s=10)
    for packet_id in range(1, UNANSWERED_MAX + 2):
        assert client.connection.reading
        client.publish("far", b"x", 1, packet_id=packet_id)
    assert not client.connection.reading
    world.broker.drain()
    world.pass_s(60)
    assert not client.closed
    there.peer.take_all()
    assert client.connection.reading
    assert client.connection.outbox in world.broker.drain()[0]
    assert len(client.take()) == UNANSWERED_MAX + 1
    world.pass_s(30)
    assert client.closed


def test_publishers_pause_while_a_gateway_cannot_keep_up() -> None:
    there = OneElsewhere("far")
    world = World(elsewhere=there)
    client, other = world.connected("c"), world.connected("o")
    there.is_crowded = True
    client.publish("far", b"1", 1)
    assert not client.connection.reading
    assert other.connection.reading
    there.is_crowded = False
    world.broker.uncrowd()
    assert client.connection.reading


def test_publishers_that_paused_for_a_gateway_that_died_go_on() -> None:
    there = OneElsewhere("far")
    world = World(elsewhere=there)
    client = world.connected("c")
    there.is_crowded = True
    client.publish("far", b"1", 1)
    there.is_crowded = False  # and nobody says so
    world.pass_s(2)
    assert client.connection.reading


def test_publishers_that_come_and_go_while_a_gateway_is_behind_leave_nothing_behind() -> None:
    there = OneElsewhere("far")
    there.is_crowded = True
    world = World(elsewhere=there)
    for _ in range(100):
        client = world.connected("c")
        client.publish("far", b"1", 1)
        client.lose()
    assert len(world.broker.state.crowding) == 0


# -- SUBACK ----------------------------------------------------------------------------------------


def test_suback_and_retained_messages_wait_until_the_subscription_is_known() -> None:
    there = OneElsewhere("far")
    there.unknown = []
    world = World(elsewhere=there)
    client = world.connected("c")
    for topic in ("t/1", "t/2"):
        world.broker.publish(topic, b"kept", 1, True, world.now)
    client.send(Subscribe(1, (Subscription("t/+", 1),)))
    assert client.take() == []
    world.broker.publish("t/2", b"live", 1, True, world.now)  # before SUBACK: allowed (3.8.4)
    there.know()
    live, suback, kept = client.take()
    assert suback == SubAck(1, (Reason.GRANTED_QOS_1,))
    assert isinstance(live, Publish) and isinstance(kept, Publish)
    assert [(live.payload, live.retain), (kept.topic, kept.retain)] == [
        (b"live", False),
        ("t/1", True),
    ]
    assert there.told == {"t/+": True}


@pytest.mark.parametrize("handling", [0, 1, 2])
def test_a_subscription_that_is_replaced_before_its_suback_shows_what_is_retained_once(
    handling: int,
) -> None:
    there = OneElsewhere("far")
    there.unknown = []
    world = World(elsewhere=there)
    world.broker.publish("t", b"kept", 1, True, world.now)
    client = world.connected("c")
    first = Subscription("t", 0, retain_handling=min(handling, 1))
    client.send(Subscribe(1, (first,)))
    client.send(Subscribe(2, (Subscription("t", 1, retain_handling=handling),)))
    there.know()
    came = [packet for packet in client.take() if isinstance(packet, Publish)]
    assert [(packet.payload, packet.qos) for packet in came] == [(b"kept", 1)]


def test_a_client_that_left_before_its_suback_gets_what_is_retained_when_it_is_back() -> None:
    there = OneElsewhere("far")
    there.unknown = []
    world = World(elsewhere=there)
    world.broker.publish("t", b"kept", 1, True, world.now)
    client = world.connected("c", session_expiry_interval_s=60)
    client.send(Subscribe(1, (Subscription("t", 1, retain_handling=1),)))
    client.lose()
    there.know()
    again = world.connected("c", clean=False, session_expiry_interval_s=60)
    assert again.payloads() == [b"kept"]
    there.unknown = None
    again.subscribe("t", 1, retain_handling=1)
    assert again.take() == []


def test_what_was_unsubscribed_meanwhile_is_not_replayed() -> None:
    there = OneElsewhere("far")
    there.unknown = []
    world = World(elsewhere=there)
    world.broker.publish("t", b"kept", 1, True, world.now)
    client = world.connected("c")
    client.send(Subscribe(1, (Subscription("t", 1),)), Unsubscribe(2, ("t",)))
    there.know()
    assert client.take() == [UnsubAck(2, (Reason.SUCCESS,)), SubAck(1, (Reason.GRANTED_QOS_1,))]


def test_a_subscription_known_too_late_is_not_answered_to_the_next_connection() -> None:
    there = OneElsewhere("far")
    there.unknown = []
    world = World(elsewhere=there)
    client = world.connected("c", session_expiry_interval_s=60)
    client.send(Subscribe(1, (Subscription("t", 1),)))
    again = world.connected("c", clean=False, session_expiry_interval_s=60)
    there.know()
    assert again.take() == []
    assert there.told == {"t": True}
    again.lose()
    world.pass_s(60)
    assert there.told == {"t": False}


# -- The boot barrier ------------------------------------------------------------------------------


def test_while_the_barrier_holds_connect_is_answered_and_the_rest_waits() -> None:
    world = World()
    world.broker.hold()
    subscriber, publisher = world.connected("s", V311), world.connected("p", V311)
    publisher.send(Publish("t", b"x", 1, packet_id=1), PingReq())
    subscriber.send(Subscribe(1, (Subscription("t", 0),)))
    assert publisher.take() == subscriber.take() == []
    world.broker.unhold(world.now)
    assert subscriber.take()[0] == SubAck(1, (Reason.GRANTED_QOS_0,))
    assert sorted(publisher.take(), key=repr) == [PingResp(), PubAck(1)]


def test_who_sends_far_ahead_of_the_barrier_is_not_read() -> None:
    world = World()
    world.broker.hold()
    client = world.connected("c", keep_alive_s=1)
    client.take()
    world.broker.drain()
    for _ in range(10):
        client.publish("t", bytes(HELD_BYTES_MAX // 8))
    assert not client.connection.reading
    assert client.connection.outbox in world.broker.drain()[0]
    world.pass_s(3)
    world.broker.unhold(world.now)
    assert client.connection.reading
    assert not client.closed


def test_who_left_while_the_barrier_held_has_said_what_it_said() -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("#")
    world.broker.hold()
    client = world.connected("c", will=Will("will", b"gone"))
    client.publish("t", b"a reading")
    client.disconnect()
    lost = world.connected("d", will=Will("will", b"lost"))
    lost.publish("t", b"another")
    lost.lose()
    silent = world.connected("e", will=Will("will", b"silent"))
    silent.lose()
    assert watcher.payloads() == [b"silent"]
    world.broker.unhold(world.now)
    assert watcher.payloads() == [b"a reading", b"another", b"lost"]
    assert client.closed and lost.closed
    assert world.broker.clients() == 1


# -- From other gateways ---------------------------------------------------------------------------


def test_what_came_from_another_gateway_goes_no_further() -> None:
    there = OneElsewhere("far")
    world = World(elsewhere=there)
    client = world.connected("c")
    client.subscribe("far", 1)
    world.broker.arrived([Message("far", b"\x00\x03far", b"x", 1)], Arrival(), world.now)
    kept = Message("far", b"\x00\x03far", b"kept", 1, True)
    world.broker.arrived([kept], Arrival(Stamp(9, 0, "b")), world.now)
    assert [message.payload for message in client.messages()] == [b"x", b"kept"]
    assert there.peer.offered == []
    late = world.connected("l")
    late.subscribe("far")
    assert late.payloads() == [b"kept"]
