"""Line framing: the same lines however the bytes were cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.lines import LineFraming

LIMIT = 8

streams = st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\xff", b"longer"])).map(
    b"".join
)


def frames(*chunks: bytes) -> list[bytes | None]:
    framing = LineFraming(LIMIT)
    return [line for chunk in chunks for line in framing.receive(chunk)]


@given(streams, st.lists(st.integers(0, 60)))
def test_any_chunking_gives_the_same_lines(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(places)]
    assert frames(*chunks) == frames(stream)
    assert frames(*(bytes([byte]) for byte in stream)) == frames(stream)


@given(streams.map(lambda stream: stream + b"\n"))
def test_every_line_is_what_stands_between_two_line_feeds(stream: bytes) -> None:
    whole = [line.removesuffix(b"\r") for line in stream.split(b"\n")[:-1]]
    assert frames(stream) == [line if len(line) <= LIMIT else None for line in whole]


def test_the_ending_does_not_count_towards_the_limit() -> None:
    assert frames(b"12345678\r\n", b"12345678\n", b"123456789\n") == [
        b"12345678",
        b"12345678",
        None,
    ]


def test_a_line_that_never_ends_is_told_once_takes_no_memory_and_the_next_one_is_read() -> None:
    framing = LineFraming(LIMIT)
    assert framing.receive(b"x" * 1000) == [None]
    for _ in range(100):
        assert framing.receive(b"x" * 1000) == []
        assert len(framing._partial) <= LIMIT + 1
    assert framing.receive(b"\nok\n") == [b"ok"]
