"""Which packet may carry which property, and what each looks like as bytes."""

import dataclasses

import pytest

from gateway.errors import ProtocolError
from gateway.mqtt.properties import (
    NO_PROPERTIES,
    Carrier,
    Properties,
    decode_properties,
    encode_properties,
)
from gateway.mqtt.reasons import Reason
from tests.mqtt.strategies import PROPERTIES

BYTES = {  # field: its bytes and its value
    "payload_format_indicator": ("01 01", 1),
    "message_expiry_interval_s": ("02 00000001", 1),
    "content_type": ("03 0001 61", "a"),
    "response_topic": ("08 0001 61", "a"),
    "correlation_data": ("09 0001 61", b"a"),
    "subscription_identifiers": ("0b 01", (1,)),
    "session_expiry_interval_s": ("11 00000001", 1),
    "assigned_client_identifier": ("12 0001 61", "a"),
    "server_keep_alive_s": ("13 0001", 1),
    "authentication_method": ("15 0001 61", "a"),
    "authentication_data": ("16 0001 61", b"a"),
    "request_problem_information": ("17 01", True),
    "will_delay_interval_s": ("18 00000001", 1),
    "request_response_information": ("19 01", True),
    "response_information": ("1a 0001 61", "a"),
    "server_reference": ("1c 0001 61", "a"),
    "reason_string": ("1f 0001 61", "a"),
    "receive_maximum": ("21 0001", 1),
    "topic_alias_maximum": ("22 0001", 1),
    "topic_alias": ("23 0001", 1),
    "maximum_qos": ("24 01", 1),
    "retain_available": ("25 01", True),
    "user_properties": ("26 0001 61 0001 62", (("a", "b"),)),
    "maximum_packet_size_bytes": ("27 00000001", 1),
    "wildcard_subscription_available": ("28 01", True),
    "subscription_identifiers_available": ("29 01", True),
    "shared_subscription_available": ("2a 01", True),
}
REPEATED = ("subscription_identifiers", "user_properties")


def test_every_property_is_in_these_tables() -> None:
    names = {field.name for field in dataclasses.fields(Properties)}
    assert names == set(BYTES) == set(PROPERTIES)


@pytest.mark.parametrize("carrier", Carrier, ids=lambda carrier: carrier.name)
@pytest.mark.parametrize("name", BYTES)
def test_a_property_stands_where_the_specification_lets_it(name: str, carrier: Carrier) -> None:
    encoded = bytes.fromhex(BYTES[name][0])
    data = bytes((len(encoded),)) + encoded
    expected = Properties(**{name: BYTES[name][1]})
    if carrier.name in PROPERTIES[name][1].split():
        assert decode_properties(data, 0, len(data), carrier) == (expected, len(data))
        assert encode_properties(expected) == data
    else:
        with pytest.raises(ProtocolError) as refusal:
            decode_properties(data, 0, len(data), carrier)
        assert refusal.value.reason == Reason.MALFORMED_PACKET


@pytest.mark.parametrize("name", BYTES)
def test_a_property_that_comes_twice_is_refused_unless_it_may(name: str) -> None:
    encoded = bytes.fromhex(BYTES[name][0]) * 2
    data = bytes((len(encoded),)) + encoded
    carrier = Carrier[PROPERTIES[name][1].split()[0]]
    if name in REPEATED:
        properties, _ = decode_properties(data, 0, len(data), carrier)
        assert getattr(properties, name) == BYTES[name][1] * 2
    else:
        with pytest.raises(ProtocolError) as refusal:
            decode_properties(data, 0, len(data), carrier)
        assert refusal.value.reason == Reason.PROTOCOL_ERROR


# [MQTT-2.2.2-1]
def test_no_properties_are_one_byte_and_one_object() -> None:
    assert encode_properties(NO_PROPERTIES) == encode_properties(Properties()) == b"\0"
    assert decode_properties(b"\0", 0, 1, Carrier.PUBLISH)[0] is NO_PROPERTIES


def test_false_and_zero_are_said_and_not_left_out() -> None:
    properties = Properties(retain_available=False, topic_alias_maximum=0, reason_string="")
    data = encode_properties(properties)
    assert decode_properties(data, 0, len(data), Carrier.CONNACK) == (properties, len(data))
