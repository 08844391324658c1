"""The durable store: what its futures promised is there after any crash."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.records import Enqueued, Rewrite, Row
from gateway.shell.segments import read_header, scan
from tests.shell.durable import message, read, segments, started


def test_what_was_committed_is_there_after_a_crash_and_after_a_close(tmp_path: Path) -> None:
    store = started(tmp_path)
    store.commit([Row("s", "a", b"1"), message(1), Row("s", "b", b"2")]).result()
    store.commit([Row("s", "a", None), message(2)]).result()
    expected = ({("s", "b"): b"2"}, [message(1), message(2)], [])
    assert read(tmp_path) == expected
    store.close()
    assert read(tmp_path) == expected


def test_numbers_go_on_over_many_starts(tmp_path: Path) -> None:
    for number in range(5):
        store = started(tmp_path)
        store.commit([message(number), Row("n", "n", bytes([number]))]).result()
        store.close()
    assert read(tmp_path) == ({("n", "n"): b"\4"}, [message(n) for n in range(5)], [])


def test_a_batch_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    store = started(tmp_path)
    large = [message(1), message(2, 40_000), message(3)]
    for record in large:
        store.commit([record]).result()
    store.close()
    assert read(tmp_path)[1:] == (large, [])


def test_a_tail_torn_at_any_byte_is_a_normal_end(tmp_path: Path) -> None:
    store = started(tmp_path)
    store.commit([message(1)]).result()
    store.commit([message(2, 800)]).result()
    path = segments(tmp_path)[-1]
    whole = path.read_bytes()
    header = read_header(path)
    assert header is not None
    owner = header[2].store
    first, last = scan(path, 1, owner).batches
    for cut in range(first.end, last.offset + last.length):
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        torn = scan(path, 1, owner)
        assert (torn.batches, torn.damaged) == ([first], False), cut
        if cut % 61 == 0:
            assert read(tmp_path) == ({}, [message(1)], []), cut
    path.write_bytes(whole)
    assert read(tmp_path)[1] == [message(1), message(2, 800)]
    store.close()


Step = tuple[str, int | None, bytes | None]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("rows"), st.integers(0, 3), st.one_of(st.none(), st.binary(max_size=9))),
        st.tuples(st.just("message"), st.integers(1, 3000), st.none()),
        st.tuples(st.sampled_from(["crash", "close", "rewrite"]), st.none(), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_any_history_is_recovered_as_a_model_has_it(
    steps: list[Step],
) -> None:
    rows: dict[tuple[str, str], bytes] = {}
    messages: dict[int, Enqueued] = {}
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "0"
        store = started(directory)
        for number, (step, one, value) in enumerate(steps, 1):
            if step == "rows":
                store.commit([Row("k", str(one), value)]).result()
                rows[("k", str(one))] = value or b""
                if value is None:
                    del rows[("k", str(one))]
            elif step == "message":
                messages[number] = message(number, one or 1)
                store.commit([messages[number]]).result()
            elif step == "rewrite":
                store.commit([], Rewrite.BEGIN).result()
                for record in messages.values():
                    store.commit([record]).result()
                store.commit([], Rewrite.END).result()
            else:
                copy = Path(scratch) / str(number)
                if step == "close":
                    store.close()
                shutil.copytree(directory, copy)
                if step == "crash":
                    store.close()
                directory = copy
                store = started(directory)
            found_rows, found, notes = read(directory)
            assert found_rows == rows
            assert {r.first: r for r in found if isinstance(r, Enqueued)} == messages
            assert notes == []
        store.close()
