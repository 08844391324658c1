"""What waits here for one gateway that is away, in figures, and how much of it may (`couriers.py`).

Must not know where it lies.
"""

from dataclasses import dataclass

from gateway.broker.backlog import REFUSE_NEW


@dataclass(frozen=True, slots=True)
class CourierBounds:
    """Of what waits for one gateway; as [cluster] says. `rate_max` is in messages a second."""

    messages_max: int = 50_000
    bytes_max: int = 33_554_432
    age_max_s: float = 604_800.0
    policy: str = REFUSE_NEW
    rate_max: int = 2_000


@dataclass(slots=True)
class Courier:
    """What waits for one gateway. `oldest_s` is for how long; `refused`, `dropped` and `expired` count
    messages since the start: not taken, let go for newer ones, too old; `lost_at` is when one of these
    grew. Nothing more goes there before `free_at`."""

    messages: int = 0
    bytes: int = 0
    oldest_s: float | None = None
    rate: float = 0.0
    refused: int = 0
    dropped: int = 0
    expired: int = 0
    lost_at: float | None = None
    free_at: float = 0.0
    is_full: bool = False
    given: int = 0  # since it was looked at last
