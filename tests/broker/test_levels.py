"""What the answer to a message waits for, by its topic."""

import pytest

from gateway.broker.levels import Levels
from gateway.durability import Durability, durability

LOCAL, MEMORY, MESH = Durability.LOCAL, Durability.MEMORY, Durability.MESH


@pytest.mark.parametrize(
    ("topic", "level"),
    [
        ("elsewhere", LOCAL),
        ("a", MEMORY),
        ("a/b", MEMORY),
        ("a/b/c", MESH),
        ("x/b/c", MESH),
        ("a/x/c", MEMORY),
        ("$SYS/b/c", LOCAL),  # no wildcard at the beginning means it
    ],
)
def test_the_strictest_filter_counts_and_else_the_default(topic: str, level: Durability) -> None:
    rules = [("a/#", MEMORY), ("+/b/c", MESH), ("a/b/c", LOCAL)]
    assert Levels(LOCAL, rules).of(topic) is level
    assert Levels(LOCAL, reversed(rules)).of(topic) is level


def test_words_are_those_of_the_configuration_and_the_numbers_stay() -> None:
    assert [(durability(word), int(durability(word))) for word in ("memory", "local", "mesh")] == [
        (MEMORY, 0),
        (LOCAL, 1),
        (MESH, 2),
    ]
