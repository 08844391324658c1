"""Whatever bytes come, in whatever pieces: nothing but answers leaves a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.connection import CHUNKS_MAX
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Packet,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from tests.broker.world import EVERY_VERSION, V5, Client, World
from tests.mqtt.strategies import packets_of, repeatable

ACKNOWLEDGEMENTS = (
    PubAck,
    PubRec,
    PubComp,
    PubRel,
)  # these leave behind the other answers to one read

TOLD = Properties(content_type="text")
topics = st.sampled_from(["a", "a/b", "a/$c", "$d", "b" * 130])
filters = st.sampled_from(["a", "a/+", "#", "+/b", "$d", "b" * 130])
qos = st.integers(0, 2)
ids = st.integers(1, 5)
payloads = st.sampled_from([b"", b"x", b"y" * 126, bytes(200)])


def conversations(version: Version) -> st.SearchStrategy[list[Packet]]:
    """What a client may say, sensible or not, after CONNECT."""
    options: tuple[st.SearchStrategy[object], ...] = ()
    if version is V5:
        options = (st.booleans(), st.booleans(), qos)
    publish = st.builds(
        lambda topic, payload, qos, retain, dup, packet_id: Publish(
            topic, payload, qos, retain, dup and qos > 0, packet_id if qos else 0
        ),
        *(topics, payloads, qos, st.booleans(), st.booleans(), ids),
    )
    plain = st.builds(
        lambda topic, payload, qos, packet_id, told: Publish(
            *(topic, payload, qos, False, False, packet_id if qos else 0),
            TOLD if told and version is V5 else NO_PROPERTIES,
        ),
        *(topics, payloads, st.integers(0, 1), ids, st.sampled_from([False, False, True])),
    )
    subscription = st.builds(Subscription, filters, qos, *options)
    lines = st.lists(subscription, min_size=1, max_size=3).map(tuple)
    return st.lists(
        st.one_of(
            *(plain, plain, publish),
            st.builds(Subscribe, ids, lines),
            st.builds(Unsubscribe, ids, st.lists(filters, min_size=1, max_size=2).map(tuple)),
            *(st.builds(make, ids) for make in (PubAck, PubRec, PubRel, PubComp)),
            st.just(PingReq()),
        ),
        max_size=25,
    )


def connect(version: Version) -> Connect:
    return Connect(version, "c", True, 0, Will("a", b"will"))


def listener(world: World) -> Client:
    client = world.connected("w")
    client.subscribe("#", 1)
    return client


def heard(client: Client) -> list[list[Packet]]:
    """What came, with the acknowledgements apart, and the messages of each QoS apart."""
    came = client.take()
    acks = [packet for packet in came if isinstance(packet, ACKNOWLEDGEMENTS)]
    return [acks, [packet for packet in came if not isinstance(packet, ACKNOWLEDGEMENTS)]]


@pytest.mark.slow
@EVERY_VERSION
@repeatable
@given(data=st.data())
def test_a_conversation_in_any_pieces_has_the_same_answers(
    version: Version, data: st.DataObject
) -> None:
    packets = [connect(version), *data.draw(conversations(version))]
    said = b"".join(encode(packet, version) for packet in packets)
    if data.draw(st.booleans(), "broken"):
        said += data.draw(st.binary(max_size=8))
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=12))
    whole, pieces, bytewise = World(), World(), World()
    answers = []
    for world, edges in (
        (whole, []),
        (pieces, sorted(cuts)),
        (bytewise, list(range(1, len(said)))),
    ):
        watcher, client = listener(world), world.client("c", version)
        for begin, end in zip([0, *edges], [*edges, len(said)], strict=True):
            client.send_bytes(said[begin:end])
        client.lose()
        answers.append((heard(client), heard(watcher), client.closed))
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.slow
@EVERY_VERSION
@repeatable
@given(data=st.data())
def test_no_packet_raises_and_the_broker_goes_on(version: Version, data: st.DataObject) -> None:
    world = World()
    watcher = listener(world)
    said = bytearray(
        b"".join(encode(packet, version) for packet in data.draw(st.lists(packets_of(version))))
    )
    for _ in range(data.draw(st.integers(0, 3))):
        if said:
            said[data.draw(st.integers(0, len(said) - 1))] = data.draw(st.integers(0, 255))
    client = world.client("c", version)
    if data.draw(st.booleans(), "connected"):
        client.send(connect(version))
    client.send_bytes(bytes(said))
    client.lose()
    assert goes_on(world, watcher)


@pytest.mark.slow
@repeatable
@given(said=st.binary(max_size=100), connected=st.booleans(), version=st.sampled_from(Version))
def test_no_bytes_raise_and_the_broker_goes_on(
    said: bytes, connected: bool, version: Version
) -> None:
    world = World()
    watcher = listener(world)
    client = world.client("c", version)
    if connected:
        client.send(connect(version))
    client.send_bytes(said)
    client.lose()
    assert goes_on(world, watcher)


def goes_on(world: World, watcher: Client) -> bool:
    world.connected("p").publish("still/here", b"yes")
    payloads = [packet.payload for packet in watcher.take() if isinstance(packet, Publish)]
    world.pass_s(100)
    return payloads[-1] == b"yes" and world.broker.clients() == 2


def test_one_byte_at_a_time_costs_no_more_memory_than_the_packet() -> None:
    world = World()
    client = world.connected("c")
    for byte in encode(Publish("t", bytes(10_000), 1, packet_id=1), V5):
        assert len(client.connection._chunks) <= CHUNKS_MAX + 1
        client.send_bytes(bytes((byte,)))
    (answer,) = client.take()
    assert isinstance(answer, PubAck)


def test_a_connect_of_any_properties_is_answered() -> None:
    world = World()
    client = world.client("c")
    client.connect(
        request_problem_information=True,
        request_response_information=True,
        topic_alias_maximum=10,
        user_properties=(("a", "b"),) * 5,
    )
    (answer,) = client.take()
    assert isinstance(answer, ConnAck)
    assert answer.properties.response_information is None
    assert Properties(topic_alias_maximum=None) == Properties()
