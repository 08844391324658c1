"""Topic names, topic filters and what matches what: sections 4.7 and 4.8.2."""

import pytest

from gateway.errors import ProtocolError
from gateway.limits import TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX
from gateway.mqtt.reasons import Reason
from gateway.mqtt.topics import check_topic_filter, check_topic_name, matches, split_share

MATCHES = [
    ("sport/tennis/player1/#", "sport/tennis/player1"),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
    ("sport/#", "sport"),
    ("#", "sport/tennis"),
    ("#", "/"),
    ("sport/tennis/+", "sport/tennis/player1"),
    ("sport/+", "sport/"),
    ("+/+", "/finance"),
    ("/+", "/finance"),
    ("+", "finance"),
    ("+/#", "finance"),
    ("+//+", "a//b"),
    ("$SYS/#", "$SYS"),
    ("$SYS/#", "$SYS/broker"),
    ("$SYS/+/x", "$SYS/monitor/x"),
    ("a/+", "a/$b"),
    ("a/b", "a/b"),
    ("/", "/"),
]

DIFFERS = [
    ("sport/tennis/+", "sport/tennis/player1/ranking"),
    ("sport/+", "sport"),
    ("+", "/finance"),
    ("#", "$SYS/broker"),
    ("+/broker", "$SYS/broker"),
    ("+/#", "$SYS"),
    ("a/b", "a/B"),
    ("a/b", "a/b/"),
    ("a/b/", "a/b"),
    ("/a", "a"),
    ("a/b/#", "a"),
    ("a/#", "ab"),
]


@pytest.mark.parametrize(("topic_filter", "topic"), MATCHES)
def test_a_filter_matches(topic_filter: str, topic: str) -> None:
    check_topic_filter(topic_filter)
    check_topic_name(topic)
    assert matches(topic_filter, topic)


@pytest.mark.parametrize(("topic_filter", "topic"), DIFFERS)
# [MQTT-4.7.2-1]
def test_a_filter_does_not_match(topic_filter: str, topic: str) -> None:
    check_topic_filter(topic_filter)
    check_topic_name(topic)
    assert not matches(topic_filter, topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "+",
        "a/#",
        "a+b",
        "\0",
        "a" * (TOPIC_BYTES_MAX + 1),
        "é" * 32_768,
        "/" * TOPIC_LEVELS_MAX,
    ],
)
# [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]
def test_a_bad_topic_name_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        check_topic_name(topic)
    assert refusal.value.reason == Reason.TOPIC_NAME_INVALID


@pytest.mark.parametrize("topic", ["a", "/", "a b", "$SYS/x", "a" * TOPIC_BYTES_MAX, "é" * 32_767])
def test_a_good_topic_name_passes(topic: str) -> None:
    check_topic_name(topic)


@pytest.mark.parametrize(
    "topic_filter",
    [
        *("", "a#", "#a", "a/#/b", "##", "a+", "+a/b", "++", "a/+b/#", "\0"),
        *("$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"),
        *("$share/g/a#", "$share/g/#/a", "a" * (TOPIC_BYTES_MAX + 1), "/" * TOPIC_LEVELS_MAX),
    ],
)
# [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT-4.8.2-1]
# [MQTT-4.8.2-2]
def test_a_bad_topic_filter_is_refused(topic_filter: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        check_topic_filter(topic_filter)
    assert refusal.value.reason == Reason.TOPIC_FILTER_INVALID


@pytest.mark.parametrize(
    ("topic_filter", "parts"),
    [
        ("$share/g/a/+/#", ("g", "a/+/#")),
        ("$share/g//", ("g", "/")),
        ("$share/g/#", ("g", "#")),
        ("$share", ("", "$share")),
        ("$shared/a/b", ("", "$shared/a/b")),
        ("a/$share/b", ("", "a/$share/b")),
    ],
)
def test_a_share_is_split_from_its_filter(topic_filter: str, parts: tuple[str, str]) -> None:
    check_topic_filter(topic_filter)
    assert split_share(topic_filter) == parts
