"""What holds for every packet and for any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode, encode_publish_parts
from gateway.mqtt.framing import FIRST_BYTES, split
from gateway.mqtt.packets import Connect, Packet, Version
from gateway.mqtt.reasons import Reason
from tests.mqtt.strategies import often, packets_of, publishes, repeatable

PACKET_BYTES_MAX = 2_000  # more than the strategies build, less than a bad length says

VERSIONS = pytest.mark.parametrize("version", Version, ids=lambda version: version.name)
any_version = st.sampled_from(Version)
any_packet = any_version.flatmap(lambda version: st.tuples(st.just(version), packets_of(version)))


def read_all(stream: bytes, version: Version) -> list[Packet]:
    frames, rest = split(stream, 1_048_576)
    assert rest == len(stream)
    return [decode(first, stream[start:end], version) for first, start, end in frames]


@pytest.mark.slow
@VERSIONS
@repeatable
@given(data=st.data())
def test_what_is_encoded_decodes_to_itself(version: Version, data: st.DataObject) -> None:
    packet = data.draw(packets_of(version))
    assert read_all(encode(packet, version), version) == [packet]


@pytest.mark.slow
@often
@given(
    first=st.sampled_from(sorted(FIRST_BYTES)) | st.integers(0, 255),
    body=st.binary(),
    data=st.data(),
)
def test_any_bytes_decode_or_raise_a_protocol_error(
    first: int, body: bytes, data: st.DataObject
) -> None:
    version = data.draw(st.none() | any_version)
    try:
        decode(first, body, version)
    except ProtocolError as error:
        assert error.reason in set(Reason)


@pytest.mark.slow
@repeatable
@given(versioned=any_packet, data=st.data())
def test_a_packet_with_bytes_changed_decodes_or_raises_a_protocol_error(
    versioned: tuple[Version, Packet], data: st.DataObject
) -> None:
    version, packet = versioned
    frame = bytearray(encode(packet, version))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not frame:
            return
    length = 1 + next((at for at, byte in enumerate(frame[1:5], 1) if byte < 128), 1)
    try:
        changed = decode(frame[0], bytes(frame[length:]), version)
    except ProtocolError:
        return
    spoken = changed.version if isinstance(changed, Connect) else version
    assert read_all(encode(changed, spoken), spoken) == [changed]


@pytest.mark.slow
@often
@given(stream=st.binary(max_size=60))
def test_any_stream_splits_alike_at_once_and_byte_by_byte(stream: bytes) -> None:
    assert outcome(stream, len(stream) or 1) == outcome(stream, 1)


@pytest.mark.slow
@repeatable
@given(
    version=any_version, data=st.data(), chunk_bytes=st.integers(1, 40), junk=st.binary(max_size=4)
)
def test_many_packets_split_alike_however_they_arrive(
    version: Version, data: st.DataObject, chunk_bytes: int, junk: bytes
) -> None:
    several = data.draw(st.lists(packets_of(version), max_size=4))
    frames = [encode(packet, version) for packet in several]
    stream = b"".join(frames) + junk
    found, fault = outcome(stream, chunk_bytes)
    assert found[: len(frames)] == frames
    assert (found, fault) == outcome(stream, len(stream) or 1)


def outcome(stream: bytes, chunk_bytes: int) -> tuple[list[bytes], int | None]:
    """Feed a stream in pieces: the frames that come out, and the reason if it is refused."""
    found = []
    buffer = b""
    for at in range(0, len(stream), chunk_bytes):
        buffer += stream[at : at + chunk_bytes]
        while True:
            try:
                packets, rest = split(buffer, PACKET_BYTES_MAX)
            except ProtocolError as error:
                return found, error.reason
            begin = 0
            for first, _, end in packets:
                assert buffer[begin] == first
                found.append(buffer[begin:end])
                begin = end
            assert begin == rest
            buffer = buffer[rest:]
            if not packets:
                break
    return found, None


@pytest.mark.slow
@repeatable
@given(version=any_version, data=st.data(), packet_id=st.integers(1, 65_535))
def test_publish_parts_around_an_identifier_are_the_whole_frame(
    version: Version, data: st.DataObject, packet_id: int
) -> None:
    publish = data.draw(publishes(version))
    head, tail = encode_publish_parts(publish, version)
    if publish.qos == 0:
        assert head + tail == encode(publish, version)
    else:
        publish.packet_id = packet_id
        assert head + packet_id.to_bytes(2, "big") + tail == encode(publish, version)


@pytest.mark.parametrize("first", sorted(FIRST_BYTES - {0x10, 0x6A, 0x8A, 0xAA}))
def test_nothing_but_a_connect_comes_first(first: int) -> None:
    with pytest.raises(ProtocolError) as refusal:
        decode(first, b"\0\1", None)
    assert refusal.value.reason == Reason.PROTOCOL_ERROR


@VERSIONS
def test_a_connect_is_read_by_its_own_version(version: Version) -> None:
    connect = Connect(Version.MQTT5, "a", True, 0)
    assert read_all(encode(connect, version), version) == [connect]
