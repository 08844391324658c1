"""PUBLISH and its acknowledgements, both ways (sections 3.3 to 3.7, 4.3, 4.4, 4.6, 4.9)."""

import itertools

import pytest

from gateway.config import MqttSection
from gateway.limits import RECEIVE_MAXIMUM
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Version,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V5, V311, World

NOBODY = Reason.NO_MATCHING_SUBSCRIBERS
PAIRS = pytest.mark.parametrize(("sender", "receiver"), list(itertools.product(Version, Version)))


@PAIRS
@pytest.mark.parametrize(("published", "granted"), list(itertools.product(range(3), range(3))))
# [MQTT-3.8.4-8] [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-2.2.1-2] [MQTT-4.3.1-1] [MQTT-4.3.2-1]
# [MQTT-4.3.2-2] [MQTT-4.3.2-4] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-4.3.3-8]
# [MQTT-4.3.3-11] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
def test_a_message_arrives_at_the_lower_qos_of_the_two(
    sender: Version, receiver: Version, published: int, granted: int
) -> None:
    world = World()
    subscriber = world.connected("s", receiver)
    subscriber.subscribe("a/+", granted)
    publisher = world.connected("p", sender)
    for payload in (b"1", b"", b"2" * 200, bytes(70_000)):
        packet_id = publisher.publish("a/b", payload, published)
        match published:
            case 0:
                assert publisher.take() == []
            case 1:
                assert publisher.take() == [PubAck(packet_id)]
            case 2:
                assert publisher.take() == [PubRec(packet_id)]
                assert subscriber.take() == []
                publisher.send(PubRel(packet_id))
                assert publisher.take() == [PubComp(packet_id)]
        (message,) = subscriber.messages()
        qos = min(published, granted)
        assert message == Publish("a/b", payload, qos, packet_id=message.packet_id)
        assert bool(message.packet_id) == bool(qos)
        match qos:
            case 1:
                subscriber.send(PubAck(message.packet_id))
                assert subscriber.take() == []
            case 2:
                subscriber.send(PubRec(message.packet_id))
                assert subscriber.take() == [PubRel(message.packet_id)]
                subscriber.send(PubComp(message.packet_id))
                assert subscriber.take() == []
    assert world.broker.waiting() == 0


def test_a_message_for_nobody_is_acknowledged_as_such() -> None:
    world = World()
    client, old = world.connected("c"), world.connected("o", V311)
    client.send(Publish("t", b"x", 1, packet_id=1))
    old.send(Publish("t", b"x", 1, packet_id=1))
    assert client.take() == [PubAck(1, NOBODY)]
    assert old.take() == [PubAck(1)]


# [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
# [MQTT-4.5.0-1]
def test_properties_travel_with_the_message() -> None:
    world = World()
    subscriber, old = world.connected("s"), world.connected("o", V311)
    subscriber.subscribe("t")
    old.subscribe("t")
    given = {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "answers/here",
        "correlation_data": b"\x00\xff",
        "user_properties": (("a", "1"), ("a", "2"), ("", "")),
    }
    world.connected("p").publish("t", b"x", 0, **given)
    assert subscriber.take() == [Publish("t", b"x", properties=Properties(**given))]  # type: ignore[arg-type]
    assert old.take() == [Publish("t", b"x")]


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (
            # [MQTT-3.3.4-6]
            Publish("t", b"", properties=Properties(subscription_identifiers=(1,))),
            Reason.PROTOCOL_ERROR,
        ),
        (PubAck(1, Reason(0x81)), Reason.PROTOCOL_ERROR),
    ],
)
def test_what_a_client_must_not_send_ends_the_connection(packet: Publish, reason: Reason) -> None:
    client = World().connected("c")
    client.send(packet)
    assert client.take() == [Disconnect(reason)]
    assert client.closed


@EVERY_VERSION
# [MQTT-3.3.5-2 of 3.1.1]
def test_the_brokers_own_topics_are_not_for_clients_even_when_it_has_just_used_them(
    version: Version,
) -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("$SYS/x")
    client = world.connected("c", version)
    world.broker.publish("$SYS/x", b"own", 0, False, world.now)
    assert watcher.payloads() == [b"own"]
    client.send(Publish("$SYS/x", b"forged"), Publish("$SYS/x", b"forged", 1, packet_id=1))
    client.send(Publish("$SYS/x", b"forged", 2, packet_id=2))
    told = Reason.NOT_AUTHORIZED if version is V5 else Reason.SUCCESS
    assert client.take() == [PubAck(1, told), PubRec(2, told)]
    client.send(PubRel(2))
    assert watcher.take() == []
    assert world.broker.vitals.refused_own == 3


@EVERY_VERSION
def test_nothing_is_published_to_the_name_of_a_shared_subscription(version: Version) -> None:
    world = World()
    client = world.connected("c", version)
    for _ in range(2):  # not by the short road either
        client.send(Publish("$share/g/t", b"", 0, retain=True), Publish("$share/g/t", b"", 0))
        client.send(Publish("$share/g/t", b"", 1, packet_id=1))
    told = Reason.NOT_AUTHORIZED if version is V5 else Reason.SUCCESS
    assert client.take() == [PubAck(1, told), PubAck(1, told)]
    assert len(world.broker.retained) == 0
    assert world.broker.vitals.refused_own == 6


# [MQTT-4.7.2-1] [MQTT-3.3.2-3]
def test_other_topics_with_a_dollar_are_the_clients() -> None:
    world = World()
    watcher, everything = world.connected("w"), world.connected("e")
    watcher.subscribe("$SYSTEM/#")
    everything.subscribe("#")
    world.connected("p").publish("$SYSTEM/x", b"1")
    assert watcher.payloads() == [b"1"]
    assert everything.take() == []


# -- QoS 2 from a client ---------------------------------------------------------------------------


@EVERY_VERSION
# [MQTT-4.3.3-10] [MQTT-4.3.3-12]
def test_qos_2_sent_again_is_delivered_once(version: Version) -> None:
    world = World()
    subscriber = world.connected("s")
    subscriber.subscribe("t")
    publisher = world.connected("p", version, clean=False, **_stays(version))
    publisher.publish("t", b"once", 2, packet_id=9)
    publisher.publish("t", b"once", 2, dup=True, packet_id=9)
    assert publisher.take() == [PubRec(9), PubRec(9)]
    publisher.lose()
    publisher = world.connected("p", version, clean=False, **_stays(version))
    publisher.publish("t", b"once", 2, dup=True, packet_id=9)
    publisher.send(PubRel(9))
    publisher.send(PubRel(9))
    unknown = Reason.PACKET_IDENTIFIER_NOT_FOUND if version is V5 else Reason.SUCCESS
    assert publisher.take() == [PubRec(9), PubComp(9), PubComp(9, unknown)]
    assert subscriber.payloads() == [b"once"]
    publisher.publish("t", b"the id again", 2, packet_id=9)
    publisher.send(PubRel(9))
    assert subscriber.payloads() == [b"the id again"]


def test_a_client_that_ends_its_session_before_pubrel_has_handed_its_message_over() -> None:
    world = World()
    subscriber = world.connected("s")
    subscriber.subscribe("t")
    publisher = world.connected("p")
    publisher.publish("t", b"said PUBREC", 2)
    publisher.lose()
    assert subscriber.payloads() == [b"said PUBREC"]


# [MQTT-3.3.2-5] [MQTT-4.3.3-13]
def test_a_stored_message_that_expires_before_its_release_is_not_sent() -> None:
    world = World()
    subscriber = world.connected("s")
    subscriber.subscribe("t", 2)
    publisher = world.connected("p")
    publisher.publish("t", b"stale", 2, packet_id=1, message_expiry_interval_s=10)
    world.pass_s(10)
    publisher.send(PubRel(1))
    assert publisher.take() == [PubRec(1), PubComp(1)]
    assert subscriber.take() == []


def test_a_5_0_client_beyond_the_receive_maximum_is_told() -> None:
    client = World().connected("c")
    for packet_id in range(1, RECEIVE_MAXIMUM + 2):
        client.publish("t", b"x", 2, packet_id=packet_id)
    assert client.take()[-1] == Disconnect(Reason.RECEIVE_MAXIMUM_EXCEEDED)


def test_a_3_1_1_client_has_no_receive_maximum_but_a_limit_in_bytes() -> None:
    world = World(MqttSection(queue_bytes_max=1_000_000))
    client = world.connected("c", V311)
    count = RECEIVE_MAXIMUM + 500
    for packet_id in range(1, count + 1):
        client.publish("t", b"x", 2, packet_id=packet_id)
    assert len(client.take()) == count
    for packet_id in range(1, count + 1):
        client.send(PubRel(packet_id))
    assert len(client.take()) == count
    for packet_id in range(1, 10):
        client.publish("t", bytes(300_000), 2, packet_id=packet_id)
    assert client.closed


# -- QoS 1 and 2 to a client -----------------------------------------------------------------------


@EVERY_VERSION
@pytest.mark.parametrize("qos", [1, 2])
# [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6]
def test_what_was_not_acknowledged_comes_again_under_its_id(version: Version, qos: int) -> None:
    world = World()
    subscriber = world.connected("s", version, clean=False, **_stays(version))
    subscriber.subscribe("t", qos)
    publisher = world.connected("p")
    for payload in (b"1", b"2", b"3"):
        world.broker.publish("t", payload, qos, False, world.now)
    sent = subscriber.messages()
    assert [message.dup for message in sent] == [False] * 3
    subscriber.send(PubAck(sent[1].packet_id) if qos == 1 else PubRec(sent[1].packet_id))
    subscriber.lose()
    publisher.publish("t", b"4", 0)
    world.broker.publish("t", b"5", qos, False, world.now)
    again = world.connected("s", version, clean=False, **_stays(version))
    first, *rest = again.take()
    assert first == Publish("t", b"1", qos, dup=True, packet_id=sent[0].packet_id)
    if qos == 2:
        assert rest.pop(0) == PubRel(sent[1].packet_id)
    assert rest.pop(0) == Publish("t", b"3", qos, dup=True, packet_id=sent[2].packet_id)
    (last,) = rest
    assert isinstance(last, Publish)
    assert (last.payload, last.dup) == (b"5", False)
    assert last.packet_id not in {message.packet_id for message in sent if message.payload != b"2"}


# [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
def test_no_more_is_sent_than_the_client_takes() -> None:
    world = World()
    subscriber = world.connected("s", receive_maximum=2)
    subscriber.subscribe("t", 2)
    for payload in (b"1", b"2", b"3", b"4"):
        world.broker.publish("t", payload, 1, False, world.now)
    first, second = subscriber.messages()
    subscriber.send(PubAck(first.packet_id))
    subscriber.send(PubAck(first.packet_id))
    (third,) = subscriber.messages()
    subscriber.send(PubAck(second.packet_id), PubAck(third.packet_id))
    assert subscriber.payloads() == [b"4"]


def test_a_smaller_receive_maximum_holds_for_what_is_sent_again() -> None:
    """[MQTT-3.3.4-9], and the packet ids stay [MQTT-4.4.0-1]."""
    world = World()
    subscriber = world.connected("s", session_expiry_interval_s=60, receive_maximum=5)
    subscriber.subscribe("t", 2)
    for number in range(7):
        world.broker.publish("t", b"%d" % number, 2, False, world.now)
    sent = subscriber.messages()
    subscriber.send(PubRec(sent[4].packet_id))
    subscriber.lose()
    again = world.connected("s", clean=False, session_expiry_interval_s=60, receive_maximum=2)
    came = again.take()
    assert PubRel(sent[4].packet_id) in came
    came.remove(PubRel(sent[4].packet_id))
    assert came == [
        Publish("t", b"0", 2, dup=True, packet_id=sent[0].packet_id),
        Publish("t", b"1", 2, dup=True, packet_id=sent[1].packet_id),
    ]
    again.box += came
    again.send(PubComp(sent[4].packet_id))
    world.broker.publish("t", b"7", 2, False, world.now)
    assert again.acknowledge() == [b"0", b"1", b"2", b"3", b"5", b"6", b"7"]
    assert world.broker.waiting() == 0


def test_a_pubrec_that_refuses_ends_the_exchange() -> None:
    world = World()
    subscriber = world.connected("s", receive_maximum=1)
    subscriber.subscribe("t", 2)
    world.broker.publish("t", b"1", 2, False, world.now)
    world.broker.publish("t", b"2", 2, False, world.now)
    (first,) = subscriber.messages()
    subscriber.send(PubRec(first.packet_id, Reason.QUOTA_EXCEEDED))
    assert subscriber.payloads() == [b"2"]


def test_acknowledgements_of_nothing_are_answered_and_harmless() -> None:
    client = World().connected("c")
    client.send(PubAck(7), PubComp(7), PubRec(7), PubRel(7))
    unknown = Reason.PACKET_IDENTIFIER_NOT_FOUND
    assert sorted(client.take(), key=repr) == [PubComp(7, unknown), PubRel(7, unknown)]


# [MQTT-2.2.1-4] [MQTT-4.3.2-1]
@pytest.mark.parametrize(("halves", "first", "end"), [(0, 1, 32_768), (3, 32_768, 65_536)])
def test_packet_ids_wrap_around_and_skip_those_in_flight(halves: int, first: int, end: int) -> None:
    """A session whose state was lost uses the other half: its client may hold ids of the first one."""
    world = World(MqttSection(inflight_max=4))
    subscriber = world.connected("s")
    world.broker.state.sessions["s"].halves = halves
    subscriber.subscribe("t", 1)
    world.broker.publish("t", b"held", 1, False, world.now)
    (held,) = subscriber.messages()
    ids = set()
    for _ in range(33_000):
        world.broker.publish("t", b"x", 1, False, world.now)
        (message,) = subscriber.messages()
        ids.add(message.packet_id)
        subscriber.send(PubAck(message.packet_id))
    assert ids == set(range(first, end)) - {held.packet_id}


# -- Limits ----------------------------------------------------------------------------------------


def test_a_full_queue_refuses_what_is_new_and_counts_it() -> None:
    world = World(MqttSection(queue_messages_max=2))
    world.connected("s", clean=False, session_expiry_interval_s=60).subscribe("t", 1)
    subscriber = world.connected("s", clean=False, session_expiry_interval_s=60)
    subscriber.lose()
    for payload in (b"1", b"2", b"3"):
        world.broker.publish("t", payload, 1, False, world.now)
    assert world.broker.vitals.dropped_queue_full == 1
    again = world.connected("s", clean=False, session_expiry_interval_s=60)
    assert again.acknowledge() == [b"1", b"2"]
    assert world.broker.state.sessions["s"].backlog.bytes == 0


def test_a_queue_is_bounded_in_bytes() -> None:
    world = World(MqttSection(queue_bytes_max=10_000))
    subscriber = world.connected("s", session_expiry_interval_s=60)
    subscriber.subscribe("t", 1)
    subscriber.lose()
    for _ in range(5):
        world.broker.publish("t", bytes(4_000), 1, False, world.now)
    assert world.broker.vitals.dropped_queue_full == 3


# [MQTT-3.1.2-24] [MQTT-3.1.2-25]
def test_a_message_larger_than_the_client_takes_is_left_out() -> None:
    world = World()
    subscriber = world.connected("s", maximum_packet_size_bytes=100, receive_maximum=1)
    subscriber.subscribe("t", 2)
    for qos in (0, 1, 2):
        world.broker.publish("t", bytes(200), qos, False, world.now)
        world.broker.publish("t", b"small", qos, False, world.now)
        assert subscriber.acknowledge() == [b"small"]
    assert world.broker.vitals.dropped_too_large == 3
    assert world.broker.waiting() == 0


def test_a_client_back_with_less_room_does_not_wait_for_what_it_cannot_get() -> None:
    world = World()
    subscriber = world.connected("s", session_expiry_interval_s=60, receive_maximum=1)
    subscriber.subscribe("t", 1)
    world.broker.publish("t", bytes(200), 1, False, world.now)
    world.broker.publish("t", b"small", 1, False, world.now)
    subscriber.lose()
    again = world.connected(
        "s",
        clean=False,
        session_expiry_interval_s=60,
        receive_maximum=1,
        maximum_packet_size_bytes=100,
    )
    assert again.acknowledge() == [b"small"]
    assert world.broker.waiting() == 0


def test_a_packet_larger_than_announced_is_refused_at_its_header() -> None:
    world = World(MqttSection(packet_bytes_max=1_024))
    client = world.connected("c")
    client.send_bytes(encode(Publish("t", bytes(2_000)), V5)[:3])
    assert client.take() == [Disconnect(Reason.PACKET_TOO_LARGE)]


def test_a_client_that_does_not_read_loses_qos_0_and_keeps_the_rest() -> None:
    world = World()
    subscriber, publisher = world.connected("s"), world.connected("p")
    subscriber.subscribe("t", 1)
    publisher.publish("t", b"warm")
    assert subscriber.payloads() == [b"warm"]
    world.broker.congested(subscriber.connection, True, world.now)
    publisher.publish("t", b"lost", 0)
    publisher.publish("t", b"kept", 1)
    assert subscriber.take() == []
    assert world.broker.vitals.dropped_congested == 1
    world.broker.congested(subscriber.connection, False, world.now)
    publisher.publish("t", b"next", 0)
    assert subscriber.payloads() == [b"kept", b"next"]


def test_who_sends_and_does_not_read_the_answers_is_not_read_for_ever() -> None:
    world = World()
    client = world.connected("c", keep_alive_s=10)
    world.broker.congested(client.connection, True, world.now)
    assert client.connection.reading
    for _ in range(50):
        client.send_bytes(b"\xc0\x00" * 2_000)
    assert not client.connection.reading
    assert client.connection.outbox in world.broker.drain()[0]
    client.take()
    world.broker.congested(client.connection, False, world.now)
    assert client.connection.reading
    assert client.connection.outbox in world.broker.drain()[0]
    world.broker.congested(client.connection, True, world.now)
    for _ in range(50):
        client.send_bytes(b"\xc0\x00" * 2_000)
    world.pass_s(15)
    assert client.closed


# -- Expiry ----------------------------------------------------------------------------------------


def test_nothing_is_written_to_a_client_that_is_gone() -> None:
    world = World()
    publisher = world.connected("p")
    subscriber = world.connected("s", session_expiry_interval_s=600)
    subscriber.subscribe("t", 1)
    publisher.publish("t", b"here")
    assert subscriber.payloads() == [b"here"]
    subscriber.lose()
    subscriber.take()
    world.broker.drain()
    for qos in (0, 1, 2):
        publisher.publish("t", b"gone", qos)
    assert subscriber.take() == []
    assert subscriber.connection.outbox not in world.broker.drain()[0]


# [MQTT-3.3.2-5] [MQTT-3.3.2-6]
def test_a_queued_message_expires_and_what_is_left_is_told() -> None:
    world = World()
    subscriber = world.connected("s", session_expiry_interval_s=600)
    subscriber.subscribe("t", 1)
    subscriber.lose()
    publisher = world.connected("p")
    publisher.publish("t", b"short", 1, message_expiry_interval_s=10)
    publisher.publish("t", b"long", 1, message_expiry_interval_s=100)
    world.pass_s(30)
    again = world.connected("s", clean=False, session_expiry_interval_s=600)
    (message,) = again.messages()
    assert message.payload == b"long"
    assert message.properties.message_expiry_interval_s == 70
    assert world.broker.vitals.dropped_expired == 1


def _stays(version: Version) -> dict[str, int]:
    return {"session_expiry_interval_s": 600} if version is V5 else {}


# -- One read --------------------------------------------------------------------------------------


@EVERY_VERSION
# [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.1-1]
def test_what_was_taken_is_acknowledged_before_the_connection_ends(version: Version) -> None:
    for ending in (Disconnect(), None):
        world = World()
        client = world.connected("c", version)
        client.publish("warm", b"", 1, packet_id=1)
        client.take()
        last = encode(ending, version) if ending is not None else b"\x00\x00"
        client.send_bytes(encode(Publish("t", b"x", 2, packet_id=7), version) + last)
        first, *rest = client.take()
        assert first == PubRec(7)
        expected = [Disconnect(Reason.MALFORMED_PACKET)] if version is V5 and not ending else []
        assert rest == expected
        assert client.closed


def test_a_read_of_many_kinds_is_worked_off_in_time_that_grows_with_its_length() -> None:
    """Runs of one are the worst case of the short roads."""
    world = World()
    client = world.connected("c", V311)
    client.subscribe("t", 1)
    steps = 0

    class Counted(list[tuple[int, int, int]]):
        def __getitem__(self, key):  # type: ignore[no-untyped-def]
            nonlocal steps
            found = super().__getitem__(key)
            steps += len(found) if isinstance(key, slice) else 1
            return found

    frames = Counted()
    said, at = b"\x40\x02\x00\x01\xc0\x00" * 500, 0
    for _ in range(500):
        frames += [(0x40, at + 2, at + 4), (0xC0, at + 6, at + 6)]
        at += 6
    client.connection._handle(said, frames, at)
    assert steps < 5_000
    assert client.take() == [PingResp()] * 500
    client.send(PingReq())
    assert client.take() == [PingResp()]
