"""What the answer to a message waits for, by its topic, as this gateway is told.

Must not know what is done about it.
"""

from collections.abc import Iterable

from gateway.durability import Durability
from gateway.mqtt.topics import matches


class Levels:
    """`default` holds for topics that no filter matches; of several filters the strictest counts."""

    __slots__ = ("_rules", "default")

    def __init__(
        self,
        default: Durability = Durability.MESH,
        rules: Iterable[tuple[str, Durability]] = (),
    ) -> None:
        self.default = default
        self._rules = sorted(rules, key=lambda rule: -rule[1])

    def of(self, topic: str) -> Durability:
        """For messages that clients here publish to this topic."""
        found = (level for topic_filter, level in self._rules if matches(topic_filter, topic))
        return next(found, self.default)
