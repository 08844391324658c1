"""The store of retained messages (gateway/broker/retained.py)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker import retained
from gateway.broker.retained import BUCKETS, Retained, bucket_of
from gateway.ids import NEVER, Stamp
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.topics import matches
from tests.mqtt.strategies import repeatable

often = settings(repeatable, max_examples=500)

words = st.sampled_from(["a", "b", "", "$x", "cc"])
topics = st.lists(words, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.builds(
    lambda levels, tail: "/".join(levels + tail) or "#",
    st.lists(words | st.just("+"), max_size=4),
    st.sampled_from([[], ["#"]]),
)
stamps = st.builds(Stamp, st.integers(1, 4), st.integers(0, 2), st.sampled_from(["g", "h"]))
puts = st.tuples(topics, st.none() | st.sampled_from([b"1", b"2"]), stamps)

BYTES_MAX = 1_000_000


def message(topic: str, payload: bytes, expires_at: float | None = None) -> Message:
    return Message(topic, topic_field(topic), payload, 0, True, expires_at=expires_at)


def put(store: Retained, topic: str, payload: bytes | None, stamp: Stamp) -> bool:
    return store.put(topic, None if payload is None else message(topic, payload), stamp)


def found(store: Retained, topic_filter: str) -> list[str]:
    return sorted(message.topic for message in store.matching(topic_filter))


@pytest.mark.slow
@often
@given(st.lists(puts, max_size=12), filters)
def test_a_filter_finds_what_it_matches(
    given_puts: list[tuple[str, bytes | None, Stamp]], topic_filter: str
) -> None:
    store, last = Retained(100, BYTES_MAX), {}
    for topic, payload, stamp in given_puts:
        if put(store, topic, payload, stamp):
            last[topic] = payload
    kept = [topic for topic, payload in last.items() if payload is not None]
    assert found(store, topic_filter) == sorted(
        topic for topic in kept if matches(topic_filter, topic)
    )
    assert len(store) == len(kept)


@pytest.mark.slow
@repeatable
@given(st.lists(puts, max_size=12), st.randoms(use_true_random=False))
def test_two_stores_that_saw_the_same_are_the_same(
    given_puts: list[tuple[str, bytes | None, Stamp]], dice: random.Random
) -> None:
    one_of_each = {(topic, stamp): (topic, payload, stamp) for topic, payload, stamp in given_puts}
    seen = list(one_of_each.values())
    stores = []
    for _ in range(2):
        store = Retained(100, BYTES_MAX)
        for topic, payload, stamp in seen:
            put(store, topic, payload, stamp)
        stores.append(store)
        dice.shuffle(seen)
    first, second = stores
    assert first.digest() == second.digest()
    for number in range(BUCKETS):
        ours, theirs = dict(first.bucket(number)), dict(second.bucket(number))
        assert ours.keys() == theirs.keys()
        for topic, entry in ours.items():
            assert bucket_of(topic) == number
            assert entry.stamp == theirs[topic].stamp
            payloads = {each.message and each.message.payload for each in (entry, theirs[topic])}
            assert len(payloads) == 1


def test_the_digest_shows_what_differs_and_only_that() -> None:
    one, two = Retained(100, BYTES_MAX), Retained(100, BYTES_MAX)
    for topic in ("a", "b", "c"):
        put(one, topic, b"x", Stamp(1, 0, "g"))
        put(two, topic, b"x", Stamp(1, 0, "g"))
    assert one.digest() == two.digest() != Retained(100, BYTES_MAX).digest()
    put(two, "b", None, Stamp(2, 0, "g"))
    differing = [
        n
        for n, pair in enumerate(zip(one.digest(), two.digest(), strict=True))
        if pair[0] != pair[1]
    ]
    assert differing == [bucket_of("b")]


def test_the_newer_one_stays_whatever_comes_later() -> None:
    store = Retained(100, BYTES_MAX)
    assert store.stamp("t") == NEVER
    assert put(store, "t", b"new", Stamp(2, 0, "g"))
    assert not put(store, "t", b"old", Stamp(1, 9, "h"))
    assert not put(store, "t", b"the same", Stamp(2, 0, "g"))
    assert not put(store, "t", None, Stamp(1, 0, "z"))
    assert put(store, "t", None, Stamp(2, 0, "h"))
    assert not put(store, "t", b"new again", Stamp(2, 0, "g"))
    entry = store.get("t")
    assert entry is not None and entry.message is None
    assert (len(store), store.stamp("t")) == (0, Stamp(2, 0, "h"))


def test_the_limits_refuse_what_is_new_and_change_nothing() -> None:
    store = Retained(2, 4_000)
    put(store, "a", b"x", Stamp(1, 0, "g"))
    put(store, "b", b"x", Stamp(1, 0, "g"))
    before = store.digest()
    with pytest.raises(OverflowError, match="too many retained messages"):
        put(store, "c", b"x", Stamp(1, 0, "g"))
    with pytest.raises(OverflowError, match="too many bytes"):
        put(store, "a", bytes(3_100), Stamp(2, 0, "g"))
    assert store.digest() == before
    assert put(store, "a", bytes(2_000), Stamp(2, 0, "g"))
    assert put(store, "a", bytes(1_000), Stamp(3, 0, "g"))
    assert put(store, "a", None, Stamp(4, 0, "g"))
    assert put(store, "c", bytes(2_000), Stamp(1, 0, "g"))


def test_what_expires_is_gone_and_the_digest_is_as_before() -> None:
    store, elsewhere = Retained(100, BYTES_MAX), Retained(100, BYTES_MAX)
    for each in (store, elsewhere):
        each.put("t", message("t", b"x", expires_at=10.0), Stamp(1, 0, "g"))
        each.put("u", message("u", b"x"), Stamp(1, 0, "g"))
    store.expire(9.9)
    assert found(store, "#") == ["t", "u"]
    store.expire(10.0)
    assert found(store, "#") == ["u"]
    assert len(store) == 1
    assert store.digest() == elsewhere.digest()
    assert put(store, "t", b"again", Stamp(2, 0, "g"))
    assert found(store, "#") == ["t", "u"]


def test_tombstones_are_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "TOMBSTONES_MAX", 90)
    store = Retained(10, BYTES_MAX)
    put(store, "kept", b"x", Stamp(1, 0, "g"))
    for number in range(1_000):
        put(store, f"t/{number}", None, Stamp(2 + number, 0, "g"))
    remembered = [topic for bucket in range(BUCKETS) for topic, _ in store.bucket(bucket)]
    assert len(remembered) <= 100
    assert {"kept", "t/999"} <= set(remembered)
    fresh = Retained(10, BYTES_MAX)
    for topic in remembered:
        entry = store.get(topic)
        assert entry is not None
        fresh.put(topic, entry.message, entry.stamp)
    assert fresh.digest() == store.digest()


def test_an_emptied_tree_holds_no_levels() -> None:
    store = Retained(10, BYTES_MAX)
    for topic in ("a/b/c", "a/b", "/", "a/b/c/d"):
        put(store, topic, b"x", Stamp(1, 0, "g"))
    for topic in ("a/b", "a/b/c/d", "/", "a/b/c"):
        put(store, topic, None, Stamp(2, 0, "g"))
    assert store._root.below == {}
