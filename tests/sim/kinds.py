"""The kinds of runs. Must not know what happens in one."""

from enum import Enum


class Kind(Enum):
    """The words are the options that ask for it."""

    MEMORY = ""  # gateways that keep nothing, all faults
    DISKS = "--disks"  # gateways that keep sessions, all faults
    HARD = "--disks --hard"  # and publishers that send again, disks that hang, old copies of cards
    CALM = "--disks --calm"  # nothing goes wrong
    LOSS = "--disks --loss"  # nothing but the loss of one disk
    PARTIAL = "--partial"  # nothing but cuts between two that a third one hears
    PARTIAL_DISKS = "--disks --partial"

    @property
    def disks(self) -> bool:
        """Whether gateways keep sessions."""
        return "--disks" in self.value

    @property
    def partial(self) -> bool:
        """Whether nothing but cuts between two goes wrong."""
        return self in (Kind.PARTIAL, Kind.PARTIAL_DISKS)


def asked(disks: bool, calm: bool, loss: bool, partial: bool, hard: bool) -> Kind:
    """The kind that these options ask for."""
    if hard:
        return Kind.HARD
    if loss:
        return Kind.LOSS
    if calm:
        return Kind.CALM
    if partial:
        return Kind.PARTIAL_DISKS if disks else Kind.PARTIAL
    return Kind.DISKS if disks else Kind.MEMORY
