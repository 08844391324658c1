"""CONNECT, sessions, takeover and the ends of a connection (sections 3.1, 3.2, 3.14, 4.1)."""

import pytest

from gateway.broker.connecting import NEVER_EXPIRES
from gateway.config import MqttSection
from gateway.limits import RECEIVE_MAXIMUM
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Publish,
    Version,
    Will,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V5, V31, V311, World


@EVERY_VERSION
# [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-3.2.2-8] [MQTT-3.12.4-1] [MQTT-3.1.2-6]
def test_a_client_is_let_in_and_pinged_back(version: Version) -> None:
    client = World().client("c", version)
    client.connect()
    client.send(PingReq())
    connack, pong = client.take()
    assert isinstance(connack, ConnAck) and connack.reason is Reason.SUCCESS
    assert pong == PingResp()


def test_connack_announces_what_is_offered() -> None:
    connack = World().connected("c").connack
    assert connack is not None
    assert connack.properties == Properties(
        receive_maximum=RECEIVE_MAXIMUM,
        maximum_packet_size_bytes=1_048_576,
        topic_alias_maximum=MqttSection().topic_aliases_max,
    )


@EVERY_VERSION
def test_a_client_id_may_be_longer_than_the_23_characters_of_3_1(version: Version) -> None:
    assert not World().connected("i" * 500, version).closed


# [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
def test_an_empty_client_id_is_replaced_by_one_that_is_told() -> None:
    world = World()
    first, second = world.connected(""), world.connected("")
    assert first.connack is not None and second.connack is not None
    names = {each.connack.properties.assigned_client_identifier for each in (first, second)}  # type: ignore[union-attr]
    assert len(names) == 2 and None not in names


# [MQTT-3.1.3-8] [MQTT-3.1.3-8 of 3.1.1] [MQTT-3.2.2-6] [MQTT-3.2.2-7]
def test_3_1_1_wants_a_client_id_for_a_session_that_stays() -> None:
    client = World().client("", V311)
    client.connect(clean=False)
    assert client.take() == [ConnAck(False, Reason.CLIENT_IDENTIFIER_NOT_VALID)]
    assert client.closed


# [MQTT-3.1.2-2] [MQTT-3.1.2-2 of 3.1.1] [MQTT-4.13.2-1]
def test_an_unknown_protocol_level_is_told_so() -> None:
    client = World().client()
    client.send_bytes(b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x00\x00\x01c")
    assert client.connection.outbox.take() == b"\x20\x02\x00\x01"
    assert client.closed


@pytest.mark.parametrize(
    "said",
    [b"\x30\x03\x00\x01t", b"\xc0\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"],
)
# [MQTT-3.1.0-1] [MQTT-3.14.0-1] [MQTT-3.1.4-1]
def test_what_does_not_begin_with_connect_is_cut_off_without_a_word(said: bytes) -> None:
    client = World().client()
    client.send_bytes(said)
    assert client.take() == []
    assert client.closed


@pytest.mark.parametrize(
    "flags_and_rest",
    [
        b"\x03\x00\x00\x00\x01c",  # the reserved flag
        b"\x1e\x00\x00\x00\x01c\x00\x01w\x00\x00",  # will QoS 3
        b"\x42\x00\x00\x00\x01c\x00\x01p",  # a password without a user name
        b"\x02\x00\x00\x00\x01c!",  # a byte too many
        b"\x02\x00\x00\x00\x02\xff\xff",  # a client id that is no UTF-8
    ],
)
# [MQTT-3.1.4-1 of 3.1.1] [MQTT-3.2.2-6 of 3.1.1]
def test_a_connect_of_3_1_1_that_is_not_as_it_should_be_gets_no_connack(
    flags_and_rest: bytes,
) -> None:
    client = World().client()
    body = b"\x00\x04MQTT\x04" + flags_and_rest
    client.send_bytes(bytes((0x10, len(body))) + body)
    assert client.connection.outbox.take() == b""
    assert client.closed


@EVERY_VERSION
# [MQTT-3.1.0-2] [MQTT-3.2.0-2] [MQTT-4.13.1-1] [MQTT-4.13.2-1]
def test_a_second_connect_is_a_protocol_error(version: Version) -> None:
    client = World().connected("c", version)
    client.connect()
    assert client.closed
    assert client.take() == ([Disconnect(Reason.PROTOCOL_ERROR)] if version is V5 else [])


def test_who_says_nothing_is_cut_off() -> None:
    world = World()
    client = world.client()
    world.pass_s(MqttSection().connect_timeout_s - 1)
    assert not client.closed
    world.pass_s(1)
    assert client.closed


@EVERY_VERSION
# [MQTT-3.1.4-2] [MQTT-3.2.2-7]
def test_who_comes_from_elsewhere_needs_a_name(version: Version) -> None:
    world = World(MqttSection(allow_anonymous="loopback"))
    client = world.client("c", version, trusted=False)
    client.connect()
    assert client.take() == [ConnAck(False, Reason.NOT_AUTHORIZED)]
    assert client.closed
    named = world.client("c", version, trusted=False)
    named.connect(username="u", password=b"p")
    assert named.take() == [ConnAck(False, Reason.BAD_USER_NAME_OR_PASSWORD)]
    assert world.broker.vitals.connections_refused == 2


@EVERY_VERSION
def test_one_connection_too_many_is_refused_and_a_takeover_is_not_one(version: Version) -> None:
    world = World(MqttSection(connections_max=1))
    first = world.connected("c", version)
    second = world.client("d", version)
    second.connect()
    (refusal,) = second.take()
    assert isinstance(refusal, ConnAck) and refusal.reason is not Reason.SUCCESS
    world.connected("c", version)
    assert first.closed


# -- Takeover --------------------------------------------------------------------------------------


@EVERY_VERSION
# [MQTT-3.1.4-3] [MQTT-3.1.2-5] [MQTT-3.1.3-2] [MQTT-3.2.2-3] [MQTT-3.14.2-2] [MQTT-3.14.2-1]
def test_a_second_connect_takes_the_session(version: Version) -> None:
    world = World()
    expiry = {"session_expiry_interval_s": 60} if version is V5 else {}
    first = world.connected("c", version, clean=False, **expiry)
    first.subscribe("t", 1)
    second = world.connected("c", version, clean=False, **expiry)
    assert first.closed
    assert first.take() == ([Disconnect(Reason.SESSION_TAKEN_OVER)] if version is V5 else [])
    assert second.connack is not None
    assert second.connack.session_present is (version is not V31)  # which has no such flag
    world.connected("p").publish("t", b"for the second", 1)
    assert second.payloads() == [b"for the second"]
    first.lose()
    assert world.broker.clients() == 2


@EVERY_VERSION
# [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2]
def test_a_clean_start_takes_the_client_id_and_ends_the_session(version: Version) -> None:
    world = World()
    first = world.connected("c", version, clean=False)
    first.subscribe("t", 1)
    second = world.connected("c", version, clean=True)
    assert first.closed
    assert second.connack is not None and not second.connack.session_present
    world.connected("p").publish("t")
    assert second.take() == []


def test_the_old_connections_late_bytes_and_end_change_nothing() -> None:
    world = World()
    first = world.connected("c")
    second = world.connected("c")
    first.take()
    first.publish("t", b"late", 1)
    first.lose()
    assert first.take() == []
    second.send(PingReq())
    assert second.take() == [PingResp()]


# -- Sessions that stay ----------------------------------------------------------------------------


# [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-4.5.0-1] [MQTT-4.6.0-5] [MQTT-4.6.0-6]
def test_a_session_keeps_its_subscriptions_and_what_came_meanwhile() -> None:
    world = World()
    client = world.connected("c", V311, clean=False)
    client.subscribe("t", 1)
    client.disconnect()
    publisher = world.connected("p")
    for payload in (b"1", b"2"):
        publisher.publish("t", payload, 1)
    publisher.publish("t", b"QoS 0 is not kept", 0)
    again = world.connected("c", V311, clean=False)
    assert again.connack is not None and again.connack.session_present
    assert again.acknowledge() == [b"1", b"2"]


def test_a_session_ends_with_its_connection_unless_an_expiry_is_asked_for() -> None:
    world = World()
    world.connected("c", clean=False).lose()
    assert world.broker.state.sessions == {}


# [MQTT-3.1.2-23] [MQTT-4.1.0-2]
def test_a_session_expires_when_its_time_has_passed() -> None:
    world = World()
    client = world.connected("c", clean=False, session_expiry_interval_s=60)
    client.subscribe("t", 1)
    client.lose()
    world.pass_s(59)
    client = world.connected("c", clean=False, session_expiry_interval_s=60)
    assert client.connack is not None and client.connack.session_present
    world.pass_s(120)
    client.lose()
    world.pass_s(60)
    assert world.broker.state.sessions == {}
    assert world.broker.filters() == []


def test_a_session_waits_no_longer_than_the_gateway_allows_and_the_client_is_told() -> None:
    world = World(MqttSection(session_expiry_max_s=100))
    client = world.connected("c", clean=False, session_expiry_interval_s=NEVER_EXPIRES)
    assert client.connack is not None
    assert client.connack.properties.session_expiry_interval_s == 100
    old = world.connected("old", V311, clean=False)
    client.lose()
    old.lose()
    world.pass_s(100)
    assert world.broker.state.sessions == {}


def test_disconnect_can_change_the_expiry() -> None:
    world = World()
    client = world.connected("c", clean=False, session_expiry_interval_s=60)
    client.disconnect(session_expiry_interval_s=0)
    assert world.broker.state.sessions == {}
    client = world.connected("c", clean=False, session_expiry_interval_s=60)
    client.disconnect(session_expiry_interval_s=600)
    world.pass_s(599)
    assert "c" in world.broker.state.sessions
    world.pass_s(1)
    assert world.broker.state.sessions == {}


def test_disconnect_cannot_keep_a_session_that_connect_did_not() -> None:
    client = World().connected("c")
    client.disconnect(session_expiry_interval_s=60)
    assert client.take() == [Disconnect(Reason.PROTOCOL_ERROR)]


# -- Keep-alive ------------------------------------------------------------------------------------


@EVERY_VERSION
# [MQTT-3.1.2-22] [MQTT-3.2.2-22]
def test_a_silent_client_is_cut_off_after_one_and_a_half_keep_alives(version: Version) -> None:
    world = World()
    client = world.connected("c", version, keep_alive_s=10)
    world.pass_s(14)
    client.send(PingReq())
    world.pass_s(14)
    assert not client.closed
    client.take()
    world.pass_s(1)
    assert client.closed
    assert client.take() == ([Disconnect(Reason.KEEP_ALIVE_TIMEOUT)] if version is V5 else [])


def test_keep_alive_0_is_none() -> None:
    world = World()
    client = world.connected("c")
    world.pass_s(100_000)
    assert not client.closed


# -- Wills -----------------------------------------------------------------------------------------

WILL = Will("will", b"gone", 1)


@EVERY_VERSION
# [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14]
def test_a_will_is_sent_when_the_client_is_lost(version: Version) -> None:
    world = World()
    watcher = world.connected("w", version)
    watcher.subscribe("will", 2)
    world.connected("c", version, will=WILL).lose()
    (message,) = watcher.messages()
    assert (message.topic, message.payload, message.qos) == ("will", b"gone", 1)


@EVERY_VERSION
# [MQTT-3.1.2-10] [MQTT-3.14.4-3]
def test_disconnect_takes_the_will_back(version: Version) -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("will")
    world.connected("c", version, will=WILL).disconnect()
    assert watcher.take() == []


@pytest.mark.parametrize(
    "reason", [Reason.DISCONNECT_WITH_WILL_MESSAGE, Reason.UNSPECIFIED_ERROR, Reason.PROTOCOL_ERROR]
)
def test_disconnect_for_any_other_reason_than_0_sends_the_will(reason: Reason) -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("will")
    world.connected("c", will=WILL).disconnect(reason)
    assert watcher.payloads() == [b"gone"]


def test_a_protocol_error_a_timeout_and_a_takeover_send_the_will() -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("will")
    world.connected("c", will=WILL).send_bytes(b"\xff\xff")
    assert watcher.payloads() == [b"gone"]
    world.connected("c", keep_alive_s=10, will=WILL)
    world.pass_s(15)
    assert watcher.payloads() == [b"gone"]
    world.connected("c", will=WILL)
    world.connected("c")
    assert watcher.payloads() == [b"gone"]


# [MQTT-3.1.2-15]
def test_a_will_can_be_retained_and_expire() -> None:
    world = World()
    will = Will("will", b"gone", 0, True, Properties(message_expiry_interval_s=60))
    world.connected("c", will=will).lose()
    world.pass_s(20)
    late = world.connected("w")
    late.subscribe("will")
    (message,) = late.messages()
    assert message.retain and message.properties.message_expiry_interval_s == 40
    world.pass_s(40)
    later = world.connected("v")
    later.subscribe("will")
    assert later.take() == []


DELAYED = Will("will", b"gone", 0, False, Properties(will_delay_interval_s=30))


# [MQTT-3.1.2-8] [MQTT-3.1.2-10]
def test_a_delayed_will_waits_and_is_sent_once() -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("will")
    world.connected("c", session_expiry_interval_s=60, will=DELAYED).lose()
    world.pass_s(29)
    assert watcher.take() == []
    world.pass_s(1)
    (message,) = watcher.messages()
    assert message.properties.will_delay_interval_s is None
    world.pass_s(100)
    assert watcher.take() == []


# [MQTT-3.1.3-9]
def test_a_client_that_is_back_in_time_has_no_will_sent() -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("will")
    world.connected("c", session_expiry_interval_s=60, will=DELAYED).lose()
    world.pass_s(29)
    world.connected("c", clean=False, session_expiry_interval_s=60)
    world.pass_s(100)
    assert watcher.take() == []


def test_the_sessions_end_does_not_wait_for_the_will_delay() -> None:
    world = World()
    watcher = world.connected("w")
    watcher.subscribe("will")
    world.connected("c", session_expiry_interval_s=10, will=DELAYED).lose()
    world.pass_s(10)
    assert watcher.payloads() == [b"gone"]
    world.connected("c", session_expiry_interval_s=60, will=DELAYED).lose()
    world.connected("c", clean=True)
    assert watcher.payloads() == [b"gone"]
    world.connected("d", will=DELAYED).lose()  # no session stays at all
    assert watcher.payloads() == [b"gone"]


@EVERY_VERSION
@pytest.mark.parametrize(
    ("topic", "answer"),
    [
        ("$SYS/broker/uptime", [ConnAck(False, Reason.NOT_AUTHORIZED)]),
        ("$share/g/t", [ConnAck(False, Reason.NOT_AUTHORIZED)]),
        ("a/#", []),  # no CONNECT at all by section 3.1.3.3, and cut off without a word
        ("a/+/b", []),
    ],
)
def test_a_will_that_could_not_be_published_is_refused_at_connect(
    version: Version, topic: str, answer: list[ConnAck]
) -> None:
    world = World()
    client = world.client("c", version)
    client.connect(will=Will(topic, b""))
    assert client.take() == answer
    assert client.closed
    assert world.broker.clients() == 0


def test_a_planned_stop_says_so_and_sends_no_will() -> None:
    world = World()
    client = world.connected("c", will=WILL)
    watcher = world.connected("w")
    watcher.subscribe("will")
    world.broker.stop(world.now)
    assert client.take() == [Disconnect(Reason.SERVER_SHUTTING_DOWN)]
    assert watcher.take() == [Disconnect(Reason.SERVER_SHUTTING_DOWN)]


# -- What stays behind -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V311, V5])
def test_clients_that_come_and_go_leave_nothing_behind(version: Version) -> None:
    world = World()
    expiry = {"session_expiry_interval_s": 604_800} if version is V5 else {}
    for number in range(2_000):
        clean = number % 2 == 0
        client = world.connected("c", version, clean, 65_535, WILL, **expiry)
        client.subscribe("t/+", 1)
        client.publish(f"t/{number}", b"x", 1)
        client.lose()
        world.broker.drain()
        world.now += 0.001
    state = world.broker.state
    assert world.broker.clients() == 0
    assert len(state.sessions) <= 1 and len(state.wills) <= 1
    assert len(state.timers) < 100
    assert world.broker.filters() in ([], ["t/+"])


def test_a_client_id_cannot_forge_a_line_of_the_log() -> None:
    world = World()
    world.connected("c\nERROR all is lost").send_bytes(b"\xff\xff")
    assert all("\n" not in text for text in world.notes())


def test_the_log_names_a_client_that_is_not_let_in() -> None:
    world = World(MqttSection(connections_max=1))
    world.connected("first")
    for name in ("pump-7", "", "x" * 2_000):
        world.client(name).connect()
    told = " ".join(world.notes())
    assert "a client called pump-7 at " in told and "a client at " in told
    assert "x" * 100 in told and "x" * 200 not in told


def test_what_a_first_read_holds_behind_connect_is_worked_off() -> None:
    world = World()
    client = world.client("c", V311)
    big = Publish("t", bytes(300_000), 1, packet_id=7)
    client.send(Connect(V311, "c", True, 0), big)
    assert [type(packet).__name__ for packet in client.take()] == ["ConnAck", "PubAck"]
