"""What a run may find: numbers that are missing, that came twice, out of order, or unasked.

A publisher has `number` (the last one it said) and `acknowledged`; a subscriber has, in `came`, each
publisher's numbers in the order of their delivery. Must not know who the clients are, or what broke.
"""

from collections.abc import Sequence


def missing(acknowledged: Sequence[int], came: Sequence[int]) -> list[int]:
    """What was acknowledged and never came."""
    return sorted(set(acknowledged) - set(came))


def again(came: Sequence[int]) -> int:
    """How often a number came that had come before."""
    return len(came) - len(set(came))


def in_order(came: Sequence[int]) -> bool:
    """Whether each number came behind all lower ones, when it came first."""
    first = list(dict.fromkeys(came))
    return first == sorted(first)


def stowaways(said: dict[str, int], came: dict[str, list[int]]) -> list[str]:
    """What came and was never said: `said` has, by topic, the last number of its publisher."""
    return [
        f"{topic}: {number}"
        for topic, numbers in came.items()
        for number in sorted(set(numbers))
        if not 1 <= number <= said.get(topic, 0)
    ]
