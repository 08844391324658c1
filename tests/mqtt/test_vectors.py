"""One table of packets drives the reader, the writer, the splitter and every truncation."""

from collections import Counter

import pytest

from gateway.errors import ProtocolError
from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import Packet, PacketType, Version
from gateway.mqtt.properties import NO_PROPERTIES
from gateway.mqtt.reasons import Reason
from tests.mqtt.vectors import Vector, load

PACKET_BYTES_MAX = 1_048_576

VECTORS = load()
GOOD = [vector for vector in VECTORS if vector.packet is not None]
BAD = [vector for vector in VECTORS if vector.reason is not None]
# What is bad already in the fixed header is split()'s to find; the rest has a whole frame.
BAD_HEADERS = [vector for vector in BAD if vector.name.startswith("framing: ")]
BAD_BODIES = [vector for vector in BAD if vector not in BAD_HEADERS]

# These end in a payload or a list, so that many a beginning of one is one too.
_OPEN_ENDED = {PacketType.PUBLISH, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE, PacketType.SUBACK}
_ACKNOWLEDGEMENTS = {PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP}


def name(vector: Vector) -> str:
    return vector.name


def read(frame: bytes, vector: Vector) -> Packet:
    """The one packet of a frame, as a server would read it."""
    frames, rest = split(frame, PACKET_BYTES_MAX)
    assert len(frames) == 1 and rest == len(frame)
    first, start, end = frames[0]
    return decode(first, frame[start:end], vector.known_version)


def may_be_cut_to(vector: Vector, length: int) -> bool:
    kind = PacketType(vector.first >> 4)
    if kind in _OPEN_ENDED:
        return True
    if vector.version is Version.MQTT31 and kind is PacketType.CONNECT:
        return vector.packet.username is not None  # a user name or password may be missing
    if vector.version is not Version.MQTT5:
        return False
    if kind in _ACKNOWLEDGEMENTS:
        return length in (2, 3)
    if kind is PacketType.DISCONNECT:
        return length in (0, 1)
    if kind is PacketType.AUTH:
        return length == 0
    return kind is PacketType.UNSUBACK


def is_closed(vector: Vector) -> bool:
    """Whether nothing may follow the last byte: no payload, no list, no omitted field."""
    kind = PacketType(vector.first >> 4)
    if kind in (*_ACKNOWLEDGEMENTS, PacketType.DISCONNECT, PacketType.AUTH, PacketType.UNSUBACK):
        return vector.version is not Version.MQTT5 or (
            kind is not PacketType.UNSUBACK and vector.packet.properties != NO_PROPERTIES
        )
    return kind not in _OPEN_ENDED


@pytest.mark.parametrize("vector", GOOD, ids=name)
def test_good_bytes_are_read(vector: Vector) -> None:
    assert read(vector.frame, vector) == vector.packet


@pytest.mark.parametrize("vector", [each for each in GOOD if not each.read_only], ids=name)
def test_a_packet_is_written_as_these_bytes(vector: Vector) -> None:
    assert encode(vector.packet, vector.version) == vector.frame


@pytest.mark.parametrize("vector", BAD_BODIES, ids=name)
def test_bad_bytes_are_refused_for_their_own_fault(vector: Vector) -> None:
    with pytest.raises(ProtocolError) as refusal:
        read(vector.frame, vector)
    assert refusal.value.reason == vector.reason
    assert vector.detail in refusal.value.detail


@pytest.mark.parametrize("vector", BAD_HEADERS, ids=name)
def test_a_bad_header_is_refused_by_split(vector: Vector) -> None:
    with pytest.raises(ProtocolError) as refusal:
        split(vector.frame, PACKET_BYTES_MAX)
    assert refusal.value.reason == vector.reason
    assert vector.detail in refusal.value.detail


@pytest.mark.parametrize("vector", GOOD, ids=name)
def test_a_packet_comes_with_its_last_byte_and_not_before(vector: Vector) -> None:
    step = max(1, len(vector.frame) // 300)  # long payloads in strides, to stay quick
    for count in range(0, len(vector.frame), step):
        assert split(vector.frame[:count], PACKET_BYTES_MAX) == ([], 0)
    assert read(vector.frame, vector) == vector.packet


@pytest.mark.parametrize("vector", GOOD, ids=name)
def test_a_body_that_is_cut_short_is_refused_or_a_short_form(vector: Vector) -> None:
    body = vector.body
    for length in range(0, len(body), max(1, len(body) // 300)):
        try:
            packet = decode(vector.first, body[:length], vector.known_version)
        except ProtocolError:
            continue
        assert may_be_cut_to(vector, length), f"{length} bytes were read as {packet}"


@pytest.mark.parametrize("vector", [each for each in GOOD if is_closed(each)], ids=name)
def test_a_byte_after_the_last_field_is_refused(vector: Vector) -> None:
    with pytest.raises(ProtocolError) as refusal:
        decode(vector.first, vector.body + b"\0", vector.known_version)
    assert refusal.value.reason == Reason.MALFORMED_PACKET


def test_the_vectors_cover_every_packet_in_every_version() -> None:
    good = {(vector.first >> 4, vector.version) for vector in GOOD}
    bad = {(vector.first >> 4, vector.version) for vector in BAD}
    everything = {
        (kind, version)
        for kind in PacketType
        for version in Version
        if kind is not PacketType.AUTH or version is Version.MQTT5
    }
    assert good == everything
    assert everything <= bad


def test_every_frame_states_its_own_length() -> None:
    for vector in VECTORS:
        if vector not in BAD_HEADERS:
            length = sum(
                (byte & 127) << 7 * index
                for index, byte in enumerate(vector.frame[1 : -len(vector.body) or None])
            )
            assert length == len(vector.body), vector.name


def test_no_two_vectors_have_the_same_name() -> None:
    assert [each for each, count in Counter(map(name, VECTORS)).items() if count > 1] == []
