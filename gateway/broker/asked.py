"""What operators at other gateways ask this broker: the commands of gwctl that look at the whole mesh.

Must not know links, or who may ask: who is in the mesh may.
"""

from collections.abc import Sequence
from typing import Any

from gateway.broker.broker import Broker
from gateway.broker.traces import FILTERS_MAX, Line, Trace
from gateway.control_commands import LIMIT_MAX
from gateway.errors import ProtocolError
from gateway.mqtt.topics import check_topic_filter

LINES_MAX = 100  # that wait for another gateway: what is told late is of little use


def answer(
    broker: Broker, what: str, client: str, limit: int, orphans: bool, who: str, now: float
) -> dict[str, Any] | None:
    """The document; None: there is nothing of it here. Raises ValueError for what is no question."""
    limit = min(max(limit, 1), LIMIT_MAX)
    match what:
        case "clients":
            return broker.list_clients(limit, now)
        case "client":
            return broker.list_client(client, limit, now)
        case "sessions":
            return broker.list_sessions(orphans, limit, now)
        case "queue":
            return broker.list_queue(client, limit, now)
        case "kick":
            return {} if broker.kick(client, now, who) else None
    raise ValueError(what)


class Watched:
    """A trace that another gateway reads: of what clients here publish."""

    def __init__(self, broker: Broker, filters: Sequence[str], client: str, payload: bool) -> None:
        """Raises ValueError, in words for the operator, for what cannot be watched."""
        if len(filters) > FILTERS_MAX:
            raise ValueError(f"there are more than {FILTERS_MAX} filters")
        try:
            for each in filters:
                check_topic_filter(each)
        except ProtocolError as error:
            raise ValueError(error.detail) from error
        self._broker = broker
        self._payload = payload
        self._trace = Trace(filters, client, lambda: None, published=True, lines_max=LINES_MAX)
        broker.watching.watch(self._trace)

    def take(self) -> tuple[float, dict[str, Any]] | int | None:
        """The next message and when it came, or how many were lost here; None: that is all."""
        entry = self._trace.take()
        if isinstance(entry, Line):
            return entry.at, entry.document(self._payload)
        return entry

    def end(self) -> None:
        """It is told nothing any more."""
        self._broker.watching.unwatch(self._trace)
