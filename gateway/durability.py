"""What the answer to a message waits for, from the least to the most. Must not know who gives it."""

from enum import IntEnum


class Durability(IntEnum):
    """A stricter one is larger. The names in lower case are the words of the configuration; the numbers
    are said on links."""

    MEMORY = (
        0  # for every gateway that has a subscriber to have taken it: it is written all the same
    )
    LOCAL = 1  # and for the disk of the gateway that keeps it
    MESH = 2  # and for the second copy of that, while there is one


def durability(word: str) -> Durability:
    """The one that is written like this in the configuration."""
    return Durability[word.upper()]
