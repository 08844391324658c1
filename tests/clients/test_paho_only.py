"""What only paho lets a test do: withhold pings and acknowledgements, use every 5.0 option.

Where no library does it, a raw socket does.
"""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from tests.clients.face import Login, Message, Version
from tests.clients.paho_driver import PahoClient, PahoDriver
from tests.gateways import Broker, wait_until

END = b"end"
VERSIONS = pytest.mark.parametrize("version", list(Version), ids=["3.1", "3.1.1", "5.0"])


@pytest.fixture
def paho() -> Iterator[PahoDriver]:
    driver = PahoDriver()
    yield driver
    driver.close()


def connected(
    paho: PahoDriver, broker: Broker, client_id: str, version: Version = Version.MQTT5
) -> PahoClient:
    client = paho.client(broker.host, broker.port, version)
    client.connect(Login(client_id=client_id))
    return client


@pytest.mark.slow
def test_a_silent_client_is_given_up_and_one_that_pings_is_not(
    broker: Broker, paho: PahoDriver
) -> None:
    watcher = connected(paho, broker, "watcher")
    watcher.subscribe("silence/#", 1)
    started_at = time.monotonic()
    lively = paho.client(broker.host, broker.port, Version.MQTT311)
    will = Message("silence/lively", b"gone", 1)
    lively.connect(Login(client_id="lively", keep_alive_s=1, will=will))
    for version in Version:
        client = paho.client(broker.host, broker.port, version)
        will = Message(f"silence/{version}", b"gone", 1)
        login = Login(client_id=f"silent{version}", keep_alive_s=1, will=will)
        client.connect(login, loop=False)
    gone = [watcher.inbox.next().topic for _ in Version]
    took_s = time.monotonic() - started_at
    assert sorted(gone) == [f"silence/{version}" for version in Version]
    # One and a half times the interval; Mosquitto counts in whole seconds and starts early.
    assert took_s > (1.4 if broker.kind == "gateway" else 1)
    assert took_s < (4 if broker.kind == "gateway" else 8)  # Mosquitto looks every few seconds
    wait_until(lambda: time.monotonic() - started_at > 3, "three intervals", 5)
    watcher.publish([Message("silence/end", END, 1)])
    assert watcher.inbox.until(END) == []
    assert lively.inbox.is_open()


@VERSIONS
def test_no_keep_alive_means_no_limit(broker: Broker, paho: PahoDriver, version: Version) -> None:
    client = paho.client(broker.host, broker.port, version)
    assert client.connect(Login(client_id="endless", keep_alive_s=0)) is False
    client.subscribe("endless", 1)
    client.publish([Message("endless", END, 1)])
    assert client.inbox.until(END) == []


@pytest.mark.parametrize("qos", [1, 2])
def test_no_more_than_receive_maximum_are_under_way(
    broker: Broker, paho: PahoDriver, qos: int
) -> None:
    writer = connected(paho, broker, "writer")
    properties = PahoProperties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = 3
    client = paho.client(broker.host, broker.port, Version.MQTT5)
    arrived: list[MQTTMessage] = []
    client.connect(Login(client_id="narrow"), manual_ack=True, properties=properties)
    assert client.paho is not None
    client.paho.on_message = lambda _client, _userdata, message: arrived.append(message)
    client.subscribe("narrow/+", 2)
    writer.publish([Message("narrow/t", b"%d" % n, qos) for n in range(10)])
    wait_until(lambda: len(arrived) == 3, "the first three", 10)
    client.subscribe("narrow/other", 0)  # its answer comes behind whatever was sent before
    assert len(arrived) == 3
    acknowledged = 0
    while acknowledged < 10:
        wait_until(lambda: len(arrived) > acknowledged, "the next one", 10)  # noqa: B023
        if broker.kind != "mosquitto":  # 2.0.11 forgets the limit after some acknowledgements
            assert len(arrived) <= acknowledged + 3
        message = arrived[acknowledged]
        client.paho.ack(message.mid, message.qos)
        acknowledged += 1
    assert [int(m.payload) for m in arrived] == list(range(10))


def test_a_message_longer_than_the_client_takes_is_not_sent(
    broker: Broker, paho: PahoDriver
) -> None:
    writer = connected(paho, broker, "writer")
    properties = PahoProperties(PacketTypes.CONNECT)
    properties.MaximumPacketSize = 100
    client = paho.client(broker.host, broker.port, Version.MQTT5)
    client.connect(Login(client_id="small"), properties=properties)
    client.subscribe("small", 1)
    writer.publish([Message("small", b"x" * 200, 1), Message("small", b"y" * 20, 1)])
    writer.publish([Message("small", END, 1)])
    assert [m.payload for m in client.inbox.until(END)] == [b"y" * 20]


def test_subscription_identifiers_name_the_subscriptions(broker: Broker, paho: PahoDriver) -> None:
    client = connected(paho, broker, "marked")
    offered = getattr(client.offered, "SubscriptionIdentifierAvailable", 1)
    for topic_filter, identifier in (("marked/a", 7), ("marked/b", 268_435_455)):
        properties = PahoProperties(PacketTypes.SUBSCRIBE)
        properties.SubscriptionIdentifier = identifier
        answer = client.subscribe(topic_filter, 1, properties=properties)
        assert answer == (1 if offered else 0xA1)
    if not offered:  # CONNACK said so, and the refusal has the right name
        return
    client.subscribe("marked/c", 1)
    for name in ("a", "b", "c"):
        client.publish([Message(f"marked/{name}", b"x", 1)])
    came = [client.inbox.next().properties.subscription_identifiers for _ in range(3)]
    assert came == [(7,), (268_435_455,), ()]


def test_a_topic_alias_stands_for_its_topic(broker: Broker, paho: PahoDriver) -> None:
    client = connected(paho, broker, "short")
    client.subscribe("a/long/topic", 1)
    offered = getattr(client.offered, "TopicAliasMaximum", 0)
    assert client.paho is not None
    properties = PahoProperties(PacketTypes.PUBLISH)
    properties.TopicAlias = 1
    if not offered:  # CONNACK said so, and who uses one all the same is told why it must go
        client.paho.publish("a/long/topic", b"named", 1, properties=properties)
        assert client.inbox.closed().reason == 0x94
        return
    for topic, payload in (("a/long/topic", b"named"), ("", b"by its alias")):
        client.paho.publish(topic, payload, 1, properties=properties).wait_for_publish(10)
    for payload in (b"named", b"by its alias"):
        assert client.inbox.next() == Message("a/long/topic", payload, 1)


@pytest.mark.slow
def test_a_delayed_will_is_not_sent_when_the_client_is_back(
    broker: Broker, paho: PahoDriver
) -> None:
    watcher = connected(paho, broker, "watcher")
    watcher.subscribe("delayed/#", 1)
    will_properties = PahoProperties(PacketTypes.WILLMESSAGE)
    will_properties.WillDelayInterval = 1
    client = paho.client(broker.host, broker.port, Version.MQTT5)
    will = Message("delayed/will", b"gone", 1)
    login = Login(client_id="delayed", clean=False, session_expiry_s=60, will=will)
    client.connect(login, will_properties=will_properties)
    client.abort()
    assert client.connect(Login(client_id="delayed", clean=False, session_expiry_s=60)) is True
    back_at = time.monotonic()
    wait_until(lambda: time.monotonic() - back_at > 1.5, "the delay and more", 5)
    watcher.publish([Message("delayed/end", END, 1)])
    assert watcher.inbox.until(END) == []


@pytest.mark.slow
def test_a_delayed_will_is_sent_when_its_time_has_come(broker: Broker, paho: PahoDriver) -> None:
    watcher = connected(paho, broker, "watcher")
    watcher.subscribe("delayed/#", 1)
    will_properties = PahoProperties(PacketTypes.WILLMESSAGE)
    will_properties.WillDelayInterval = 1
    client = paho.client(broker.host, broker.port, Version.MQTT5)
    will = Message("delayed/will", b"gone", 1)
    login = Login(client_id="delayed2", clean=False, session_expiry_s=60, will=will)
    client.connect(login, will_properties=will_properties)
    left_at = time.monotonic()
    client.abort()
    assert watcher.inbox.next().payload == b"gone"
    assert time.monotonic() - left_at > 0.9


def raw_answer(broker: Broker, said: bytes) -> bytes:
    """All that the broker answers to these bytes until it closes."""
    with socket.create_connection((broker.host, broker.port), timeout=10) as connection:
        connection.sendall(said)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # closed with our bytes unread
            while chunk := connection.recv(4096):
                answer += chunk
        return answer


def connect_packet(protocol_name: bytes, level: int, flags: int, rest: bytes) -> bytes:
    body = len(protocol_name).to_bytes(2, "big") + protocol_name + bytes((level, flags, 0, 60))
    body += rest
    return bytes((0x10, len(body))) + body


def test_an_unknown_protocol_level_is_refused(broker: Broker) -> None:
    answer = raw_answer(broker, connect_packet(b"MQTT", 9, 2, b"\x00\x00\x01c"))
    # 3.1.1's return code 1, or 5.0's reason 0x84 to who knows more than we do.
    assert answer[:4] in (b"\x20\x02\x00\x01", b"\x20\x02\x00\x84") or answer[3:4] == b"\x84"


def test_who_does_not_begin_with_connect_is_closed(broker: Broker) -> None:
    assert raw_answer(broker, b"\xc0\x00") == b""


def test_a_second_connect_on_one_connection_ends_it(broker: Broker) -> None:
    connect = connect_packet(b"MQTT", 4, 2, b"\x00\x02c2")
    assert raw_answer(broker, connect * 2)[:4] == b"\x20\x02\x00\x00"


def test_an_empty_name_with_a_session_that_stays_is_refused(broker: Broker) -> None:
    assert raw_answer(broker, connect_packet(b"MQTT", 4, 0, b"\x00\x00")) == b"\x20\x02\x00\x02"


def test_a_publish_to_a_wildcard_ends_the_connection(broker: Broker) -> None:
    connect = connect_packet(b"MQTT", 4, 2, b"\x00\x02c3")
    assert raw_answer(broker, connect + b"\x30\x05\x00\x03a/#") == b"\x20\x02\x00\x00"


@VERSIONS
def test_a_message_that_was_not_acknowledged_comes_again_with_dup(
    broker: Broker, paho: PahoDriver, version: Version
) -> None:
    name = f"again{int(version)}"
    login = Login(client_id=name, clean=False, session_expiry_s=60)
    writer = connected(paho, broker, "writer", version)
    client = paho.client(broker.host, broker.port, version)
    arrived: list[MQTTMessage] = []

    def keep(_paho: Paho, _userdata: object, message: MQTTMessage) -> None:
        arrived.append(message)

    client.connect(login, manual_ack=True)
    assert client.paho is not None
    client.paho.on_message = keep
    client.subscribe(name, 1)
    writer.publish([Message(name, b"once", 1)])
    wait_until(lambda: len(arrived) == 1, "the message", 10)
    client.abort()
    client.connect(login, on_message=keep)
    wait_until(lambda: len(arrived) == 2, "the message again", 10)
    assert [m.dup for m in arrived] == [False, True]
    assert arrived[0].mid == arrived[1].mid
