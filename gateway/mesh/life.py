"""Whether another gateway lives: a word that status and mesh share.

Must not know how that is found out; `membership.py` does.
"""

from enum import Enum


class Life(Enum):
    """What heartbeats say of a gateway."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
