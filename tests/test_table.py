"""Tables that become the same everywhere."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import Stamp
from gateway.table import Row, Table


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
    kept = [key for bucket in range(256) for key, _ in table.bucket(bucket)]
    assert 1 <= len(kept) <= 10
    assert "user29" in kept and "user0" not in kept


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
