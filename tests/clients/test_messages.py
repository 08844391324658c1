"""What every client library may expect of a broker, in every version it speaks."""

import pytest

from tests.clients.conftest import Site
from tests.clients.face import MANY_S_MAX, Login, Message, Version

END = b"end"
MANY = 1_000
LARGE = bytes(range(256)) * 1024  # 256 kB


def test_a_client_comes_and_goes_and_comes_again(site: Site) -> None:
    client = site.client("c")
    client.disconnect()
    assert client.connect(Login(client_id=site.name("c"))) is False


@pytest.mark.parametrize("version", [Version.MQTT311, Version.MQTT5], indirect=True)
def test_a_client_without_a_name_is_given_one(site: Site) -> None:
    assert site.stranger().connect(Login(client_id="")) is False
    assert site.stranger().connect(Login(client_id="")) is False


@pytest.mark.parametrize("granted", [0, 1, 2])
def test_a_message_arrives_with_the_lower_of_both_qos(site: Site, granted: int) -> None:
    client = site.client("c")
    topic = site.topic("a/b")
    assert client.subscribe(topic, granted) == granted
    for qos in (0, 1, 2):
        client.publish([Message(topic, b"payload %d" % qos, qos)])
        assert client.inbox.next() == Message(topic, b"payload %d" % qos, min(qos, granted))


def test_wildcards_take_what_matches_and_nothing_else(site: Site) -> None:
    client, other = site.client("c"), site.client("o")
    client.subscribe(site.topic("+/room/#"), 1)
    client.subscribe(site.topic("end"), 1)
    right = ["a/room", "b/room/c", "b/room/c/d", "/room/x"]
    wrong = ["a", "a/rooms", "a/b/room/c", "room/c", "a/Room/c"]
    for name in (*right, *wrong):
        other.publish([Message(site.topic(name), name.encode(), 1)])
    other.publish([Message(site.topic("end"), END, 1)])
    assert [m.topic for m in client.inbox.until(END)] == [site.topic(name) for name in right]


def test_a_leading_wildcard_does_not_take_topics_with_a_dollar(site: Site) -> None:
    client = site.client("c")
    client.subscribe("+/inside", 1)
    client.subscribe("#", 1)
    client.publish([Message("$house/inside", b"hidden", 1), Message(site.topic("x"), END, 1)])
    assert b"hidden" not in [m.payload for m in client.inbox.until(END)]


def test_overlapping_subscriptions_bring_a_message_once_with_the_highest_qos(site: Site) -> None:
    client = site.client("c")
    for topic_filter, qos in (("a/#", 0), ("a/b", 2), ("+/b", 1)):
        client.subscribe(site.topic(topic_filter), qos)
    client.subscribe(site.topic("end"), 2)
    client.publish([Message(site.topic("a/b"), b"once", 2), Message(site.topic("end"), END, 2)])
    copies = client.inbox.until(END)
    if site.broker.kind == "mosquitto" and site.version == Version.MQTT5:
        # It sends one copy for each subscription, which 3.3.4 allows; ours shall send one.
        assert sorted(m.qos for m in copies) == [0, 1, 2]
    else:
        assert copies == [Message(site.topic("a/b"), b"once", 2)]


def test_a_repeated_subscription_replaces_the_first(site: Site) -> None:
    client = site.client("c")
    topic = site.topic("a")
    assert client.subscribe(topic, 2) == 2
    assert client.subscribe(topic, 0) == 0
    client.publish([Message(topic, b"x", 2), Message(topic, END, 2)])
    assert client.inbox.until(END) == [Message(topic, b"x", 0)]


def test_after_unsubscribe_nothing_comes(site: Site) -> None:
    client = site.client("c")
    client.subscribe(site.topic("+"), 1)
    client.subscribe(site.topic("a"), 1)
    client.unsubscribe(site.topic("+"))
    client.publish([Message(site.topic("b"), b"no", 1), Message(site.topic("a"), END, 1)])
    assert client.inbox.until(END) == []


def test_a_retained_message_waits_for_new_subscribers(site: Site) -> None:
    topic = site.topic("state")
    writer, reader = site.client("w"), site.client("r")
    writer.publish([Message(topic, b"on", 1, retain=True)])
    reader.subscribe(topic, 1)
    assert reader.inbox.next() == Message(topic, b"on", 1, retain=True)


def test_the_flag_of_a_retained_message_is_not_shown_to_who_was_there(site: Site) -> None:
    topic = site.topic("state")
    client = site.client("c")
    client.subscribe(topic, 1)
    client.publish([Message(topic, b"on", 1, retain=True)])
    assert client.inbox.next() == Message(topic, b"on", 1, retain=False)


def test_a_newer_retained_message_replaces_the_older(site: Site) -> None:
    topic = site.topic("state")
    writer, reader = site.client("w"), site.client("r")
    for value in (b"on", b"off"):
        writer.publish([Message(topic, value, 2, retain=True)])
    reader.subscribe(site.topic("#"), 2)
    writer.publish([Message(topic, END, 2)])
    assert reader.inbox.until(END) == [Message(topic, b"off", 2, retain=True)]


def test_an_empty_retained_message_clears_it(site: Site) -> None:
    topic = site.topic("state")
    writer, reader = site.client("w"), site.client("r")
    writer.publish([Message(topic, b"on", 1, retain=True), Message(topic, b"", 1, retain=True)])
    reader.subscribe(topic, 1)
    writer.publish([Message(topic, END, 1)])
    assert reader.inbox.until(END) == []


def test_a_will_is_sent_when_the_connection_breaks(site: Site) -> None:
    topic = site.topic("lost")
    watcher = site.client("w")
    watcher.subscribe(topic, 1)
    site.client("c", will=Message(topic, b"gone", 1)).abort()
    assert watcher.inbox.next() == Message(topic, b"gone", 1)


def test_a_retained_will_stays(site: Site) -> None:
    topic = site.topic("lost")
    watcher, later = site.client("w"), site.client("l")
    watcher.subscribe(topic, 1)
    site.client("c", will=Message(topic, b"gone", 1, retain=True)).abort()
    watcher.inbox.next()
    later.subscribe(topic, 1)
    assert later.inbox.next() == Message(topic, b"gone", 1, retain=True)


def test_no_will_is_sent_after_a_disconnect(site: Site) -> None:
    topic = site.topic("lost")
    watcher = site.client("w")
    watcher.subscribe(topic, 1)
    site.client("c", will=Message(topic, b"gone", 1)).disconnect()
    # The same name once more: when that is let in, the first connection is over and done with.
    site.client("c").publish([Message(topic, END, 1)])
    assert watcher.inbox.until(END) == []


def test_a_second_connect_takes_the_name_and_the_first_is_closed(site: Site) -> None:
    topic = site.topic("t")
    first = site.client("c", will=Message(topic, b"pushed out", 1))
    watcher = site.client("w")
    watcher.subscribe(topic, 1)
    second = site.client("c")
    closed = first.inbox.closed()
    if site.broker.kind != "mosquitto":  # 2.0.11 closes without the word that 3.1.4 demands
        assert closed.reason == (0x8E if site.version == Version.MQTT5 else None)
    assert watcher.inbox.next().payload == b"pushed out"
    second.publish([Message(topic, b"served", 1)])
    assert watcher.inbox.next().payload == b"served"


def test_a_clean_session_is_forgotten(site: Site) -> None:
    topic = site.topic("t")
    client, writer = site.client("c"), site.client("w")
    client.subscribe(topic, 1)
    client.disconnect()
    writer.publish([Message(topic, b"missed", 1)])
    assert client.connect(Login(client_id=site.name("c"))) is False
    writer.publish([Message(topic, b"missed too", 1)])
    client.subscribe(topic, 1)
    writer.publish([Message(topic, END, 1)])
    assert client.inbox.until(END) == []


@pytest.mark.parametrize("qos", [1, 2])
def test_a_session_that_stays_collects_what_comes_meanwhile(site: Site, qos: int) -> None:
    topic = site.topic("t")
    writer = site.client("w")
    client, present = site.keeper("c")
    assert not present
    client.subscribe(topic, 2)
    client.disconnect()
    sent = [Message(topic, b"%d" % n, qos) for n in range(20)]
    writer.publish([*sent, Message(topic, END, qos)])
    client, present = site.keeper("c", client)
    # 3.1 has no words for it: that byte of CONNACK is reserved.
    assert present or site.version == Version.MQTT31
    assert client.inbox.until(END) == sent


def test_a_session_that_stays_survives_a_broken_connection(site: Site) -> None:
    topic = site.topic("t")
    writer = site.client("w")
    client, _ = site.keeper("c")
    client.subscribe(topic, 1)
    client.abort()
    writer.publish([Message(topic, b"meanwhile", 1)])
    client, _ = site.keeper("c", client)
    assert client.inbox.next().payload == b"meanwhile"


def test_a_clean_connect_ends_a_session_that_stayed(site: Site) -> None:
    topic = site.topic("t")
    writer = site.client("w")
    client, _ = site.keeper("c")
    client.subscribe(topic, 1)
    client.disconnect()
    writer.publish([Message(topic, b"dropped", 1)])
    site.client("c").disconnect()
    client, present = site.keeper("c", client)
    assert not present
    client.subscribe(topic, 1)
    writer.publish([Message(topic, END, 1)])
    assert client.inbox.until(END) == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_large_payload_arrives_whole(site: Site, qos: int) -> None:
    topic = site.topic("large")
    client, writer = site.client("c"), site.client("w")
    client.subscribe(topic, qos)
    writer.publish([Message(topic, LARGE, qos)])
    message = client.inbox.next()
    assert (message.qos, message.payload == LARGE) == (qos, True)


@pytest.mark.slow
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_thousand_messages_arrive_once_and_in_order(site: Site, qos: int) -> None:
    topic = site.topic("many")
    client, writer = site.client("c"), site.client("w")
    client.subscribe(topic, qos)
    writer.publish([Message(topic, b"%d" % n, qos) for n in range(MANY)])
    writer.publish([Message(topic, END, qos)])
    came = client.inbox.until(END, MANY_S_MAX)
    assert [int(m.payload) for m in came] == list(range(MANY))
    assert {m.qos for m in came} == {qos}


def test_topics_and_payloads_may_be_any_text(site: Site) -> None:
    topic = site.topic("Küche/温度/🌡/ space ")
    client = site.client("c")
    client.subscribe(site.topic("Küche/+/🌡/#"), 1)
    client.publish([Message(topic, "21 °C".encode(), 1)])
    assert client.inbox.next() == Message(topic, "21 °C".encode(), 1)


def test_an_empty_payload_is_a_message(site: Site) -> None:
    topic = site.topic("t")
    client = site.client("c")
    client.subscribe(topic, 1)
    client.publish([Message(topic, b"", 1)])
    assert client.inbox.next() == Message(topic, b"", 1)


def test_who_share_a_subscription_share_its_messages(site: Site) -> None:
    topic, ends = site.topic("jobs"), site.topic("ends")
    workers = [site.client(who) for who in "abc"]
    for worker in workers:
        worker.subscribe(f"$share/{site.name('w')}/{topic}", 1)
        worker.subscribe(ends, 1)
    writer = site.client("p")
    jobs = [b"%d" % number for number in range(30)]
    writer.publish([Message(topic, job, 1) for job in jobs])
    writer.publish([Message(ends, END, 1)])
    came = [[message.payload for message in worker.inbox.until(END)] for worker in workers]
    assert sorted(job for jobs_of_one in came for job in jobs_of_one) == sorted(jobs)
    assert all(came), "somebody had nothing to do"
