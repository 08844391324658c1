"""What a client is told beside its messages: reasons in words, and nothing larger than it takes."""

import pytest

from gateway.config import MqttSection
from gateway.limits import RECEIVE_MAXIMUM
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    ConnAck,
    Disconnect,
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
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld
from tests.broker.world import V5, V311, Client, OneElsewhere, World

NOT_FOUND = Reason.PACKET_IDENTIFIER_NOT_FOUND
FILTERS = tuple("abcdefghijklmnopqrstuvwxyz")
# CONNACK announces the receive maximum, the packet size and the aliases in 16 bytes
SMALLEST_BYTES = 16
SMALL = {"maximum_packet_size_bytes": SMALLEST_BYTES + 5, "session_expiry_interval_s": 60}


def bad_news(client: Client) -> list[object]:
    """Has the client be refused in every packet that can carry a reason; returns what it heard."""
    client.send(Publish("$SYS/x", b"", 1, packet_id=1), Publish("$SYS/x", b"", 2, packet_id=2))
    client.send(PubRec(77), PubRel(78))
    client.send(Subscribe(3, (Subscription("a", 0), Subscription("b", 0))))
    heard: list[object] = list(client.take())
    client.send_bytes(b"\x00")
    return heard + list(client.take())


REFUSALS = [
    PubAck(1, Reason.NOT_AUTHORIZED),
    PubRec(2, Reason.NOT_AUTHORIZED),
    PubRel(77, NOT_FOUND),
    PubComp(78, NOT_FOUND),
    SubAck(3, (Reason.GRANTED_QOS_0, Reason.QUOTA_EXCEEDED)),
    Disconnect(Reason.MALFORMED_PACKET),
]


ONE_SUBSCRIPTION = MqttSection(subscriptions_per_client_max=1)


def test_a_refusal_says_why() -> None:
    client = World(ONE_SUBSCRIPTION).connected("c")
    assert bad_news(client) == REFUSALS
    own, id_unknown = "this topic is the broker's own", "no message waits under this packet id"
    assert client.told == [
        *(own, own, id_unknown, id_unknown, "the session has 1 subscriptions"),
        "a packet begins with 0x00",
    ]


# [MQTT-3.1.2-29]
def test_who_wants_no_reasons_hears_them_in_disconnect_only() -> None:
    client = World(ONE_SUBSCRIPTION).connected("c", request_problem_information=False)
    assert bad_news(client) == REFUSALS
    assert client.told == ["a packet begins with 0x00"]


def test_3_1_1_has_no_words_for_reasons() -> None:
    client = World(ONE_SUBSCRIPTION).connected("c", V311)
    bad_news(client)
    assert client.told == []


# [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3]
# [MQTT-3.1.2-24]
def test_no_reason_makes_a_packet_larger_than_its_client_takes() -> None:
    client = World(ONE_SUBSCRIPTION).connected("c", maximum_packet_size_bytes=SMALLEST_BYTES)
    assert bad_news(client) == REFUSALS
    assert client.told == []


# [MQTT-3.2.2-19]
@pytest.mark.parametrize("bytes_max", [4, 5, 60, 200])
def test_connack_says_why_if_there_is_room(bytes_max: int) -> None:
    world = World(MqttSection(connections_max=1))
    world.connected("a")
    client = world.client("b")
    client.connect(maximum_packet_size_bytes=bytes_max)
    assert client.take() == ([] if bytes_max == 4 else [ConnAck(False, Reason.QUOTA_EXCEEDED)])
    assert client.told == (["too many connections"] if bytes_max >= 60 else [])
    assert client.closed


# [MQTT-3.1.2-24]
def test_a_client_that_cannot_take_connack_is_not_let_in() -> None:
    world = World(ONE_SUBSCRIPTION)
    watcher = world.connected("w")
    watcher.subscribe("#")
    client = world.client("c")
    client.connect(will=Will("t", b""), maximum_packet_size_bytes=SMALLEST_BYTES - 1)
    assert client.take() == [ConnAck(False, Reason.PACKET_TOO_LARGE)]
    assert client.closed
    assert (world.broker.clients(), watcher.take()) == (1, [])
    other = world.client("o")
    other.connect(maximum_packet_size_bytes=4)  # nothing that we could say fits
    assert other.take() == []
    assert other.closed


# [MQTT-3.1.2-24] [MQTT-3.11.2-1]
def test_an_answer_that_would_be_too_large_ends_the_connection_and_changes_nothing() -> None:
    world = World(ONE_SUBSCRIPTION)
    for packet in (
        Subscribe(4, tuple(Subscription(topic_filter, 1) for topic_filter in FILTERS)),
        Unsubscribe(4, FILTERS),
    ):
        client = world.connected("c", clean=False, **SMALL)  # type: ignore[arg-type]
        client.subscribe("a")
        client.send(packet)
        assert client.take() == [Disconnect(Reason.PACKET_TOO_LARGE)]
        assert list(world.broker.state.sessions["c"].subscriptions) == ["a"]


# [MQTT-3.11.2-1]
def test_unsuback_says_no_more_than_fits() -> None:
    client = World(ONE_SUBSCRIPTION).connected("c", **SMALL)  # type: ignore[arg-type]
    client.send(Unsubscribe(4, FILTERS[:5]))
    assert client.take() == [UnsubAck(4, (Reason.NO_SUBSCRIPTION_EXISTED,) * 5)]


def test_a_full_disk_is_no_fault_of_the_client_that_is_cut_off_for_it() -> None:
    world = KeptWorld(ONE_SUBSCRIPTION)
    world.refuse("the disk is full; delete something")
    client = world.connected("c", V311)
    client.publish("t", b"", 1, retain=True)
    assert client.take() == [] and client.closed
    vitals = world.broker.vitals
    assert (vitals.refused_disk, vitals.protocol_errors) == (1, 0)


def test_what_the_operator_should_do_is_not_for_clients() -> None:
    world = KeptWorld(ONE_SUBSCRIPTION)
    world.refuse("the disk is full; delete something")
    client = world.connected("c")
    client.publish("t", b"", 1, retain=True)
    assert client.take() == [PubAck(1, Reason.QUOTA_EXCEEDED)]
    assert client.told == ["the disk is full"]


# [MQTT-3.3.4-7]
@pytest.mark.parametrize("in_one_read", [True, False])
def test_more_than_the_receive_maximum_ends_the_connection(in_one_read: bool) -> None:
    elsewhere = OneElsewhere("t")
    client = World(elsewhere=elsewhere).connected("c")
    packets = [Publish("t", b"", 1, packet_id=n) for n in range(1, RECEIVE_MAXIMUM + 2)]
    if in_one_read:
        client.send_bytes(b"".join(encode(packet, V5) for packet in packets))
    else:
        client.send(*packets[:600])
        client.send(*packets[600:-1])
        assert not client.closed
        client.send(packets[-1])
    assert client.take()[-1] == Disconnect(Reason.RECEIVE_MAXIMUM_EXCEEDED)


def test_the_receive_maximum_counts_what_is_unanswered_only() -> None:
    client = World(ONE_SUBSCRIPTION).connected("c")
    for _ in range(3):
        client.send(*(Publish("t", b"", 1, packet_id=n) for n in range(1, RECEIVE_MAXIMUM + 1)))
        assert len(client.take()) == RECEIVE_MAXIMUM
    assert not client.closed


@pytest.mark.parametrize(
    ("asked_s", "version", "told_s", "silent_s"),
    [
        *((60, V5, None, 90), (200, V5, 100, 150), (0, V5, 100, 150)),
        *((200, V311, None, 300), (0, V311, None, None)),
    ],
)
# [MQTT-3.2.2-22] [MQTT-3.1.2-22]
def test_a_keep_alive_above_the_limit_is_replaced_where_the_client_can_be_told(
    asked_s: int, version: Version, told_s: int | None, silent_s: float | None
) -> None:
    world = World(MqttSection(keep_alive_max_s=100))
    client = world.connected("c", version, keep_alive_s=asked_s)
    assert client.connack is not None
    assert client.connack.properties.server_keep_alive_s == told_s
    world.pass_s((silent_s or 10_000) - 1)
    assert not client.closed
    world.pass_s(2)
    assert client.closed == (silent_s is not None)


# [MQTT-3.1.2-28]
@pytest.mark.parametrize(
    ("asks", "client_id", "told"),
    [
        (True, "c1", "answers/c1/"),
        (False, "c1", None),
        (None, "c1", None),
        (True, "c#1", None),
    ],
)
def test_response_information_is_for_who_asks(
    asks: bool | None, client_id: str, told: str | None
) -> None:
    world = World(MqttSection(response_information="answers/{client}/"))
    client = world.connected(client_id, request_response_information=asks)
    assert client.connack is not None
    assert client.connack.properties.response_information == told


def test_response_information_is_left_out_where_it_does_not_fit() -> None:
    world = World(MqttSection(response_information="answers/{client}/"))
    client = world.connected(
        "c", request_response_information=True, maximum_packet_size_bytes=SMALLEST_BYTES
    )
    assert client.connack is not None
    assert client.connack.properties.response_information is None


@pytest.mark.parametrize("checked", [True, False])
def test_a_payload_that_is_not_the_utf_8_it_says_it_is(checked: bool) -> None:
    world = World(MqttSection(check_payload_format=checked))
    watcher, client = world.connected("w"), world.connected("c")
    watcher.subscribe("t", 2)
    for qos in (0, 1, 2):
        client.publish("t", b"\xff", qos, packet_id=qos, payload_format_indicator=1)
        client.publish("t", "ü".encode(), 0, payload_format_indicator=1)
        client.publish("t", b"\xff", 0, payload_format_indicator=0)
    reason = Reason.PAYLOAD_FORMAT_INVALID if checked else Reason.SUCCESS
    assert client.take() == [PubAck(1, reason), PubRec(2, reason)]
    assert len(watcher.messages()) == (6 if checked else 8)
    other = world.client("o")
    other.connect(will=Will("t", b"\xff", properties=Properties(payload_format_indicator=1)))
    answer = other.take()[0]
    assert isinstance(answer, ConnAck) and answer.reason == reason
