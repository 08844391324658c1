"""Tables that become the same everywhere."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import Stamp
from gateway.table import FLOOR, Row, Table


def stamp(time_ms: int, gateway: str = "a") -> Stamp:
    return Stamp(time_ms, 0, gateway)


def set_at(table: Table, key: str, value: bytes | None, at: Stamp) -> Row:
    row = table.changed(key, value, at)
    assert table.put(key, row)
    return row


def test_what_is_set_is_there_and_what_is_deleted_is_not() -> None:
    table = Table(10)
    set_at(table, "ann", b"1", stamp(1))
    set_at(table, "bob", b"2", stamp(2))
    set_at(table, "ann", None, stamp(3))
    assert list(table.values()) == [("bob", b"2")]
    assert len(table) == 1


def test_the_newer_change_of_a_row_stands() -> None:
    table = Table(10)
    first = set_at(table, "ann", b"1", stamp(1))
    newer, older = Row(first.born, stamp(5, "b"), b"5"), Row(first.born, stamp(4, "c"), b"4")
    assert table.put("ann", newer)
    assert not table.put("ann", older)
    assert dict(table.values()) == {"ann": b"5"}


def test_a_deletion_stands_against_a_change_that_did_not_know_of_it() -> None:
    here, there = Table(10), Table(10)
    there.put("ann", set_at(here, "ann", b"1", stamp(1)))
    deleted = set_at(here, "ann", None, stamp(2, "a"))
    changed = set_at(there, "ann", b"new password", stamp(9, "b"))
    here.put("ann", changed)
    there.put("ann", deleted)
    assert list(here.values()) == list(there.values()) == []
    assert here.digest() == there.digest()


def test_what_is_made_anew_after_a_deletion_stands() -> None:
    table = Table(10)
    set_at(table, "ann", b"1", stamp(1))
    deleted = set_at(table, "ann", None, stamp(2))
    set_at(table, "ann", b"3", stamp(3))
    assert not table.put("ann", deleted)
    assert dict(table.values()) == {"ann": b"3"}


def test_the_same_row_is_no_news() -> None:
    table = Table(10)
    row = set_at(table, "ann", b"1", stamp(1))
    assert not table.put("ann", row)


def test_deleted_rows_are_bounded_and_the_oldest_are_forgotten_first() -> None:
    table = Table(10)
    for number in range(30):
        set_at(table, f"user{number}", b"", stamp(2 * number + 1))
        set_at(table, f"user{number}", None, stamp(2 * number + 2))
    kept = keys(table)
    assert 1 <= len(kept) <= 10
    assert "user29" in kept and "user0" not in kept
    assert len(table) == 0 and list(table.values()) == []


def keys(table: Table) -> list[str]:
    """Of all rows, deleted ones too, but the floor."""
    return [key for bucket in range(256) for key, _ in table.bucket(bucket) if key != FLOOR]


def tell_all(source: Table, target: Table) -> None:
    for bucket in range(256):
        for key, row in list(source.bucket(bucket)):
            target.put(key, row)


def test_two_tables_that_forgot_different_deletions_are_the_same_again() -> None:
    here, there = Table(1000, deleted_max=10), Table(1000, deleted_max=10)
    for number in range(40):
        gateway, table = ("a", here) if number % 3 else ("b", there)
        set_at(table, f"user{number}", b"", stamp(2 * number + 1, gateway))
        set_at(table, f"user{number}", None, stamp(2 * number + 2, gateway))
    assert here.digest() != there.digest()
    for _ in range(2):
        tell_all(here, there)
        tell_all(there, here)
    assert here.digest() == there.digest()
    assert 1 <= len(keys(here)) <= 10


def test_a_deletion_from_below_the_floor_still_deletes_and_leaves_nothing_behind() -> None:
    here, there = Table(1000, deleted_max=4), Table(1000)
    there.put("ann", set_at(here, "ann", b"1", stamp(1)))
    gone = set_at(there, "ann", None, stamp(2, "b"))
    for number in range(10):
        set_at(here, f"user{number}", b"", stamp(10 * number + 11))
        set_at(here, f"user{number}", None, stamp(10 * number + 12))
    assert here.put("ann", gone)
    assert not here.put("ann", gone)
    assert here.get("ann") is None and "ann" not in dict(here.values())


def test_who_keeps_rows_on_disk_is_told_what_was_forgotten() -> None:
    told: list[str] = []
    table = Table(1000, deleted_max=3, forgotten=told.append)
    for number in range(4):
        set_at(table, f"user{number}", b"", stamp(2 * number + 1))
        set_at(table, f"user{number}", None, stamp(2 * number + 2))
    assert told == ["user0"]


def test_a_table_says_when_it_is_full_and_takes_what_others_have() -> None:
    table = Table(2)
    set_at(table, "a", b"", stamp(1))
    assert not table.is_full()
    set_at(table, "b", b"", stamp(2))
    assert table.is_full()
    set_at(table, "c", b"", stamp(3))
    assert len(table) == 3


_CHANGES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["k", "l"]), st.booleans()), max_size=4
)


@given(_CHANGES)
def test_tables_that_saw_the_same_rows_in_any_order_are_the_same(
    changes: list[tuple[str, str, bool]],
) -> None:
    """Two gateways change two keys without hearing of each other."""
    tables = {"a": Table(10), "b": Table(10)}
    rows = []
    for at, (gateway, key, keep) in enumerate(changes):
        row = set_at(tables[gateway], key, b"%d" % at if keep else None, stamp(at + 1, gateway))
        rows.append((key, row))
    seen = set()
    for order in permutations(rows):
        table = Table(10)
        for key, row in order:
            table.put(key, row)
        seen.add((tuple(sorted(table.values())), tuple(table.digest())))
    assert len(seen) == 1
