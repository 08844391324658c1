"""One packet for all versions: what 3.1 and 3.1.1 cannot say is left out or said in their words."""

import pytest

from gateway.errors import ProtocolError
from gateway.limits import FILTERS_IN_PACKET_MAX
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Version,
    Will,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import (
    CONNACK_REASONS,
    CONNACK_RETURN_CODES,
    PUBACK_REASONS,
    REASON_OF_RETURN_CODE,
    Reason,
)

SAID = Properties(user_properties=(("k", "v"),))
OLD = pytest.mark.parametrize("version", (Version.MQTT31, Version.MQTT311))


@OLD
@pytest.mark.parametrize(
    ("packet", "plain"),
    [
        (Publish("t", b"x", 1, packet_id=1, properties=SAID), Publish("t", b"x", 1, packet_id=1)),
        (PubAck(1, Reason.QUOTA_EXCEEDED, SAID), PubAck(1)),
        (ConnAck(False, Reason.SUCCESS, SAID), ConnAck(False, Reason.SUCCESS)),
        (SubAck(1, (Reason.GRANTED_QOS_1,), SAID), SubAck(1, (Reason.GRANTED_QOS_1,))),
        (SubAck(1, (Reason.NOT_AUTHORIZED,)), SubAck(1, (Reason.UNSPECIFIED_ERROR,))),
        (UnsubAck(1, (Reason.SUCCESS,), SAID), UnsubAck(1)),
        (Disconnect(Reason.SERVER_BUSY, SAID), Disconnect()),
        (
            Subscribe(1, (Subscription("a", 1, True, True, 2),), SAID),
            Subscribe(1, (Subscription("a", 1),)),
        ),
    ],
)
def test_what_an_old_version_cannot_say_is_left_out(
    packet: Packet, plain: Packet, version: Version
) -> None:
    assert encode(packet, version) == encode(plain, version)


@OLD
def test_an_old_connect_has_no_properties(version: Version) -> None:
    full = Connect(version, "a", True, 0, Will("w", b"", properties=SAID), properties=SAID)
    assert encode(full, version) == encode(Connect(version, "a", True, 0, Will("w", b"")), version)


def test_session_present_is_not_said_in_3_1() -> None:
    connack = ConnAck(True, Reason.SUCCESS)
    assert encode(connack, Version.MQTT31) == b"\x20\x02\x00\x00"
    assert encode(connack, Version.MQTT311) == b"\x20\x02\x01\x00"


@OLD
@pytest.mark.parametrize("reason", sorted(CONNACK_REASONS))
def test_every_refusal_has_a_return_code(reason: Reason, version: Version) -> None:
    code = encode(ConnAck(False, reason), version)[3]
    assert (code == 0) == (reason < 0x80)
    assert code in REASON_OF_RETURN_CODE


def test_return_codes_are_for_refusals_that_a_connack_may_carry() -> None:
    assert set(CONNACK_RETURN_CODES) == CONNACK_REASONS


@OLD
def test_auth_before_5_is_our_own_mistake(version: Version) -> None:
    with pytest.raises(AssertionError):
        encode(Auth(), version)


@pytest.mark.parametrize(
    "packet",
    [
        ConnAck(True, Reason.NOT_AUTHORIZED),
        Publish("t", b"", 1),
        Publish("t", b"", 3, packet_id=1),
        Publish("t", b"", dup=True),
        Publish("t" * 65_536, b""),
        Subscribe(1, ()),
        Subscribe(0, (Subscription("a", 0),)),
        Auth(Reason.RE_AUTHENTICATE),
        Connect(Version.MQTT311, "a", True, 0, password=b"p"),
    ],
)
def test_a_packet_that_may_not_be_sent_is_our_own_mistake(packet: Packet) -> None:
    with pytest.raises(AssertionError):
        encode(packet, Version.MQTT5)


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.SUCCESS}))
# [MQTT-3.4.2-1]
def test_a_puback_carries_its_own_reasons_only(reason: Reason) -> None:
    body = bytes((0, 1, reason))
    if reason in PUBACK_REASONS:
        assert decode(0x40, body, Version.MQTT5) == PubAck(1, reason)
    else:
        with pytest.raises(ProtocolError) as refusal:
            decode(0x40, body, Version.MQTT5)
        assert refusal.value.reason == Reason.PROTOCOL_ERROR


@pytest.mark.parametrize(("first", "each"), [(0x82, b"\0\1a\0"), (0xA2, b"\0\1a")])
def test_a_packet_with_too_many_filters_is_refused(first: int, each: bytes) -> None:
    most = b"\0\1" + each * FILTERS_IN_PACKET_MAX
    decode(first, most, Version.MQTT311)
    with pytest.raises(ProtocolError) as refusal:
        decode(first, most + each, Version.MQTT311)
    assert refusal.value.reason == Reason.QUOTA_EXCEEDED
