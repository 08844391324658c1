"""What waits here for other gateways, for `gwctl status`: figures, and words for what was lost of it.

Must not know how it is printed.
"""

from gateway.broker.courier import Courier
from gateway.broker.passage import Moving
from gateway.control import CourierStatus, ProblemStatus, Severity
from gateway.mesh.state import MeshState
from gateway.wording import several

LOST_SHOWN_S = 600.0
_NOTHING = Courier()


def courier_status(state: MeshState, moving: Moving) -> tuple[CourierStatus, ...]:
    """One of each gateway that is known, by name; and of those that are not any more, if it has some."""
    found = moving.couriers()
    names = {peer.gateway: peer.name for peer in state.peers.values()}
    left = [gateway for gateway, each in found.items() if each.messages and gateway not in names]
    names |= {gateway: gateway for gateway in left}
    order = sorted(names, key=lambda gateway: (names[gateway], gateway))
    return tuple(_row(names[gateway], found.get(gateway, _NOTHING)) for gateway in order)


def _row(name: str, courier: Courier) -> CourierStatus:
    oldest_s = None if courier.oldest_s is None else round(courier.oldest_s, 1)
    figures = (courier.messages, courier.bytes, oldest_s, round(courier.rate, 1))
    return CourierStatus(name, *figures, courier.refused, courier.dropped, courier.expired)


def courier_problems(state: MeshState, moving: Moving, now: float) -> list[ProblemStatus]:
    """What was lost of late at a limit."""
    problems = []
    for gateway, courier in moving.couriers().items():
        if courier.lost_at is None or now - courier.lost_at > LOST_SHOWN_S:
            continue
        peer = state.peers.get(gateway)
        causes = {
            "not taken": courier.refused,
            "let go for newer ones": courier.dropped,
            "too old": courier.expired,
        }
        told = ", ".join(f"{count} {cause}" for cause, count in causes.items() if count)
        lost = courier.refused + courier.dropped + courier.expired
        name = gateway if peer is None else peer.name
        text = f"{several(lost, 'message[s] [was|were] lost')} that waited for {name} ({told})"
        remedy = "see to that gateway; the limits are cluster.courier_..."
        problems.append(ProblemStatus(Severity.ERROR, text, remedy))
    return problems
