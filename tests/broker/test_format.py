"""What stands on disk, byte by byte: changed by appending fields only, or earlier versions lose it.

A line that fails here means that a store of this version looks different from one of the last. If a
field was added at the end, with a default, add its bytes here and leave the older lines in OLDER: they
must be read for ever. Anything else needs what docs/decisions/0013-store-format.md asks for.
"""

import msgspec
import pytest

from gateway import table
from gateway.broker.keeping import (
    AgesRow,
    GivenRow,
    MessageRow,
    SessionRow,
    StreamRow,
    SubscriptionRow,
    WillRow,
)
from gateway.broker.living import restore
from gateway.broker.people import UserValue
from gateway.broker.records import (
    Done,
    Enqueued,
    Received,
    Record,
    Released,
    Row,
    Sent,
    Stored,
    Target,
)
from gateway.copy_place import CopyPlace
from gateway.ids import Stamp
from gateway.shell.segments import Identity, batch_bytes, gateway_digest, segment_header
from tests.broker.kept import KeptWorld

MID = 3 << 40 | 1
RICH = [Target(5, 1), Target(6, 2, True, (7,), [3, 4], "$share/g/t")]
RECORDS: list[tuple[Record, str]] = [
    (Row("session", "7", b"\x01"), "94a3726f77a773657373696f6ea137c40101"),
    (Row("retained", "a/b", None), "94a3726f77a872657461696e6564a3612f62c0"),
    (
        Enqueued(MID, b"\0\1t", [b"x", b"y"], 1, False, "p", b"\2\1\1", 1000, RICH),
        "9aa8656e717565756564cf0000030000000001c40300017492c40178c4017901c2a170c403020101cd03e892"
        "960501c290c0a0960602c39107920304aa2473686172652f672f74",
    ),
    (Sent(5, MID, 9), "94a473656e7405cf000003000000000109"),
    (Received(5, MID), "93a8726563656976656405cf0000030000000001"),
    (Done(5, [(MID, MID + 1)]), "93a4646f6e65059192cf0000030000000001cf0000030000000002"),
    (
        Stored(5, 9, MID, b"\0\1t", b"x", True, "p", b"", None),
        "9aa673746f7265640509cf0000030000000001c403000174c40178c3a170c400c0",
    ),
    (Released(MID), "92a872656c6561736564cf0000030000000001"),
]
ROWS: list[tuple[msgspec.Struct, str]] = [
    (
        SessionRow(
            *("c", 60.0, 1000, WillRow("w", b"x", 1, True, b"\0"), "ann", 3, 9, ("g", 7), 3),
            had=(("h", 8, True),),
            copy="k",
        ),
        "9ba163cb404e000000000000cd03e895a177c4017801c3c40100a3616e6e030992a16707039193a16808c3a16b",
    ),
    (SubscriptionRow(1, True, False, 2, 7, True), "9601c3c20207c3"),
    (GivenRow("h", "g", (7, 1, "h")), "94a168a167930701a168c2"),
    (AgesRow([(MID, 60), (MID + 1, 5)]), "919292cf00000300000000013c92cf000003000000000205"),
    (
        MessageRow("t", b"x", 1, True, "p", b"", None, (1, 2, "g")),
        "9aa174c4017801c3a170c400c0930102a16700c0",
    ),
    (
        MessageRow("t", None, 0, True, "", b"", 5, (0, 0, ""), 9),
        "9aa174c000c3a0c40005930000a009c0",
    ),
    (
        MessageRow("t", b"x", 1, True, "p", b"", None, (5, 6, "k"), 0, (1, 2, "g")),
        "9aa174c4017801c3a170c400c0930506a16b00930102a167",
    ),
    (
        table.Row(Stamp(1, 2, "g"), Stamp(3, 0, "h"), b"x"),
        "93930102a167930300a168c40178",
    ),
    (table.Row(Stamp(1, 2, "g"), Stamp(3, 0, "h"), None), "93930102a167930300a168c0"),
    (StreamRow("s/1/n", 300), "92a5732f312f6ecd012c"),
    (UserValue("$s", ["a"], (4096, b"s", b"k", b"v")), "93a2247391a16194cd1000c40173c4016bc40176"),
    (
        CopyPlace("1000-1", "store", "run", 7, 2, True),
        "96a6313030302d31a573746f7265a372756e0702c3",
    ),
]
# As earlier versions wrote them, and how they are read.
OLDER: list[tuple[msgspec.Struct, str]] = [
    (SubscriptionRow(1, True, False, 2), "9401c3c202"),
    (SubscriptionRow(1, True, False, 2, 7), "9501c3c20207"),
    (SessionRow("c", 60.0), "92a163cb404e000000000000"),
    (
        SessionRow("c", 60.0, 1000, WillRow("w", b"x", 1, True, b"\0"), "ann"),
        "95a163cb404e000000000000cd03e895a177c4017801c3c40100a3616e6e",
    ),
    (Target(6, 2, True, (7,), [3, 4]), "950602c39107920304"),
    (
        MessageRow("t", b"x", 1, True, "p", b"", None, (1, 2, "g")),
        "99a174c4017801c3a170c400c0930102a16700",
    ),
]


@pytest.mark.parametrize(
    ("value", "golden"), [*RECORDS, *ROWS], ids=lambda value: type(value).__name__
)
def test_what_is_written_is_what_the_last_version_wrote(value: msgspec.Struct, golden: str) -> None:
    assert msgspec.msgpack.encode(value).hex() == golden
    assert msgspec.msgpack.decode(bytes.fromhex(golden), type=type(value)) == value


def test_every_kind_of_record_has_its_golden_bytes() -> None:
    assert {type(value) for value, _ in RECORDS} == set(Record.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("value", "golden"), OLDER, ids=lambda value: type(value).__name__)
def test_what_an_earlier_version_wrote_is_read(value: msgspec.Struct, golden: str) -> None:
    assert msgspec.msgpack.decode(bytes.fromhex(golden), type=type(value)) == value


@pytest.mark.parametrize(
    ("value", "golden"), [*RECORDS, *ROWS], ids=lambda value: type(value).__name__
)
def test_a_field_that_a_later_version_appends_is_passed_over(
    value: msgspec.Struct, golden: str
) -> None:
    first, *rest = bytes.fromhex(golden)
    longer = bytes((first + 1, *rest)) + msgspec.msgpack.encode("new")
    assert msgspec.msgpack.decode(longer, type=type(value)) == value


def test_a_row_of_a_kind_that_is_not_known_does_no_harm() -> None:
    world = KeptWorld()
    world.card.rows["newer", "key"] = b"\xc1"
    world.power_cut()
    restore(world.broker.state, {("newer", "key"): b"\xc1"}, [])
    assert not world.notes()


def test_a_segment_begins_as_it_always_did() -> None:
    identity = Identity(bytes(range(16)), gateway_digest("g"))
    head = "47575345474d4e5401000000 0700000000000000 0300000000000000"
    owner = "000102030405060708090a0b0c0d0e0f 147de5ec1b7678499874683df22ab9e5 765f8d63"
    assert segment_header(identity, 7, 3) == bytes.fromhex(head + owner).ljust(512, b"\0")
    batch = "47574254 04000000 0300000000000000 0700000000000000 07000000 aae64919"
    expected = (bytes.fromhex(batch) + b"payload").ljust(512, b"\0")
    assert batch_bytes(identity.store, 7, 3, 4, b"payload") == expected
