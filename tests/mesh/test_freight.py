"""What is on its way to a copy: so much at a time, and again on a new link."""

import pytest

from gateway.errors import LinkError
from gateway.limits import COPY_PIECE_BYTES, COPY_WINDOW_BYTES
from gateway.mesh.frames import CopyPart
from gateway.mesh.freight import Freight, Item


def loaded(*sizes: int) -> Freight:
    freight = Freight()
    for number, size in enumerate(sizes, 1):
        freight.add(Item(number, 0, bytes([number]) * size, 0.0))
    return freight


def pieces(freight: Freight) -> list[CopyPart]:
    found = []
    while (piece := freight.next_piece()) is not None:
        found.append(piece)
    return found


def test_so_much_is_under_way_and_more_when_the_other_side_says_so() -> None:
    freight = loaded(10 * COPY_WINDOW_BYTES)
    first = pieces(freight)
    assert sum(len(piece.payload) for piece in first) == COPY_WINDOW_BYTES
    assert all(piece.more for piece in first)
    freight.taken(2)
    assert [len(piece.payload) for piece in pieces(freight)] == [COPY_PIECE_BYTES] * 2


def test_what_is_on_disk_leaves_and_the_rest_goes_again_on_a_new_link() -> None:
    freight = loaded(10, COPY_PIECE_BYTES + 1, 10)
    assert [(piece.number, piece.more) for piece in pieces(freight)] == [
        *((1, False), (0, True), (2, False), (3, False))
    ]
    assert [item.number for item in freight.kept((1, 0))] == [1]
    freight.rewind()
    assert freight.kept((3, 0)) == [], "nothing was sent on this link yet"
    freight.begin_behind((2, 0))
    (piece,) = pieces(freight)
    assert (piece.number, piece.payload) == (3, b"\3" * 10)
    assert freight.bytes == 10
    freight.kept((3, 0))
    assert freight.bytes == len(freight) == 0


def test_an_empty_batch_is_sent_too() -> None:
    (piece,) = pieces(loaded(0))
    assert (piece.number, piece.payload, piece.more) == (1, b"", False)


@pytest.mark.parametrize("said", [-1, 2])
def test_nobody_takes_what_was_not_sent(said: int) -> None:
    freight = loaded(10)
    pieces(freight)
    with pytest.raises(LinkError):
        freight.taken(said)
