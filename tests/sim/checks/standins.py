"""G1: a second copy that is lost is made anew elsewhere. Asked when one gateway has died for good.

Who could not keep a copy, because its disk failed, is asked again after a minute only.
"""

from tests.sim.box import Box, says_two


def check(boxes: list[Box]) -> list[str]:
    """Gateways that live and keep sessions, and whose second copy is nowhere."""
    alive = [box for box in boxes if box.serving and box.disk.card is not None]
    if len(alive) < 2:
        return []
    by_id = {box.gateway: box for box in alive}
    problems = []
    for box in alive:
        assert box.node is not None and box.node.mesh is not None
        copier, state = box.node.mesh.copier, box.node.mesh.state
        if all(
            state.peers[each].refused_copy_until > state.now
            for each in by_id
            if each != box.gateway
        ):
            continue
        keeper = by_id.get(copier.stand_in)
        if keeper is None or not says_two(box, keeper):
            who = "a dead gateway" if keeper is None else keeper.name
            problems.append(f"{box.name} has no second copy: {who}, {copier.standing.value}")
    return problems
