"""What limits cost the mesh: counted since the start, with when it was last more.

A limit that was reached must be seen by the operator, and not for ever. Must not know who is told.
"""

from dataclasses import dataclass

from gateway.mesh.state import MeshState

NEVER = float("-inf")


@dataclass(slots=True)
class Losses:
    """`dropped` messages for gateways that did not take them; `unknown` subscriptions that were
    confirmed before every gateway knew them; `unkept` clients whose will nobody else had when they were
    let in, `refused` wills of other gateways' clients for which there was no room here. Times are
    monotonic seconds.
    """

    dropped: int = 0
    dropped_at: float = NEVER
    unknown: int = 0
    unknown_at: float = NEVER
    unkept: int = 0
    unkept_at: float = NEVER
    refused: int = 0
    refused_at: float = NEVER

    def count(self, state: MeshState, now: float) -> None:
        """Looks at the counters; to be called about once a second."""
        dropped = sum(peer.outgoing.dropped for peer in state.peers.values())
        if dropped > self.dropped:
            self.dropped, self.dropped_at = dropped, now
        if state.barriers.timeouts > self.unknown:
            self.unknown, self.unknown_at = state.barriers.timeouts, now
        if state.own_wills.barriers.timeouts > self.unkept:
            self.unkept, self.unkept_at = state.own_wills.barriers.timeouts, now
        if state.estates.refused > self.refused:
            self.refused, self.refused_at = state.estates.refused, now
