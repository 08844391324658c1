"""One session that gets a topic, with what its subscriptions grant.

Must not know routes, or how a session keeps what it gets.
"""

from gateway.broker.session import Session
from gateway.mqtt.packets import Subscription


class Target:
    """`identifiers` go with each message; `shared` is the filter of a shared subscription, or empty."""

    __slots__ = ("identifiers", "no_local", "qos", "retain_as_published", "session", "shared")

    def __init__(self, session: Session, subscription: Subscription, shared: str = "") -> None:
        self.session = session
        self.qos = subscription.qos
        self.no_local = subscription.no_local
        self.retain_as_published = subscription.retain_as_published
        self.identifiers: tuple[int, ...] = ()
        if subscription.identifier:
            self.identifiers = (subscription.identifier,)
        self.shared = shared

    def widen(self, subscription: Subscription) -> None:
        """Another filter of the same session matches: one copy, at the highest QoS (3.3.4)."""
        # [MQTT-3.3.4-2]
        self.qos = max(self.qos, subscription.qos)
        self.no_local = self.no_local and subscription.no_local
        self.retain_as_published |= subscription.retain_as_published
        if subscription.identifier:  # [MQTT-3.3.4-4]: each, and twice if two have the same
            self.identifiers += (subscription.identifier,)

    def is_plain(self) -> bool:
        """Whether a plain QoS 0 message may be written to its client as it came, or not at all."""
        session = self.session
        outbox = session.outbox
        if self.no_local or self.identifiers or session.replay is not None:
            return False
        if outbox is None:
            return not session.backlog.keeps_plain
        return not (outbox.congested or outbox.packet_bytes_max or outbox.aliases)
