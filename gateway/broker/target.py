"""One session that gets a topic, with what its subscriptions grant.

Must not know routes, or how a session keeps what it gets.
"""

from copy import copy

from gateway.broker.session import Session
from gateway.mqtt.packets import Subscription


class Target:
    """`identifiers` go with each message; `shared` is the filter of a shared subscription, or empty.

    `picky`: of what its own client publishes it gets less: what `own` says, or nothing.
    """

    __slots__ = ("identifiers", "own", "picky", "qos", "retain_as_published", "session", "shared")

    def __init__(self, session: Session, subscription: Subscription, shared: str = "") -> None:
        self.session = session
        self.qos = subscription.qos
        self.picky = subscription.no_local
        self.own: Target | None = None
        self.retain_as_published = subscription.retain_as_published
        self.identifiers: tuple[int, ...] = ()
        if subscription.identifier:
            self.identifiers = (subscription.identifier,)
        self.shared = shared

    def widen(self, subscription: Subscription) -> None:
        """Another filter of the same session matches: one copy, at the highest QoS (3.3.4)."""
        if subscription.no_local and not self.picky:
            self.own = copy(self)
        elif self.own is not None and not subscription.no_local:
            self.own.widen(subscription)
        elif self.picky and not subscription.no_local:
            self.own = Target(self.session, subscription)
        self.picky = self.picky or subscription.no_local
        # [MQTT-3.3.4-2]
        self.qos = max(self.qos, subscription.qos)
        self.retain_as_published |= subscription.retain_as_published
        if subscription.identifier:  # [MQTT-3.3.4-4]: each, and twice if two have the same
            self.identifiers += (subscription.identifier,)

    def is_plain(self) -> bool:
        """Whether a plain QoS 0 message may be written to its client as it came, or not at all."""
        session = self.session
        outbox = session.outbox
        if self.picky or self.identifiers or session.replay is not None:
            return False
        if session.passage is not None:
            return False
        if outbox is None:
            return not session.backlog.keeps_plain
        return not (outbox.congested or outbox.packet_bytes_max or outbox.aliases)
