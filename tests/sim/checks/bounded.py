"""G10: when all is quiet nothing waits, and what has ended has left nothing behind."""

from tests.sim.box import Box


def check(boxes: list[Box]) -> list[str]:
    """What is left over in a gateway that has nothing to do."""
    problems = []
    for box in boxes:
        problems += [f"{box.name}: {text}" for text in _left(box, len(boxes) - 1)]
    return problems


def _left(box: Box, others: int) -> list[str]:
    assert box.node is not None and box.node.mesh is not None
    mesh, broker = box.node.mesh, box.node.broker
    left = []
    if len(mesh.state.links) != others:
        left.append(f"{len(mesh.state.links)} links to {others} gateways")
    for peer in mesh.state.peers.values():
        if peer.outgoing.untaken() or peer.outgoing.unsent:
            left.append(f"{peer.outgoing.untaken()} entries for {peer.name} are not taken")
        if peer.link is not None and peer.link.out:
            left.append(f"bytes for {peer.name} are not written")
    if mesh.state.holding:
        left.append(f"clients are held for {list(mesh.state.holding)}")
    if mesh.state.barriers.deadline() != float("inf"):
        left.append("a barrier stands")
    if mesh.state.own_wills.barriers.deadline() != float("inf"):
        left.append("a CONNACK waits for the will to be kept")
    estates = mesh.state.estates.all.items()
    over = [key for key, estate in estates if estate.end is not None and not estate.wills]
    if over:
        left.append(f"wills of starts that are over: {over}")
    if broker.state.crowding:
        left.append(f"{len(broker.state.crowding)} publishers are paused")
    if broker.state.touched or any(link.closed for link in mesh.state.links):
        left.append("something was not written")
    return left
