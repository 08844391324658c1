"""Who watches what becomes of messages here: operators of this gateway, and of others.

A trace costs the short roads of its topics (`traces.py`), so it is put up and taken down in one place.
"""

from gateway.broker.connecting import Online
from gateway.broker.state import BrokerState
from gateway.broker.traces import TRACES_MAX, Trace, Traces


class Watching:
    """The traces that run."""

    def __init__(self, state: BrokerState, online: Online) -> None:
        self._state = state
        self._online = online
        self._traces = Traces()
        self._others = 0  # traces for other gateways

    def __len__(self) -> int:
        """How many watch."""
        return len(self._traces)

    def trace(self, trace: Trace) -> bool:
        """From here on it is told of what its filters match; False: too many watch already."""
        if len(self._traces) - self._others >= TRACES_MAX:
            return False
        self._traces.begin(trace)
        self._tell_who_watches()
        return True

    def untrace(self, trace: Trace) -> None:
        """It is told nothing any more."""
        self._traces.end(trace)
        self._tell_who_watches()

    def watch(self, trace: Trace) -> None:
        """As `trace`, for another gateway: how many of these there may be is not counted here."""
        self._others += 1
        self._traces.begin(trace)
        self._tell_who_watches()

    def unwatch(self, trace: Trace) -> None:
        """It is told nothing any more."""
        self._others -= 1
        self.untrace(trace)

    def _tell_who_watches(self) -> None:
        state, traces = self._state, self._traces if len(self._traces) else None
        state.traces = traces
        state.routes.traced = None if traces is None else traces.sees
        state.routes.cache.clear()
        for connection in self._online.values():
            connection.outbox.tap = traces
