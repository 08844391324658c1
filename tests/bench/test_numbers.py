"""A stream altered on its way is seen through: lost, doubled, moved and changed messages."""

import random

import pytest

from bench import wire
from bench.numbers import LAP, Inbox, Laps, Tally

LAPS = {qos: Laps("bench/stream", qos) for qos in (0, 1, 2)}
QOS = pytest.mark.parametrize("qos", (0, 1, 2))


def frames(qos: int, count: int, start: int = 0) -> list[bytes]:
    laps = LAPS[qos]
    cut = []
    for number in range(start, start + count):
        lap, place = divmod(number, LAP)
        cut.append(laps.sent(lap)[place * laps.size : (place + 1) * laps.size])
    return cut


def received(qos: int, packets: list[bytes], chunk: int = 1 << 16) -> tuple[Tally, bytes]:
    inbox = Inbox(LAPS[qos])
    data, answers = b"".join(packets), b""
    for start in range(0, len(data), chunk):
        part = data[start : start + chunk]
        inbox.room()[: len(part)] = part
        answers += inbox.take(len(part))
    return inbox.tally, answers


def faults(tally: Tally, published: int) -> dict[str, int]:
    counts = {
        "missing": tally.missing(published),
        "duplicates": tally.duplicates,
        "late": tally.late,
        "altered": tally.altered,
    }
    return {name: count for name, count in counts.items() if count}


@QOS
def test_what_comes_as_it_was_sent_is_counted_and_has_no_fault(qos: int) -> None:
    tally, _ = received(qos, frames(qos, LAP + 300))
    assert tally.received == LAP + 300
    assert faults(tally, LAP + 300) == {}


@QOS
@pytest.mark.parametrize("chunk", (1, 7, 79, 1000))
def test_the_count_does_not_depend_on_how_the_bytes_arrive(qos: int, chunk: int) -> None:
    tally, answers = received(qos, frames(qos, 60), chunk)
    assert (tally.received, faults(tally, 60)) == (60, {})
    assert len(answers) == (60 * wire.ACK_BYTES if qos else 0)


@QOS
def test_a_lost_message_is_missing(qos: int) -> None:
    sent = frames(qos, 300)
    del sent[123]
    tally, _ = received(qos, sent)
    assert (tally.received, faults(tally, 300)) == (299, {"missing": 1})


@QOS
def test_the_last_messages_lost_are_missing(qos: int) -> None:
    tally, _ = received(qos, frames(qos, 300)[:-5])
    assert faults(tally, 300) == {"missing": 5}


@QOS
def test_a_message_that_comes_twice_is_a_duplicate(qos: int) -> None:
    sent = frames(qos, 300)
    sent.insert(200, sent[40])
    tally, _ = received(qos, sent)
    assert (tally.received, faults(tally, 300)) == (301, {"duplicates": 1})


def test_a_repetition_with_the_dup_flag_is_a_duplicate() -> None:
    sent = frames(1, 300)
    sent.insert(41, bytes((sent[40][0] | 8,)) + sent[40][1:])
    tally, answers = received(1, sent)
    assert faults(tally, 300) == {"duplicates": 1}
    assert len(answers) == 301 * wire.ACK_BYTES


@QOS
def test_a_message_that_is_overtaken_is_late_and_not_missing(qos: int) -> None:
    sent = frames(qos, 300)
    sent[10], sent[11] = sent[11], sent[10]
    assert faults(received(qos, sent)[0], 300) == {"late": 1}


@QOS
@pytest.mark.parametrize("place", (-1, -40, 5))
def test_a_changed_byte_is_an_altered_message(qos: int, place: int) -> None:
    sent = frames(qos, 300)
    frame = bytearray(sent[77])
    frame[place] ^= 1
    sent[77] = bytes(frame)
    assert faults(received(qos, sent)[0], 300) == {"altered": 1, "missing": 1}


def test_a_message_of_another_length_is_altered() -> None:
    sent = frames(0, 300)
    sent[5] = wire.publish("bench/stream", 0, 0, b"short")
    assert faults(received(0, sent)[0], 300) == {"altered": 1, "missing": 1}


def test_every_fault_of_a_shuffled_stream_is_counted() -> None:
    dice = random.Random(7)
    sent = frames(1, 1000, start=LAP - 500)
    whole = frames(1, LAP - 500) + sent
    lost = dice.sample(range(len(whole)), 20)
    kept = [frame for number, frame in enumerate(whole) if number not in lost]
    tally, _ = received(1, kept, 10_000)
    assert (tally.received, tally.missing(len(whole))) == (len(whole) - 20, 20)


def test_qos_2_releases_are_completed_between_messages() -> None:
    release = wire.packet(wire.PUBREL, b"\0\1")
    sent = frames(2, 2)
    tally, answers = received(2, [sent[0], release, sent[1]])
    assert (tally.received, faults(tally, 2)) == (2, {})
    assert answers == bytes.fromhex("50020001 70020001 50020002")
