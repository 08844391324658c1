"""How many copies there are of what this gateway keeps, for `gwctl status`: figures, and words.

Must not know how it is printed.
"""

from gateway.control import CopyState, CopyStatus, ProblemStatus, Severity
from gateway.mesh.copier import Standing
from gateway.mesh.mesh import Mesh

_WORDS = {
    Standing.NOBODY: "no other gateway that could keep one is known",
    Standing.AWAY: "{name} is away",
    Standing.ASKED: "{name} has not said yet what it has",
    Standing.REFUSED: "{name} cannot keep it: {why}",
    Standing.RESTING: "{name} fell too far behind, and gets a new copy soon",
    Standing.MAKING: "the copy at {name} is being made, {made} kB so far",
    Standing.BEHIND: "{name} is behind",
    Standing.TOGETHER: "the last of what nobody waited for is on its way to {name}",
}
_REMEDIES = {
    Standing.NOBODY: "nothing is lost while this disk works; see that another gateway stores",
    Standing.AWAY: "nothing is lost while this disk works; see to that gateway, or wait until another"
    " one is chosen (cluster.copy_after_s)",
    Standing.REFUSED: "see to the disk of that gateway",
    Standing.RESTING: "its disk or network is slower than what comes here: see to both",
    Standing.BEHIND: "its disk or network is slow: see to both if this comes again",
}


def copy_status(mesh: Mesh, now: float) -> CopyStatus:
    """As of now."""
    copier, state = mesh.copier, mesh.state
    two = copier.two_copies
    return CopyStatus(
        CopyState.TWO if two else CopyState.ONE,
        round(max(now - (copier.since if two else copier.single_since), 0.0), 1),
        _name(mesh, copier.stand_in) if copier.stand_in else None,
        "" if two else _reason(mesh),
        copier.freight.bytes,
        copier.freight.sent_bytes,
        copier.not_waited,
        copier.made,
        tuple(_name(mesh, owner) for owner in state.copies),
    )


def copy_problems(mesh: Mesh) -> list[ProblemStatus]:
    """One copy only, where there should be two: other gateways are known."""
    standing = mesh.copier.standing
    if standing is Standing.TOGETHER or not mesh.state.peers:
        return []
    text = f"one copy only: {_reason(mesh)}"
    remedy = _REMEDIES.get(standing, "wait: that takes seconds, or minutes after a long absence")
    return [ProblemStatus(Severity.WARNING, text, remedy)]


def _reason(mesh: Mesh) -> str:
    copier = mesh.copier
    name, made = _name(mesh, copier.stand_in), copier.made_bytes // 1000
    return _WORDS[copier.standing].format(name=name, why=copier.why, made=made)


def _name(mesh: Mesh, gateway: str) -> str:
    peer = mesh.state.peers.get(gateway)
    return gateway if peer is None else peer.name
