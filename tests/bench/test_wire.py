"""Batches of packets are cut where packets end, and answered one for one."""

import pytest

from bench import wire


def cut(data: bytes) -> list[tuple[int, int, int, int]]:
    return [(r.first, r.start, r.count, r.size) for r in wire.runs(bytearray(data), len(data))]


def test_neighbours_of_one_type_and_length_are_one_run() -> None:
    puback = wire.packet(wire.PUBACK, b"\0\1")
    assert cut(puback * 5) == [(wire.PUBACK, 0, 5, 4)]


def test_a_run_ends_where_the_type_or_the_length_changes() -> None:
    short = wire.publish("a", 0, 0, b"x")
    long = wire.publish("a", 0, 0, b"xy")
    rel = wire.packet(wire.PUBREL, b"\0\1")
    assert cut(short * 2 + long + rel * 3 + short) == [
        (0x30, 0, 2, 6),
        (0x30, 12, 1, 7),
        (wire.PUBREL, 19, 3, 4),
        (0x30, 31, 1, 6),
    ]


@pytest.mark.parametrize("missing", range(1, 6))
def test_an_incomplete_packet_is_left(missing: int) -> None:
    packet = wire.publish("a", 0, 0, b"x")
    assert cut((packet * 3)[:-missing]) == [(0x30, 0, 2, 6)]


def test_a_long_batch_loses_nothing_between_its_runs() -> None:
    count = wire.RUN_PACKETS_MAX * 3 + 7
    assert sum(run[2] for run in cut(wire.PING * count)) == count


def test_a_packet_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(wire.BrokerError):
        cut(b"\x30\x80\x01" + bytes(128))


def test_every_publish_is_acknowledged_with_its_own_packet_id() -> None:
    ids = [1, 258, 65535]
    data = bytearray().join(wire.publish("topic", 1, i, b"payload") for i in ids)
    (run,) = wire.runs(data, len(data))
    acknowledgements = wire.answers(wire.PUBACK, data, run, 2 + len(wire.text("topic")))
    assert acknowledgements == bytearray().join(
        wire.packet(wire.PUBACK, i.to_bytes(2, "big")) for i in ids
    )
