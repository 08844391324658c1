"""What only MQTT 5.0 has, through the libraries that speak it."""

import time

import pytest

from tests.clients.conftest import Site
from tests.clients.face import Login, Message, Properties
from tests.gateways import wait_until

END = b"end"
# Waiting for seconds to pass teaches nothing more with a second library.
ONE_LIBRARY = pytest.mark.parametrize("driver", ["paho"], indirect=True)


def test_what_describes_a_message_travels_with_it(site5: Site) -> None:
    topic = site5.topic("t")
    client = site5.client("c")
    client.subscribe(topic, 1)
    sent = Properties(
        payload_format_indicator=1,
        content_type="application/json; charset=utf-8",
        response_topic=site5.topic("answer"),
        correlation_data=b"\x00\xffid",
        user_properties=(("unit", "°C"), ("way", "one"), ("way", "two"), ("", "")),
    )
    client.publish([Message(topic, b"{}", 1, properties=sent)])
    assert client.inbox.next().properties == sent


def test_what_describes_a_retained_message_is_kept(site5: Site) -> None:
    topic = site5.topic("t")
    client = site5.client("c")
    sent = Properties(content_type="text/plain", user_properties=(("a", "b"),))
    client.publish([Message(topic, b"x", 1, retain=True, properties=sent)])
    client.subscribe(topic, 1)
    message = client.inbox.next()
    assert (message.retain, message.properties) == (True, sent)


def test_what_describes_a_will_travels_with_it(site5: Site) -> None:
    topic = site5.topic("t")
    watcher = site5.client("w")
    watcher.subscribe(topic, 1)
    sent = Properties(content_type="text/plain", user_properties=(("who", "me"),))
    site5.client("c", will=Message(topic, b"gone", 1, properties=sent)).abort()
    assert watcher.inbox.next().properties == sent


def test_a_question_is_answered_on_its_response_topic(site5: Site) -> None:
    asker, answerer = site5.client("a"), site5.client("b")
    answerer.subscribe(site5.topic("question"), 1)
    asker.subscribe(site5.topic("answer"), 1)
    question = Properties(response_topic=site5.topic("answer"), correlation_data=b"7")
    asker.publish([Message(site5.topic("question"), b"?", 1, properties=question)])
    heard = answerer.inbox.next().properties
    assert heard.response_topic is not None
    reply = Properties(correlation_data=heard.correlation_data)
    answerer.publish([Message(heard.response_topic, b"!", 1, properties=reply)])
    assert asker.inbox.next().properties.correlation_data == b"7"


@pytest.mark.slow
@ONE_LIBRARY
def test_a_message_past_its_expiry_is_not_delivered(site5: Site) -> None:
    topic = site5.topic("t")
    writer = site5.client("w")
    client, _ = site5.keeper("c")
    client.subscribe(topic, 1)
    client.disconnect()
    short = Properties(message_expiry_interval_s=1)
    long = Properties(message_expiry_interval_s=100)
    writer.publish([Message(topic, b"stale", 1, properties=short)])
    writer.publish([Message(topic, b"stale too", 1, retain=True, properties=short)])
    writer.publish([Message(topic, b"good", 1, properties=long)])
    published_at = time.monotonic()
    wait_until(lambda: time.monotonic() - published_at > 2.1, "two seconds", 5)
    client, _ = site5.keeper("c", client)
    writer.publish([Message(topic, END, 1)])
    came = client.inbox.until(END)
    assert [m.payload for m in came] == [b"good"]
    left = came[0].properties.message_expiry_interval_s
    assert left is not None and 90 <= left <= 98  # what is left, not what was given
    late = site5.client("l")
    late.subscribe(topic, 1)
    writer.publish([Message(topic, END, 1)])
    assert late.inbox.until(END) == []


def test_a_message_at_once_carries_its_whole_expiry(site5: Site) -> None:
    topic = site5.topic("t")
    client = site5.client("c")
    client.subscribe(topic, 1)
    client.publish([Message(topic, b"x", 1, properties=Properties(message_expiry_interval_s=60))])
    assert client.inbox.next().properties.message_expiry_interval_s in (59, 60)


def test_no_local_spares_a_client_its_own_messages(site5: Site) -> None:
    topic = site5.topic("t")
    client, other = site5.client("c"), site5.client("o")
    client.subscribe(topic, 1, no_local=True)
    client.publish([Message(topic, b"mine", 1)])
    other.publish([Message(topic, END, 1)])
    assert client.inbox.until(END) == []


def test_retain_as_published_shows_the_flag(site5: Site) -> None:
    topic = site5.topic("t")
    client = site5.client("c")
    client.subscribe(topic, 1, retain_as_published=True)
    client.publish([Message(topic, b"x", 1, retain=True), Message(topic, b"y", 1)])
    assert [client.inbox.next().retain, client.inbox.next().retain] == [True, False]


@pytest.mark.parametrize(
    ("retain_handling", "first", "again"), [(0, True, True), (1, True, False), (2, False, False)]
)
def test_retain_handling_says_when_retained_messages_come(
    site5: Site, retain_handling: int, first: bool, again: bool
) -> None:
    topic = site5.topic("t")
    client = site5.client("c")
    client.publish([Message(topic, b"kept", 1, retain=True)])
    for expected in (first, again):
        client.subscribe(topic, 1, retain_handling=retain_handling)
        client.publish([Message(topic, END, 1)])
        assert [m.payload for m in client.inbox.until(END)] == ([b"kept"] if expected else [])


def test_a_session_without_expiry_ends_with_its_connection(site5: Site) -> None:
    login = Login(client_id=site5.name("c"), clean=False, session_expiry_s=0)
    client = site5.stranger()
    assert client.connect(login) is False
    client.disconnect()
    assert client.connect(login) is False


@pytest.mark.slow
@ONE_LIBRARY
def test_a_session_ends_when_its_expiry_has_passed(site5: Site) -> None:
    login = Login(client_id=site5.name("c"), clean=False, session_expiry_s=1)
    client = site5.stranger()
    assert client.connect(login) is False
    client.disconnect()
    assert client.connect(login) is True
    client.disconnect()
    left_at = time.monotonic()
    wait_until(lambda: time.monotonic() - left_at > 2.5, "the expiry and a second", 5)
    assert client.connect(login) is False


def test_topics_that_come_again_arrive_by_whatever_name_they_travel(site5: Site) -> None:
    topics = [site5.topic(f"a/topic/that/is/long/enough/{number}") for number in range(20)]
    client = site5.client("c")
    for topic in topics:
        client.subscribe(topic, 1)
    sent = [Message(topic, topic.encode(), qos) for qos in (1, 0, 1) for topic in topics]
    for message in sent:
        client.publish([message])
    came = [client.inbox.next() for _ in sent]
    assert all(message.payload.decode() == message.topic for message in came)
    assert sorted(came, key=repr) == sorted(sent, key=repr)
