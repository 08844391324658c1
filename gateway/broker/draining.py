"""A gateway that is about to go out of service: its clients are sent to others, at a bounded rate.

Clients of 5.0 are told where to go, section 4.11; older ones are disconnected, and find another gateway
as they do when one dies. No will is sent: the clients are well. Must not know how gateways are found.
"""

from collections.abc import Callable, Mapping, Sequence

from gateway.broker.connection import Connection, State
from gateway.broker.keeping import keep_session
from gateway.broker.referral import Referral
from gateway.broker.state import BrokerState
from gateway.mqtt.reasons import Reason

STEP_S = 0.1
CLIENTS_A_STEP = 20  # 200 a second: each may have a password checked where it comes in


def begin(
    state: BrokerState, online: Mapping[str, Connection], others: Callable[[], Sequence[str]]
) -> None:
    """From here on nobody comes in, and those who are here are sent away."""
    draining = state.draining = Referral(others)

    def step(now: float) -> None:
        if state.draining is not draining:
            return
        state.at(now)
        leaving = [each for each in online.values() if each.state is State.OPEN]
        for connection in leaving[:CLIENTS_A_STEP]:
            send_away(state, connection, Reason.USE_ANOTHER_SERVER, "this gateway is drained")
        state.timers.set(now + STEP_S, step)

    state.timers.set(state.now, step)


def send_away(state: BrokerState, connection: Connection, reason: Reason, why: str) -> None:
    """Disconnects a client that has done nothing, and whose will is not sent."""
    session = connection.session
    if connection.will is not None and session is not None and session.number:
        keep_session(state.journal, session, None, None)
    state.room.let_will_go(connection.will)
    connection.will = None
    connection.refuse(reason, why)
