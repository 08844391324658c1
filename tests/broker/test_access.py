"""Rules: what they say of a client and a topic, and how the broker keeps them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.access import Access, Action, Rule, Subject
from gateway.mqtt.packets import (
    ConnAck,
    PubAck,
    PubRec,
    SubAck,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from gateway.mqtt.reasons import Reason
from gateway.mqtt.topics import matches
from tests.broker.world import EVERY_VERSION, V5, V311, World


def rule(text: str) -> Rule:
    """`allow user NAME read FILTER`, as a rule prints itself."""
    verb, subject, *rest = text.split(" ")
    name = rest.pop(0) if subject != "everybody" else ""
    return Rule(Subject(subject), name, Action(rest[0]), verb == "allow", rest[1])


def access(*rules: str) -> Access:
    return Access([rule(each) for each in rules], {"ann": frozenset({"staff"})})


def world_of(*rules: str) -> World:
    world = World()
    world.broker.admission.rules_changed(access(*rules), world.now)
    return world


OPEN = ("allow everybody read #", "allow everybody write #")


@pytest.mark.parametrize(
    ("rules", "topic", "expected"),
    [
        (["allow user ann read a/#"], "a/b", True),
        (["allow user ann read a/#"], "b", False),
        (["allow user ann write a/#"], "a/b", False),
        (["allow everybody read #", "deny user ann read a"], "a", False),
        (["deny everybody read a", "allow user ann read a"], "a", True),
        (["deny group staff read a", "allow everybody read a"], "a", False),
        (["deny group staff read a", "allow user ann read a"], "a", True),
        (["deny user ann read a", "allow user ann read a"], "a", False),
        (["allow user ann read a", "deny user ann read a"], "a", False),
        (["allow user ann read home/%u/#"], "home/ann/x", True),
        (["allow user ann read home/%u/#"], "home/bob/x", False),
        (["allow user ann read home/%c"], "home/c1", True),
        (["allow user ann read #"], "$SYS/broker/version", False),
        (["allow user ann read $SYS/#"], "$SYS/broker/version", True),
    ],
)
def test_the_rule_of_the_nearest_subject_decides(
    rules: list[str], topic: str, expected: bool
) -> None:
    rights = access(*rules).rights("ann", "c1")
    assert rights is not None and rights.may_read(topic) is expected


def test_a_user_without_rules_may_do_everything() -> None:
    rules = access("deny user bob read #", "deny group others read #")
    assert rules.rights("ann", "c") is None


@pytest.mark.parametrize("client_id", ["+", "#", "a/b", "", "%u"])
def test_a_client_id_that_is_a_pattern_opens_nothing_and_escapes_no_denial(client_id: str) -> None:
    opened = access("allow everybody read own/%c").rights("ann", client_id)
    assert opened is not None and not opened.may_read("own/other")
    denied = access("allow group staff read #", "deny group staff read no/%c").rights(
        "ann", client_id
    )
    assert denied is not None and not denied.may_read("no/x")


LEVELS = st.lists(st.sampled_from(["a", "b", "$x", ""]), min_size=1, max_size=4)
TOPICS = LEVELS.map("/".join).filter(bool)
FILTERS = st.builds(
    lambda parts, more: "/".join([*parts, *more]),
    st.lists(st.sampled_from(["a", "b", "$x", "", "+"]), min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(bool) | st.just("#")
READ_RULES = st.lists(
    st.builds(
        lambda subject, allow, pattern: Rule(
            subject,
            {Subject.USER: "ann", Subject.GROUP: "staff"}.get(subject, ""),
            Action.READ,
            allow,
            pattern,
        ),
        st.sampled_from(Subject),
        st.booleans(),
        FILTERS,
    ),
    min_size=1,
    max_size=5,
)


@given(READ_RULES, FILTERS, TOPICS)
def test_a_filter_is_refused_only_if_nothing_of_it_may_be_read(
    rules: list[Rule], topic_filter: str, topic: str
) -> None:
    rights = Access(rules, {"ann": frozenset({"staff"})}).rights("ann", "c")
    assert rights is not None
    if matches(topic_filter, topic) and rights.may_read(topic):
        assert rights.may_subscribe(topic_filter)


@pytest.mark.parametrize(
    ("rules", "topic_filter"),
    [
        (["allow everybody read a/#"], "b/#"),
        (["allow everybody read #", "deny everybody read a/#"], "a/+/c"),
        (["allow everybody read #", "deny user ann read a/#"], "a"),
        (["allow everybody read #"], "$SYS/#"),
        (["allow everybody write #"], "a"),
    ],
)
def test_a_filter_of_which_nothing_may_be_read_is_refused(
    rules: list[str], topic_filter: str
) -> None:
    rights = access(*rules).rights("ann", "c")
    assert rights is not None and not rights.may_subscribe(topic_filter)


@EVERY_VERSION
# [MQTT-3.9.3-2] [MQTT-3.9.3-2 of 3.1.1]
def test_suback_says_what_is_refused(version: Version) -> None:
    world = world_of("allow everybody read a/#")
    client = world.connected("c", version)
    client.send(Subscribe(1, (Subscription("a/1", 1), Subscription("b", 1))))
    refused = Reason.NOT_AUTHORIZED if version is V5 else Reason.UNSPECIFIED_ERROR
    assert client.take() == [SubAck(1, (Reason(1), refused))]
    assert world.broker.vitals.subscriptions_refused_by_rule == 1


@EVERY_VERSION
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_may_not_be_written_reaches_nobody(version: Version, qos: int) -> None:
    world = world_of("allow everybody read #", "allow everybody write a/#")
    reader, writer = world.connected("r"), world.connected("w", version)
    reader.subscribe("#")
    packet_ids = [writer.publish("b", qos=qos) for _ in range(2)]  # the second has a cached route
    assert reader.take() == []
    reason = Reason.NOT_AUTHORIZED if version is V5 else Reason.SUCCESS
    answers = {0: [], 1: [PubAck(i, reason) for i in packet_ids]}
    assert writer.take() == answers.get(qos, [PubRec(i, reason) for i in packet_ids])
    assert world.broker.vitals.refused_by_rule == 2
    writer.publish("a/1", qos=0)
    assert len(reader.messages()) == 1


@pytest.mark.parametrize("qos", [0, 1])
def test_the_short_roads_ask_the_rules_of_the_client_at_hand(qos: int) -> None:
    world = World()
    reader, writer = world.connected("r"), world.connected("w")
    reader.subscribe("t")
    for _ in range(3):
        writer.publish("t", qos=qos)
    assert len(reader.messages()) == 3
    world.broker.admission.rules_changed(access("allow everybody read #"), world.now)
    for _ in range(3):
        writer.publish("t", qos=qos)
    assert reader.take() == []


def test_a_wide_filter_never_shows_what_may_not_be_read() -> None:
    world = world_of(*OPEN, "deny everybody read secret/#")
    writer, reader = world.connected("w"), world.connected("r")
    writer.publish("secret/kept", retain=True)
    writer.publish("kept", retain=True)
    reader.subscribe("#")
    for topic in ("secret/live", "live"):
        for qos in (0, 1):
            writer.publish(topic, qos=qos)
            writer.publish(topic, qos=qos)
    assert [message.topic for message in reader.messages()] == ["kept", *["live"] * 4]


def test_rules_that_change_hold_at_once_for_what_is_delivered() -> None:
    world = World()
    writer, reader = world.connected("w"), world.connected("r")
    reader.subscribe("t")
    writer.publish("t", b"before")
    world.broker.admission.rules_changed(access("deny everybody read t", *OPEN), world.now)
    writer.publish("t", b"hidden")
    world.broker.admission.rules_changed(access(), world.now)
    writer.publish("t", b"after")
    assert reader.payloads() == [b"before", b"after"]


@EVERY_VERSION
def test_a_will_that_may_not_be_written_is_refused_with_its_connect(version: Version) -> None:
    world = world_of("allow everybody write a")
    client = world.client("c", version)
    client.connect(will=Will("b", b"gone"))
    assert client.take() == [ConnAck(False, Reason.NOT_AUTHORIZED)]
    assert client.closed
    world.connected("c", version, will=Will("a", b"gone"))


def test_a_stored_qos_2_message_is_released_though_a_rule_forbids_it_now() -> None:
    world = World()
    writer = world.connected("w", V311)
    packet_id = writer.publish("t", qos=2)
    world.broker.admission.rules_changed(access("allow everybody read #"), world.now)
    writer.publish("t", qos=2, packet_id=packet_id, dup=True)
    assert writer.take() == [PubRec(packet_id), PubRec(packet_id)]
    assert world.broker.vitals.refused_by_rule == 0


def test_a_session_is_its_users_alone() -> None:
    world = World()
    world.connected("c", session_expiry_interval_s=60).lose()
    stranger = world.client("c")
    stranger.connection.user = "mallory"
    stranger.connect(clean=True)
    assert stranger.take() == [ConnAck(False, Reason.NOT_AUTHORIZED)]
    assert "c" in world.broker.state.sessions
