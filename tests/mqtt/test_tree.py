"""The topic tree finds what `matches` says, in order, and leaves nothing behind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits import TOPIC_LEVELS_MAX
from gateway.mqtt.topics import matches
from gateway.mqtt.tree import TopicTree
from tests.mqtt.strategies import repeatable

# Few words, so that filters overlap.
words = st.sampled_from(["a", "b", "", "$s"])
topics = st.lists(words, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.builds(
    lambda levels, end: "/".join(levels + end),
    st.lists(words | st.just("+"), max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(bool)
steps = st.lists(st.tuples(st.booleans(), filters, st.integers(0, 2)), max_size=25)


@pytest.mark.slow
@settings(repeatable, max_examples=400)
@given(steps=steps, asked=st.lists(topics, min_size=1, max_size=8))
def test_the_tree_finds_what_asking_every_filter_finds(
    steps: list[tuple[bool, str, int]], asked: list[str]
) -> None:
    tree: TopicTree[tuple[str, int]] = TopicTree()
    filed: dict[tuple[str, int], None] = {}  # in the order of adding
    for adds, topic_filter, key in steps:
        entry = (topic_filter, key)
        if adds:
            assert tree.add(topic_filter, key, entry) == (entry not in filed)
            filed[entry] = None
        else:
            assert tree.remove(topic_filter, key) == (entry in filed)
            filed.pop(entry, None)
    assert len(tree) == len(filed)
    for topic in asked:
        assert tree.match(topic) == [entry for entry in filed if matches(entry[0], topic)]
    for topic_filter, key in filed:
        assert tree.remove(topic_filter, key)
    assert len(tree) == 0 and is_bare(tree)


def is_bare(tree: TopicTree[object]) -> bool:
    """Whether the tree is but its root: what grows and never shrinks fills the memory."""
    return not tree._root.children and not tree._root.entries


def test_a_value_that_is_replaced_keeps_its_place() -> None:
    tree: TopicTree[str] = TopicTree()
    assert tree.add("a", "one", "first")
    assert tree.add("a", "two", "second")
    assert not tree.add("a", "one", "new")
    assert tree.match("a") == ["new", "second"]
    assert len(tree) == 2


def test_a_value_may_be_none() -> None:
    tree: TopicTree[None] = TopicTree()
    tree.add("a", "key", None)
    assert tree.match("a") == [None]
    assert tree.remove("a", "key") and not tree.remove("a", "key")


def test_the_deepest_topic_is_found() -> None:
    tree: TopicTree[str] = TopicTree()
    deep = "/".join(["a"] * TOPIC_LEVELS_MAX)
    for topic_filter in (deep, "/".join(["+"] * TOPIC_LEVELS_MAX), "#"):
        tree.add(topic_filter, "key", topic_filter)
    assert len(tree.match(deep)) == 3


def test_a_branch_stays_while_somebody_needs_it() -> None:
    tree: TopicTree[int] = TopicTree()
    tree.add("a/b", "x", 1)
    tree.add("a/b/c", "x", 2)
    tree.remove("a/b", "x")
    assert tree.match("a/b/c") == [2]
    tree.remove("a/b/c", "x")
    assert is_bare(tree)
