"""G9: a gateway that runs answers, whatever the others do. Nothing that a client waits for hangs."""

from gateway.broker.comebacks import DELAY_MAX_S
from tests.sim.history import History, Request

ANSWER_S = 5.0  # dead after 3 s, a barrier of 1 s, and the way


def check(history: History) -> list[str]:
    """Requests without an answer in time, and a mesh that does not heal."""
    problems = []
    if history.settled_at > history.ended_at:
        problems.append("the gateways did not find each other again")
    for request in history.requests:
        due = request.sent_at + ANSWER_S
        if history.disks and request.what == "CONNECT":
            due += DELAY_MAX_S  # of a client that a disk which fails has cut off, again and again
        if request.answered_at <= due or not _awake(history, request, due):
            continue
        problems.append(
            f"{request.client} waits for {request.what} since {request.sent_at:.4f} at {request.box}"
        )
    return problems


def _awake(history: History, request: Request, due: float) -> bool:
    end = min(history.ended_at, request.answered_at)
    if due > end:
        return False
    return any(
        awake.box == request.box and awake.begin <= request.sent_at and due <= awake.end
        for awake in history.awake
    )
