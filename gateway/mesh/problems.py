"""What is wrong with the mesh, in words for the operator, each with what to do.

Must not know how it is shown, or what else is wrong with the box.
"""

from gateway.control import ProblemStatus, Severity
from gateway.mesh import keys, lock, slept
from gateway.mesh.life import Life
from gateway.mesh.peer import Peer
from gateway.mesh.refusals import Refusal
from gateway.mesh.state import MeshState
from gateway.wording import times

_REFUSED = {
    "other-cluster": "nothing to do if that is meant; else give it this cluster's name",
    "cluster": "give it this cluster's name, or take its address out of cluster.peers",
    "key": "give both the mesh's newest cluster.key, or one another cluster.name",
    "key-over": "write the newest into cluster.key there, and restart its gatewayd",
    "key-here": "write the newest of the mesh into cluster.key here, and restart gatewayd",
    "forgotten": "on the forgotten one: gwctl cluster rejoin; what it has is set aside then",
    "forgotten-here": "to be a member again: gwctl cluster rejoin; what is here is set aside then",
    "protocol": "bring both to the same version",
    "clone": "one card is a copy of the other: give each box its own gateway.serial_number",
}


def problems(state: MeshState, own_name: str, now: float) -> list[ProblemStatus]:
    """All of them, as of now."""
    peers = sorted(state.peers.values(), key=lambda peer: peer.name)
    found = [_silence(peer, now) for peer in peers if peer.life is not Life.ALIVE]
    found += [_reached_over(state, peer) for peer in peers if peer.link and peer.link.via]
    found += _slept(state, now) + _alone(state, now) + _missing(state)
    names = [own_name, *(peer.name for peer in peers)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        text = f"two gateways are called {name}"
        found.append(ProblemStatus(Severity.WARNING, text, "give each its own gateway.name"))
    found += [_refused(refusal) for refusal in state.refusals.current(now)]
    return found + _keys(state) + _out_of_service(state)


def _out_of_service(state: MeshState) -> list[ProblemStatus]:
    held = lock.holder(state)
    if held is None:
        return []
    name, why = held
    text = f"{name} is out of service, or is to be ({why}): the others wait with that"
    return [
        ProblemStatus(Severity.NOTICE, text, f"when its work is done, on {name}: gwctl undrain")
    ]


def _slept(state: MeshState, now: float) -> list[ProblemStatus]:
    if now - state.slept_at > slept.SHOWN_S:
        return []
    text = f"this gateway was not run for {state.slept_s:.1f} s, {now - state.slept_at:.0f} s ago"
    if state.sleeps > 1:
        text += f"; {times(state.sleeps)} since the start"
    remedy = "see what else runs on the box: its memory, its swap, a card that stalls"
    return [ProblemStatus(Severity.NOTICE, text, remedy)]


def _alone(state: MeshState, now: float) -> list[ProblemStatus]:
    """A gateway that knows of others, and hears none, serves its clients and must not look healthy."""
    cluster, since = state.identity.cluster, state.alone_since
    if since is None or now - since < cluster.dead_s:
        return []
    if not state.peers and cluster.expected_gateways < 2:
        return []
    if state.peers and all(peer.stopping for peer in state.peers.values()):
        return []  # which is said of each
    text = f"ALONE since {now - since:.0f} s ago: no other gateway is heard"
    remedy = "see to this gateway's own network first; then to the others"
    return [ProblemStatus(Severity.ERROR, text, remedy)]


def _missing(state: MeshState) -> list[ProblemStatus]:
    expected, alive = state.identity.cluster.expected_gateways, 1 + len(state.alive())
    if alive >= expected:
        return []
    text = f"{alive} of {expected} expected gateways are here"
    remedy = "see to the missing ones, or set cluster.expected_gateways"
    return [ProblemStatus(Severity.ERROR, text, remedy)]


def _silence(peer: Peer, now: float) -> ProblemStatus:
    silent = "since this gateway started"
    if peer.hello is not None:
        silent = f"for {now - peer.heard_at:.0f} s"
    if peer.life is Life.DEAD and peer.stopping:
        text = f"{peer.name} was stopped on purpose"
        return ProblemStatus(Severity.WARNING, text, "start it when its work is done")
    if peer.life is Life.DEAD:
        text = f"{peer.name} is dead: nothing heard from it {silent}"
        remedy = f"see to its power and network ({peer.address}); the others serve its clients"
        return ProblemStatus(Severity.ERROR, text, remedy)
    text = f"{peer.name} is suspect: nothing heard from it {silent}"
    return ProblemStatus(Severity.WARNING, text, "wait some seconds; then see to its network")


def _reached_over(state: MeshState, peer: Peer) -> ProblemStatus:
    assert peer.link is not None, "there is a link"
    relay = state.peers.get(peer.link.via)
    over = peer.link.via if relay is None else relay.name
    text = f"{peer.name} is reached over {over} only: there is no link to it"
    remedy = f"see to the network between this gateway and {peer.address or peer.name}"
    return ProblemStatus(Severity.WARNING, text, remedy)


def _refused(refusal: Refusal) -> ProblemStatus:
    severity = Severity.NOTICE if refusal.code == "other-cluster" else Severity.WARNING
    remedy = _REFUSED.get(refusal.code, "see the log of both gateways")
    return ProblemStatus(severity, f"{refusal.who} stays out: {refusal.text}", remedy)


def _keys(state: MeshState) -> list[ProblemStatus]:
    if len(state.keyring.valid()) < 2:
        return []
    late = [peer.name for peer in keys.without_newest(state)]
    text = "two cluster keys hold, an old one and a new one"
    if late:
        text += f", which is not yet at {', '.join(late)}"
        return [ProblemStatus(Severity.NOTICE, text, "start those, or gwctl forget them")]
    return [ProblemStatus(Severity.NOTICE, text, "end the old one: gwctl cluster key finish")]
