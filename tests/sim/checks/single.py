"""One client id, one connection and one session: when all is quiet nobody is at two gateways at once."""

from tests.sim.box import Box


def check(boxes: list[Box]) -> list[str]:
    """Clients that two gateways have, and sessions that two gateways serve."""
    connected: dict[str, list[str]] = {}
    served: dict[str, list[str]] = {}
    for box in boxes:
        if box.node is None or box.node.mesh is None:
            continue
        for client_id in box.node.mesh.state.own_clients.stamps:
            connected.setdefault(client_id, []).append(box.name)
        for client_id, session in box.node.broker.state.sessions.items():
            if session.number and (session.passage is None or session.passage.own):
                served.setdefault(client_id, []).append(box.name)
    problems = [f"{who} is connected at {at}" for who, at in connected.items() if len(at) > 1]
    return problems + [f"{who} is served at {at}" for who, at in served.items() if len(at) > 1]
